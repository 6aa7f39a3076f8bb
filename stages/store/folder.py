"""A folder with the layout of Bazel's HTTP cache: flat `ac/<sha256>` and `cas/<sha256>`, written once, immutable."""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Literal, TypeVar

from stages.store.entry import Damaged, is_sha256

T = TypeVar("T")
R = TypeVar("R")
Kind = Literal["ac", "cas"]
KINDS: tuple[Kind, ...] = ("ac", "cas")
_OLD = 3600.0
"""Seconds after which a temporary file is a killed builder's."""
# A link is not followed, and to open a pipe waits for nobody. (Windows has neither these flags nor pipes in folders.)
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Folder:
    """The files of a store. Everything here raises OSError where the disk or the permissions are in the way."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, kind: Kind, name: str) -> Path:
        assert is_sha256(name), name
        return self.root / kind / name

    def read(self, kind: Kind, name: str, limit: int) -> bytes | None:
        """Bytes of a file, None where there is none; Damaged if it is no regular file or longer than `limit` bytes."""
        path = self.path(kind, name)
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Damaged("is a link, a folder or a device")
            number = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(number, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Damaged("is a link, a folder or a device")
            if status.st_size > limit:
                raise Damaged(f"has {status.st_size} bytes, expected at most {limit}")
            return file.read(limit)

    def size(self, kind: Kind, name: str) -> int | None:
        """Bytes of a regular file without reading it, None where there is none."""
        try:
            status = self.path(kind, name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def write(self, kind: Kind, name: str, data: bytes) -> None:
        """Write a file beside and rename it: another process sees all of it, or nothing."""
        for folder in ("tmp", kind):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        fresh = self.root / "tmp" / f"{os.getpid()}-{token_hex(8)}"
        try:
            with os.fdopen(os.open(fresh, _WRITE, 0o444), "wb") as file:
                file.write(data)
            try:
                fresh.replace(self.path(kind, name))
            except IsADirectoryError:  # nobody but an attacker made one
                self.remove(kind, name)
                fresh.replace(self.path(kind, name))
            except PermissionError:  # Windows: a reader has the file open, or it is read-only; its bytes are the same
                if os.name != "nt":
                    raise
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, in turn."""
        return [function(i) for i in items]

    def touch(self, kind: Kind, name: str) -> None:
        """Say that a file was used now, where that may be said."""
        with suppress(OSError):
            os.utime(self.path(kind, name), follow_symlinks=os.utime not in os.supports_follow_symlinks)

    def remove(self, kind: Kind, name: str) -> None:
        """Remove whatever lies under this name."""
        path = self.path(kind, name)
        try:
            if os.name == "nt":
                path.chmod(0o666)
            path.unlink(missing_ok=True)
        except (IsADirectoryError, PermissionError):
            if not path.is_dir() or path.is_symlink():
                raise
            shutil.rmtree(path)

    def names(self, kind: Kind) -> Iterator[tuple[str, os.stat_result]]:
        """Everything in `kind` whose name is a sha256, with its status; in no order."""
        try:
            with os.scandir(self.root / kind) as found:
                for item in found:
                    if is_sha256(item.name):
                        with suppress(OSError):
                            yield item.name, item.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return

    def remove_left_over(self) -> None:
        """Remove the temporary files that builders which were killed left an hour ago or earlier."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root / "tmp") as found:
            for item in found:
                with suppress(OSError):
                    if time.time() - item.stat(follow_symlinks=False).st_mtime > _OLD:
                        Path(item.path).unlink()
