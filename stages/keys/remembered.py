"""Small JSON records in the user's cache folder: what is slow to find out and cheap to check, and never the only copy.

A record that is absent, cut, changed, somebody else's, or cannot be written only costs the time to find out again.
"""

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

_LIMIT = 1 << 22  # bytes: some ten times what chipfit writes


def recall(name: str) -> Any:
    """What `remember` wrote under this name, for the caller to check; None where there is nothing to be trusted."""
    try:
        descriptor = os.open(_path(name), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - opened above without following a link
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LIMIT or not _is_own(found):
                return None
            seal, _, document = file.read(_LIMIT).partition(b"\n")
        return json.loads(document) if seal == _seal(document) else None
    except (OSError, ValueError, RecursionError):
        return None


def remember(name: str, value: object) -> None:
    """Write a record, whole or not at all; of two writers the last wins. What cannot be written is forgotten."""
    document = json.dumps(value, separators=(",", ":")).encode()
    path = _path(name)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(_seal(document) + b"\n" + document)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)


def _path(name: str) -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("chipfit")) / "keys" / f"{name}.json"


def _is_own(found: os.stat_result) -> bool:
    """Whether a file is this user's, and nobody else may write it."""
    return os.name != "posix" or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)


def _seal(document: bytes) -> bytes:
    return hashlib.sha256(document).hexdigest().encode()


def identity(path: Path) -> list[int] | None:
    """Numbers of a file that change whenever its bytes do, or it is replaced; None where it cannot be looked at.

    The time of the last change of its inode cannot be set back, unlike that of its bytes.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # of a name with a NUL
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
