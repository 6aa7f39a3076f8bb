"""Digests of compilers that no Python package brings: of the programs behind GCC's driver, which do the work."""

import hashlib
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.facts.artifact import file_sha256
from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from stages.keys.remembered import identity, recall, remember
from stages.keys.tools import MISSING

_PROGRAMS = ("cc1", "as", "ld", "collect2")
_HEADERS = ("stdint.h", "stdint-gcc.h")
"""All that the generated C includes, where there is no operating system; the second is not in every GCC."""


@cache
def gcc(core: str) -> Mapping[str, str]:
    """The command of GCC for a core -> its version, and one digest of the driver, compiler, assembler, linkers, support
    library and headers that it uses; "missing" where the command is not on PATH.
    """
    command = CORES[core].isa.gcc
    driver = shutil.which(command)
    if driver is None:
        return {command: MISSING}
    name = f"{command}.{core}"
    found = _checked(recall(name), driver)
    if found is None:
        try:
            version, parts = _ask(core, driver)
        except ChipfitError:  # it is on PATH and does not run: the stage says so
            return {command: MISSING}
        found = f"{version} sha256:{_digest(parts)}"
        remember(name, {"tool": found, "parts": {str(p): identity(p) for p in (Path(driver), *parts.values())}})
    return {command: found}


def _ask(core: str, driver: str) -> tuple[str, dict[str, Path]]:
    """The driver's version, and the files that it uses for a core, by their role."""
    from pipeline.measuring.toolchain import TOOLCHAINS
    from pipeline.measuring.toolchain.process import run

    def ask(*arguments: str) -> str:
        return run([*TOOLCHAINS["gcc"].driver(core), *arguments], Path(driver).parent, Path(driver).name).strip()

    version = ask("--version").partition("\n")[0].rpartition(") ")[2]
    parts = {"driver": Path(driver)}
    for program in _PROGRAMS:
        # A bare name means that GCC itself searches PATH.
        parts[program] = Path(shutil.which(ask(f"-print-prog-name={program}")) or program)
    parts["libgcc"] = Path(ask("-print-libgcc-file-name"))
    parts |= {h: Path(ask("-print-file-name=include")) / h for h in _HEADERS}
    return version, parts


def _digest(parts: Mapping[str, Path]) -> str:
    listed = "".join(f"{role}\0{file_sha256(path)}\n" for role, path in parts.items())
    return hashlib.sha256(listed.encode()).hexdigest()


def _checked(record: Any, driver: str) -> str | None:
    """The tool of a record; None where the driver or a file that it uses is another now."""
    try:
        tool, parts = record["tool"], record["parts"]
        if parts[driver] is None or not isinstance(tool, str):
            return None
        return tool if all(identity(Path(p)) == stamp for p, stamp in parts.items()) else None
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
