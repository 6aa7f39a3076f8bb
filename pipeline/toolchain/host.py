"""The same library on this machine: the pinned compiler by default, GCC or Clang when asked for by name."""

import ctypes
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.ir import Array
from pipeline.toolchain.cross import WARNINGS
from pipeline.toolchain.process import find, run, zig


def host_compilers() -> list[str]:
    """The host compilers that are here: ziglang always, gcc and clang when on PATH."""
    return ["ziglang", *(c for c in ("gcc", "clang") if shutil.which(c))]


def host_library(library: Path, out: Path, compiler: str = "ziglang", flags: Sequence[str] = ("-O2",)) -> Path:
    """Build `library`/src/*.c into the shared library `out`, with every warning an error.

    `flags` come last, so that -O0, -O3 or -fsanitize=undefined win. Raises ChipfitError when the compiler is missing
    or refuses; then nothing is left behind.
    """
    driver = [*zig(), "-fno-sanitize=all"] if compiler == "ziglang" else [find(compiler)]
    sources = sorted(str(p.relative_to(library)) for p in (library / "src").glob("*.c"))
    arguments = [
        *driver, "-std=c99", *WARNINGS, "-shared", "-g0", *([] if sys.platform == "win32" else ["-fPIC"]), *flags,
        "-Iinclude", "-Isrc", *sources, "-o", str(out.resolve()),
    ]  # fmt: skip
    try:
        run(arguments, library, f"compiling the library for this machine with {compiler}")
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return out


class HostLibrary:
    """A loaded library, called with arrays whatever memory its inputs and outputs live in."""

    def __init__(self, path: Path, product: str, places: Sequence[int | None] = ()) -> None:
        """`places`: for every input and output, its offset in the arena, or None for the caller's memory."""
        self._library, self._product, self._places = ctypes.CDLL(str(path)), product, places

    def __call__(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> list[Array]:
        """One inference; `outputs` give shapes and types, new arrays come back."""
        given = [np.ascontiguousarray(a) for a in inputs]
        made = [np.zeros(o.shape, o.dtype) for o in outputs]
        names = [*_names("input", len(given)), *_names("output", len(made))]
        places = self._places or [None] * len(names)
        pointers = []
        for array, name, place in zip((*given, *made), names, places, strict=True):
            if place is None:
                pointers.append(array.ctypes.data_as(ctypes.c_void_p))
            elif name.startswith("input"):
                ctypes.memmove(self._own(name), array.ctypes.data, array.nbytes)
        run = getattr(self._library, f"{self._product}_run")
        run.restype = None
        run(*pointers)
        for array, name, place in zip(made, names[len(given) :], places[len(given) :], strict=True):
            if place is not None:
                ctypes.memmove(array.ctypes.data, self._own(name), array.nbytes)
        return made

    def _own(self, name: str) -> int:
        pointer = getattr(self._library, f"{self._product}_{name}")
        pointer.restype = ctypes.c_void_p
        found: int = pointer()
        return found


def _names(direction: str, count: int) -> list[str]:
    return [direction] if count == 1 else [f"{direction}_{i}" for i in range(count)]
