"""The same library on this machine: the pinned compiler by default, GCC or Clang when asked for by name."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

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
