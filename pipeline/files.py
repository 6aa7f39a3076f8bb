"""Asking for files by names that others chose."""

from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether there is such a file; no also for a name that no file can have (too long, a NUL in it)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
