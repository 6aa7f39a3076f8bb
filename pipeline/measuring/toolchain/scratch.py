"""Temporary folders, each locked by the process that works in it: unlocked ones are left over and can be removed."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_in_use: dict[Path, tuple[int, int | None]] = {}
"""Folders in use: the id of the process that created each (a forked process has a copy), and the lock on it."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A new empty folder, removed when the `with` block ends."""
    folder = make_scratch()
    try:
        yield folder
    finally:
        remove_scratch(folder)


def make_scratch() -> Path:
    """A new empty folder that nobody else can read; it lasts until `remove_scratch`, or this process is killed."""
    parent = _parent_folder()
    while True:
        folder = parent / f"{os.getpid()}-{secrets.token_hex(8)}"
        _in_use[folder] = (os.getpid(), None)
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another process took it for a left-over one before it was locked
            _in_use[folder] = (os.getpid(), _lock(folder, wait=True))
            if folder.is_dir():
                return folder
        _forget(folder)


def remove_scratch(folder: Path) -> None:
    """Remove a folder of `make_scratch`; what cannot be removed is left to `remove_left_over`."""
    shutil.rmtree(folder, ignore_errors=True)
    _forget(folder)


def remove_own() -> None:
    """Remove the folders that this process created, before it ends."""
    for folder, (pid, _) in list(_in_use.items()):
        if pid == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)


def remove_left_over() -> None:
    """Remove the folders that killed processes left: those of this user that nobody has locked."""
    parent = _user_folder()
    if os.name != "posix" or not _is_own(parent):
        return
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            lock = _lock(folder, wait=False)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _user_folder() -> Path:
    user = os.geteuid() if os.name == "posix" else "user"
    return Path(tempfile.gettempdir()) / f"chipfit-scratch-{user}"


def _parent_folder() -> Path:
    """This user's folder for all temporary ones; the system's where somebody else has taken its name."""
    shared = _user_folder()
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
    """Lock a folder, and return the file descriptor that holds the lock; None where it is not locked, or by another.

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
    lock = _in_use.pop(folder, (0, None))[1]
    if lock is not None:
        os.close(lock)
