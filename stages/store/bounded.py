"""A folder of a store that stays below a size: what was used least recently goes first."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from stages.store.folder import KINDS, Folder, Kind

_TARGET = 0.9
"""The part of its size to which a full store is emptied, so that the next save need not look through it again."""
_PATIENCE = 600
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Results of chipfit's stages: bford.info/cachedir\n"
"""Tells programs that make backups that this folder is a cache."""


@dataclass(frozen=True)
class _File:
    used: int
    kind: Kind
    name: str
    size: int


class BoundedFolder(Folder):
    """A store of one user. A counter of bytes, kept under a lock, says when it is worth looking for what to remove.

    The counter is raised before bytes are written: a kill in between makes it too high, which the next look corrects.
    """

    def __init__(self, root: Path, limit: int) -> None:
        super().__init__(root)
        self.limit = limit
        self._tidied = False
        self._is_own = False

    @property
    def _counter(self) -> Path:
        return self.root / "bytes"

    def read(self, kind: Kind, name: str, limit: int) -> bytes | None:
        self._require_own()
        return super().read(kind, name, limit)

    def size(self, kind: Kind, name: str) -> int | None:
        self._require_own()
        return super().size(kind, name)

    def prepare(self) -> None:
        """Make the folder. Only its owner may write to it: who writes records decides what is built."""
        self._require_own()
        if not self.root.is_dir():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(_TAG, "ascii")
        if not self._tidied:  # once: there is a lock for each result of the last hour
            self._tidied = True
            for name in ("tmp", *KINDS):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            self.remove_left_over()

    def reserve(self, added: int) -> None:
        """Count `added` bytes that will be written, and make room for them where they are too many."""
        with suppress(Timeout), self._lock():
            total = self._counted()
            if total is None or total + added > self.limit:
                total = self._shrink(max(0, int(self.limit * _TARGET) - added))
            self._count(total + added)

    def turn(self, digest: str) -> FileLock | None:
        """Held lock on one result, or None after 10 minutes: another builder is at it. Left-over locks go by age."""
        self.prepare()
        (self.root / "tmp").mkdir(exist_ok=True)
        lock = FileLock(self.root / "tmp" / f"{digest}.lock", timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            return None
        return lock

    def shrink(self, limit: int) -> tuple[int, int]:
        """Remove what was used least recently until `limit` bytes are left: bytes before, and bytes now."""
        with self._lock():
            before = sum(f.size for f in self._files())
            self._count(after := self._shrink(limit))
            return before, after

    def total(self) -> int:
        """Bytes of all files, counted anew."""
        return sum(f.size for f in self._files())

    def _require_own(self) -> None:
        """Raise OSError where somebody else may write to the folder, if it is there: who may, decides what is built.

        Its mode is not changed: a folder that a setting names may be one that others need.
        """
        if self._is_own or os.name != "posix" or not self.root.exists():
            return
        found = self.root.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise OSError("it belongs to another user")
        if found.st_mode & 0o077:  # else nobody comes to what lies in it
            for path in (self.root, *(self.root / k for k in KINDS)):
                mode = path.stat().st_mode & 0o7777 if path.exists() else 0
                if mode & 0o022:
                    what = "it" if path == self.root else f"its folder {path.name}"
                    raise OSError(f"others may write to {what} (mode {mode:o}), which chmod 700 would forbid")
        self._is_own = True

    def _lock(self) -> FileLock:
        return FileLock(self.root / ".lock", timeout=30)

    def _counted(self) -> int | None:
        """The counter; None where it is missing or damaged."""
        try:
            text = self._counter.read_text("ascii")
            return int(text) if text.isdigit() and len(text) < 20 else None
        except (OSError, ValueError):
            return None

    def _count(self, total: int) -> None:
        fresh = self.root / "tmp" / f"bytes-{os.getpid()}"  # where that of a killed builder is removed
        fresh.parent.mkdir(exist_ok=True)
        fresh.write_text(str(total), "ascii")
        fresh.replace(self._counter)

    def _files(self) -> list[_File]:
        return [_File(s.st_mtime_ns, k, n, s.st_size) for k in KINDS for n, s in self.names(k)]

    def _shrink(self, limit: int) -> int:
        """Bytes that are left. Of equal age records go first: one without its blobs is a miss, but takes room."""
        self.remove_left_over()
        files = sorted(self._files(), key=lambda f: (f.used, f.kind, f.name))
        total = sum(f.size for f in files)
        for file in files:
            if total <= limit:
                break
            with suppress(OSError):
                self.remove(file.kind, file.name)
                total -= file.size
        return total
