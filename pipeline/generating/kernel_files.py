"""The source files of a kernel: real files, one folder per instruction set, the nearest one wins.

Contracts lie in `kernels/` itself.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.facts.cores import CORES
from pipeline.graph.kernel_call import Routine

KERNELS = Path(__file__).parent / "kernels"

GENERATED = "kernel_prefix.h"


def kernel_files(kernels: Iterable[str], core: str) -> dict[str, Path]:
    """File name -> source file, for the named kernels and everything that they include."""
    found: dict[str, Path] = {}
    pending = [f"{k}.c" for k in sorted(set(kernels))]
    while pending:
        name = pending.pop()
        if name in found or name == GENERATED:
            continue
        found[name] = _find(name, core)
        pending += re.findall(r'^#include "([a-z0-9_]+\.h)"', found[name].read_text("utf-8"), re.MULTILINE)
    return dict(sorted(found.items()))


def routine_files(routines: Iterable[Routine], core: str) -> dict[str, Path]:
    """File name -> source file, for the macros and shared routines of layers in assembly."""
    names = {n for r in routines for n in (*r.includes, *(f"{s.name}.inc" for s in r.shared))}
    return {n: _find(n, core) for n in sorted(names)}


def _find(name: str, core: str) -> Path:
    for folder in (*(KERNELS / f for f in CORES[core].isa.kernels), KERNELS):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"kernel file {name} for {core}")
