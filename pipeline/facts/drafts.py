"""Files of the user's written whole or not at all: as a draft beside them, whose one name the next writer clears."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

_LOCKS = os.name == "posix"
_own: dict[int, tuple[Path, int]] = {}
"""Drafts that are being written, by descriptor, with the id of the process that does."""


def replace_file(path: Path, data: bytes, check: Callable[[Path], None] = lambda draft: None) -> None:
    """Write the file at `path`, readable by all, unless `check` raises for the draft of it.

    A kill at any moment leaves the old file or the new one, and at most a draft. Raises OSError.
    """
    draft = draft_of(path)
    descriptor = _create(draft)
    _own[descriptor] = draft, os.getpid()
    try:
        with open(descriptor, "wb", closefd=not _LOCKS) as file:
            file.write(data)
        check(draft)
        draft.chmod(0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        del _own[descriptor]
        if _LOCKS:
            os.close(descriptor)


def draft_of(path: Path) -> Path:
    """Where the draft of a file lies."""
    return path.with_name(f".{path.name}.draft")


def remove_draft(path: Path) -> None:
    """Remove the draft of the file at `path` that a killed process left, if there is one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        _clear(draft_of(path))


def remove_own() -> None:
    """Remove the drafts that this process is writing, before it ends."""
    for draft, pid in list(_own.values()):
        if pid == os.getpid():
            with contextlib.suppress(OSError):
                draft.unlink()


def _create(draft: Path) -> int:
    """A new file that nobody else can read, locked until its descriptor is closed."""
    while True:
        try:
            descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                _clear(draft)
            continue
        _lock(descriptor)
        if _is_at(descriptor, draft):
            return descriptor
        os.close(descriptor)  # another process took it for a left-over one before it was locked


def _clear(draft: Path) -> None:
    """Remove a draft once nobody is writing it any more. Raises OSError, also for what is a link or a folder."""
    if not _LOCKS:
        draft.unlink()
        return
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _lock(descriptor)
        if _is_at(descriptor, draft):
            draft.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Wait for the lock on an open file, which the system releases however the process ends."""
    if _LOCKS:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
