"""Objects, images and host libraries of the tests' networks, compiled once for all tests, workers and runs.

Each is kept under the digest of all that it is made from: the compiler's version, its arguments, the source and every
file that the source includes. Tests of the compilers themselves do not come here.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from pipeline.measuring.toolchain import Region, compile_library, link_image
from pipeline.measuring.toolchain.build import sources_of
from pipeline.measuring.toolchain.cross import Toolchain
from pipeline.measuring.toolchain.host import host_library
from pipeline.measuring.toolchain.process import cache_folder, find_program, run, zig_version

_INCLUDE = re.compile(rb'^[ \t]*[#.][ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)
_LIFETIME_S = 14 * 24 * 3600


@cache
def folder() -> Path:
    """The cache folder of the tests; what no test has asked for in two weeks is removed."""
    path = cache_folder() / "tests"
    path.mkdir(mode=0o700, exist_ok=True)
    for old in path.iterdir():
        if old.stat().st_mtime < time.time() - _LIFETIME_S:
            old.unlink(missing_ok=True)
    return path


def digest(library: Path, source: Path, *arguments: object) -> str:
    """SHA-256 of `arguments`, a source and all that it includes, by their paths in the library."""
    found, pending = {}, [source]
    while pending:
        path = pending.pop()
        if path not in found:
            found[path] = path.read_bytes()
            for name in _INCLUDE.findall(found[path]):
                folders = (path.parent, library / "include", library / "src")
                pending += [p for p in (folder / name.decode() for folder in folders) if p.is_file()][:1]
    text = hashlib.sha256(repr(arguments).encode())
    for path in sorted(found):
        text.update(f"{_relative(library, path)} {len(found[path])}\n".encode() + found[path])
    return text.hexdigest()


def from_cache(key: str, out: Path, make: Callable[[], object]) -> None:
    """Copy `key` of the cache to `out`, after `make` where it is missing; several processes may do so at once."""
    known = folder() / key
    try:
        shutil.copyfile(known, out)
        os.utime(known)
    except FileNotFoundError:
        make()
        draft = known.with_name(f"{key}.{os.getpid()}")
        shutil.copyfile(out, draft)
        draft.replace(known)


def image(
    tools: Toolchain, core: str, library: Path, out: Path, entry: str, flash: Region, ram: Region, name: str = "net.elf"
) -> Path:
    """The library compiled for a core and linked with `entry`, as `out`/`name`."""
    arguments = (tools.version(core), tools.driver(core)[1:], tools.code, tools.link, tools.libraries)
    sources = sources_of(library, (".c", ".S"), None)
    keys = [digest(library, p, *arguments, p.suffix) for p in sources]
    image_key = hashlib.sha256(repr((keys, arguments, entry, flash, ram)).encode()).hexdigest()

    def link() -> None:
        missing = [p for p, key in zip(sources, keys, strict=True) if not (folder() / key).is_file()]
        if missing:
            compile_library(tools, core, library, out, [_relative(library, p) for p in missing])
        for source, key in zip(sources, keys, strict=True):
            from_cache(key, out / f"{source.name}.o", lambda s=source: s in missing or compile_again(s))
        link_image(tools, core, [out / f"{p.name}.o" for p in sources], entry, flash, ram, out / name)

    def compile_again(source: Path) -> None:
        """Another process has removed it since it was seen."""
        compile_library(tools, core, library, out, [_relative(library, source)])

    from_cache(image_key, out / name, link)
    return out / name


def host(library: Path, out: Path, compiler: str, flags: Sequence[str]) -> Path:
    """The library for this machine, as `out`."""
    version = zig_version() if compiler == "ziglang" else _version(find_program(compiler))
    keys = [digest(library, p) for p in sources_of(library, (".c",), None)]
    key = hashlib.sha256(repr((keys, version, compiler, tuple(flags))).encode()).hexdigest()
    from_cache(key, out, lambda: host_library(library, out, compiler, flags))
    return out


@cache
def _version(program: str) -> str:
    return run([program, "--version"], Path.cwd(), program)


def _relative(library: Path, path: Path) -> str:
    return path.relative_to(library).as_posix()
