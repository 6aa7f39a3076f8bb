"""The counting callback as machine code: a small C file compiled once per machine and kept in the user's cache."""

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from functools import cache
from pathlib import Path

from pipeline.measuring.toolchain.process import cache_folder, own, run, zig, zig_version

_SOURCE = Path(__file__).with_name("blockcount.c")
SPANS = 4
"""How many sections of code can be counted."""
RECENT = 8
"""How many lines of flash count as lately read, of instructions and of data each."""


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
        ("left", ctypes.c_void_p),
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
        ("crooked", ctypes.c_void_p),
        ("register_read", ctypes.c_void_p),
        ("pc", ctypes.c_int32),
    )


@cache
def library() -> ctypes.CDLL:
    """The compiled callbacks; two processes may build them at once, the last rename wins."""
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    key = hashlib.sha256(
        b"|".join([_SOURCE.read_bytes(), zig_version().encode(), platform.machine().encode()])
    ).hexdigest()
    target = cache_folder() / f"blockcount-{key[:16]}{suffix}"
    if not _trusted(target, key):
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            arguments = [
                *zig(),
                "-O2",
                "-shared",
                "-fPIC",
                "-g0",
                "-fno-sanitize=all",
                str(_SOURCE),
                "-o",
                str(made),
            ]
            run(arguments, Path(folder), "compiling the block counter")
            made.chmod(0o700)
            note = Path(folder) / "note"
            note.write_text(_note(made, key), "ascii")
            made.replace(target)
            note.replace(_beside(target))
    return ctypes.CDLL(str(target))


def _trusted(target: Path, key: str) -> bool:
    """Whether the file is what this user's chipfit compiled and noted: plain, whole, and writable by nobody else.

    Between the two renames of another process the note is not yet that of the file: then it is compiled once more.
    """
    try:
        plain = not target.is_symlink() and not _beside(target).is_symlink() and target.is_file()
        alone = os.name != "posix" or not target.stat().st_mode & 0o022
        return plain and alone and own(target) and _beside(target).read_text("ascii") == _note(target, key)
    except (OSError, ValueError):
        return False


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _note(made: Path, key: str) -> str:
    return f"{key} {hashlib.sha256(made.read_bytes()).hexdigest()}\n"
