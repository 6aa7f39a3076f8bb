"""Folders for files that nobody keeps: each is locked by the process that works in it, so that only left ones go."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_own: dict[Path, tuple[int, int | None]] = {}
"""The folders that are in use: the process that made each (one made by forking has a copy), and the lock on it."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new empty folder, removed at the end."""
    folder = make_scratch()
    try:
        yield folder
    finally:
        remove_scratch(folder)


def make_scratch() -> Path:
    """A new empty folder that nobody else can read; it lasts until `remove_scratch`, or this process is killed."""
    parent = _parent()
    while True:
        folder = parent / f"{os.getpid()}-{secrets.token_hex(8)}"
        _own[folder] = (os.getpid(), None)
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another process took it for a left one before it was locked
            _own[folder] = (os.getpid(), _lock(folder, wait=True))
            if folder.is_dir():
                return folder
        _forget(folder)


def remove_scratch(folder: Path) -> None:
    """Remove what `make_scratch` made; what cannot be removed is left to a later sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    _forget(folder)


def remove_own() -> None:
    """Remove the folders that this process made: it is about to end."""
    for folder, (pid, _) in list(_own.items()):
        if pid == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch() -> None:
    """Remove the folders that killed processes left: those inside this user's own folder that nobody has locked."""
    parent = _shared()
    if os.name != "posix" or not _is_own(parent):
        return
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            lock = _lock(folder, wait=False)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _shared() -> Path:
    user = os.geteuid() if os.name == "posix" else "user"
    return Path(tempfile.gettempdir()) / f"chipfit-scratch-{user}"


def _parent() -> Path:
    """This user's folder for all of them; where somebody else has taken its name, one that is not swept."""
    shared = _shared()
    with contextlib.suppress(OSError):
        shared.mkdir(mode=0o700, exist_ok=True)
        if _is_own(shared):
            return shared
    return Path(tempfile.gettempdir())


def _is_own(folder: Path) -> bool:
    """Whether it is a folder, no link, of this user, closed to all others."""
    if os.name != "posix":
        return folder.is_dir()
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _lock(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder as long as the file descriptor is open; None where it cannot be, or is locked and not waited for.

    The system unlocks it however the process ends. Raises FileNotFoundError.
    """
    if os.name != "posix":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _forget(folder: Path) -> None:
    lock = _own.pop(folder, (0, None))[1]
    if lock is not None:
        os.close(lock)
