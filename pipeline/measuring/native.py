"""Native counting callbacks: a small C file, compiled once per machine and kept in the user's cache."""

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from functools import cache
from pathlib import Path

from pipeline.measuring.toolchain.process import cache_folder, claim, run, zig, zig_version

_SOURCE = Path(__file__).with_name("blockcount.c")
SPANS = 4
"""Sections of code that can be counted at most."""
RECENT = 8
"""Lines of flash that count as lately read, of instructions and of data each."""


class Counter(ctypes.Structure):
    """`struct counter` of blockcount.c."""

    _fields_ = (
        ("code_begin", ctypes.c_uint64 * SPANS),
        ("code_end", ctypes.c_uint64 * SPANS),
        ("entry_begin", ctypes.c_uint64),
        ("entry_end", ctypes.c_uint64),
        ("layers", ctypes.c_uint32),
        ("layer", ctypes.c_uint32),
        ("row", ctypes.c_uint32),
        ("outside", ctypes.c_uint32),
        ("last_slot", ctypes.c_uint64),
        ("last_end", ctypes.c_uint64),
        ("path", ctypes.c_uint64),
        ("executed", ctypes.c_void_p),
        ("taken", ctypes.c_void_p),
        ("sizes", ctypes.c_void_p),
        ("reads", ctypes.c_void_p),
        ("jumps", ctypes.c_void_p),
        ("new_lines", ctypes.c_void_p),
        ("new_data", ctypes.c_void_p),
        ("flash_begin", ctypes.c_uint64),
        ("flash_end", ctypes.c_uint64),
        ("line", ctypes.c_uint64),
        ("fetched", ctypes.c_uint64 * RECENT),
        ("loaded", ctypes.c_uint64 * RECENT),
        ("unaligned", ctypes.c_void_p),
        ("unaligned_at", ctypes.c_void_p),
        ("register_read", ctypes.c_void_p),
        ("pc", ctypes.c_int32),
    )


@cache
def library() -> ctypes.CDLL:
    """The compiled callbacks; where two processes compile them at once, the last rename wins."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    key = hashlib.sha256(
        b"|".join([_SOURCE.read_bytes(), zig_version().encode(), platform.machine().encode()])
    ).hexdigest()
    target = cache_folder() / f"blockcount-{key[:16]}{suffix}"
    if not _is_trusted(target, key):
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            compiled = Path(folder) / target.name
            arguments = [
                *zig(),
                "-O2",
                "-shared",
                "-fPIC",
                "-g0",
                "-fno-sanitize=all",
                str(_SOURCE),
                "-o",
                str(compiled),
            ]
            run(arguments, Path(folder), "compiling the block counter")
            compiled.chmod(0o700)
            record = Path(folder) / "record"
            record.write_text(_record(compiled, key), "ascii")
            compiled.replace(target)
            record.replace(_record_path(target))
    return ctypes.CDLL(str(target))


def _is_trusted(target: Path, key: str) -> bool:
    """Whether the library is as this user's chipfit compiled and recorded it, no link, and writable by nobody else.

    Between the two renames of another process the record is not yet that of the file: then it is compiled again.
    """
    try:
        plain = not target.is_symlink() and not _record_path(target).is_symlink() and target.is_file()
        alone = os.name != "posix" or not target.stat().st_mode & 0o022
        return plain and alone and claim(target) and _record_path(target).read_text("ascii") == _record(target, key)
    except (OSError, ValueError):
        return False


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _record(library: Path, key: str) -> str:
    return f"{key} {hashlib.sha256(library.read_bytes()).hexdigest()}\n"
