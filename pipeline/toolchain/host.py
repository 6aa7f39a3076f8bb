"""The same library on this machine: the pinned compiler by default, GCC or Clang when asked for by name."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.toolchain.cross import WARNINGS
from pipeline.toolchain.process import find, run, zig


def host_compilers() -> list[str]:
    """The host compilers that are here: ziglang always, gcc and clang when on PATH."""
    return ["ziglang", *(c for c in ("gcc", "clang") if shutil.which(c))]


def host_library(library: Path, out: Path, compiler: str = "ziglang", flags: Sequence[str] = ("-O2",)) -> Path:
    """Build `library`/src/*.c into the shared library `out`, with every warning an error."""
    driver = [*zig(), "-fno-sanitize=all"] if compiler == "ziglang" else [find(compiler)]
    sources = sorted(str(p.relative_to(library)) for p in (library / "src").glob("*.c"))
    arguments = [
        *driver, "-std=c99", *WARNINGS, "-shared", "-fPIC", "-g0", *flags,
        "-Iinclude", "-Isrc", *sources, "-o", str(out.resolve()),
    ]  # fmt: skip
    run(arguments, library, f"compiling the library for this machine with {compiler}")
    return out
