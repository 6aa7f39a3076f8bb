"""Questions about files whose names others chose: whether there is one, and how large it is."""

from pathlib import Path

MAX_MODEL = 1 << 28
"""Bytes of a model file: far more than any microcontroller's flash, even in float64."""
MAX_DATA = 1 << 31
"""Bytes of an .npz file: four of the largest arrays."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also for a name that no file can have (too long, a NUL in it).

    A folder, a device or a pipe is none: reading one could go on for ever.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False also for a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def absence_reason(path: Path) -> str:
    """The rest of a sentence that begins with a path for which `is_file` is false: "does not exist" or the like."""
    try:
        return "is not a regular file" if path.exists() else "does not exist"
    except (OSError, ValueError):
        return "does not exist"


def file_size(path: Path) -> int:
    """Size of the file in bytes, without reading it; 0 where there is no file."""
    try:
        return path.stat().st_size if is_file(path) else 0
    except OSError:
        return 0
