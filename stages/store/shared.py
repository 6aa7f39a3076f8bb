"""A shared store behind a URL: a folder, or what fsspec reaches. Every question to a server has an end."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from stages.store.entry import Damaged
from stages.store.folder import Folder, Kind
from stages.store.http import Refused, client_options, get, head, put
from stages.store.settings import StoreSettings, file_path, shown_url

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 8
CONNECT = 5.0
"""Seconds to reach a server."""
SILENCE = 20.0
"""Seconds in which a server may say nothing."""
_SLOWEST = 1e6
"""Bytes per second: a transfer at half of this is not worth waiting for."""


_TALKATIVE = ("fsspec", "aiohttp", "asyncio", "s3fs", "aiobotocore", "botocore", "gcsfs", "google")


class SharedFolder(Folder):
    """A folder that several users share, by `file:`. Only who may write removes what is damaged."""

    def __init__(self, root: Path, writable: bool) -> None:
        super().__init__(root)
        self.writable = writable
        self._swept = False

    def __str__(self) -> str:
        return f"file://{self.root.as_posix()}"

    def read(self, kind: Kind, name: str, limit: int) -> bytes | None:
        if not self.writable and not self.root.is_dir():
            raise OSError("there is no such folder")
        return super().read(kind, name, limit)

    def write(self, kind: Kind, name: str, data: bytes) -> None:
        if not self._swept:
            self._swept = True
            self.remove_left_over()
        super().write(kind, name, data)

    def remove(self, kind: Kind, name: str) -> None:
        if self.writable:
            super().remove(kind, name)


class Remote:
    """Files of a store by fsspec. Raises OSError, whose text never holds the URL, for whatever goes wrong."""

    def __init__(self, url: str, writable: bool) -> None:
        self.writable = writable
        self._url, self._scheme = url, url.partition(":")[0]
        self._made: tuple[int, Any] | None = None
        self._making = Lock()
        self._gone: OSError | None = None
        self._damaged: set[tuple[Kind, str]] = set()

    def __str__(self) -> str:
        return shown_url(self._url)

    def read(self, kind: Kind, name: str, limit: int) -> bytes | None:
        """Bytes of a file, None where there is none; Damaged if it is longer than `limit` bytes, or ends too early."""
        if self._scheme in ("http", "https"):
            data: bytes | None = self._ask(get, self._path(kind, name), limit, limit=limit)
        else:
            data = self._ask("cat_file", self._path(kind, name), start=0, end=limit + 1, limit=limit)
        if data is not None and len(data) > limit:
            raise Damaged(f"has more than {limit} bytes")
        return data

    def size(self, kind: Kind, name: str) -> int | None:
        """Bytes of a file without reading it; None where there is none, or it was found damaged."""
        if (kind, name) in self._damaged:
            return None
        if self._scheme in ("http", "https"):
            found: int | None = self._ask(head, self._path(kind, name))
            return found
        info = self._ask("info", self._path(kind, name))
        return info["size"] if info and info.get("type") == "file" else None

    def write(self, kind: Kind, name: str, data: bytes) -> None:
        """Write a file; servers make it visible when all of it has arrived."""
        if self._scheme in ("http", "https"):
            self._ask(put, self._path(kind, name), data, limit=len(data))
        else:
            self._ask("pipe_file", self._path(kind, name), data, limit=len(data), absent=False)
        self._damaged.discard((kind, name))

    def remove(self, kind: Kind, name: str) -> None:
        """Have a damaged file overwritten by the next `write`: Bazel's protocol has no way to delete."""
        self._damaged.add((kind, name))

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, several at once."""
        from concurrent.futures import ThreadPoolExecutor

        waiting = list(items)
        if self._scheme == "memory" or len(waiting) < 2:
            return [function(i) for i in waiting]
        with ThreadPoolExecutor(min(_AT_ONCE, len(waiting))) as threads:
            return list(threads.map(function, waiting))

    def _path(self, kind: Kind, name: str) -> str:
        return f"{self._url}/{kind}/{name}"

    def _ask(self, what: Any, path: str, *values: Any, limit: int = 0, absent: bool = True, **options: Any) -> Any:
        """A method of the file system, or a coroutine of `http`; None where there is no such file and that is fine."""
        if self._gone is not None:
            raise self._gone
        try:
            system = self._system()
            if not getattr(system, "async_impl", False):
                return getattr(system, what)(path, *values, **options)
            from fsspec.asyn import sync

            seconds = CONNECT + SILENCE + limit / _SLOWEST
            if callable(what):
                return sync(system.loop, what, system, path, *values, timeout=seconds, **options)
            return sync(system.loop, getattr(system, f"_{what}"), path, *values, timeout=seconds, **options)
        except FileNotFoundError as error:
            if absent and _code(error) != "NoSuchBucket":
                return None
            raise self._failed("there is no such bucket or folder") from error
        except PermissionError as error:
            # S3 answers so for what is not there, too, if one may not list the bucket.
            raise Refused("it does not allow that, or has no such file") from error
        except (Damaged, Refused):
            raise
        except Exception as error:  # whatever a library raises of a network, a server and its credentials
            if what == "cat_file" and _code(error) in ("416", "InvalidRange"):
                return b""  # of nothing, there is no first byte
            raise self._failed(_cause(error)) from error

    def _failed(self, why: str) -> OSError:
        self._gone = OSError(why)
        return self._gone

    def _system(self) -> Any:
        """fsspec's file system, one for all threads; anew in a forked process: its connections are its parent's."""
        with self._making:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), _file_system(self._scheme)
            return self._made[1]


def _file_system(scheme: str) -> Any:
    import logging

    import fsspec
    from fsspec.asyn import sync

    for library in _TALKATIVE:  # a null handler: only who listens to a library's log sees it
        logging.getLogger(library).addHandler(logging.NullHandler())
    # fsspec keeps one instance for equal options: none is closed by the garbage collector in the middle of a question.
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in ("http", "https"):
        options["client_kwargs"] = client_options(CONNECT, SILENCE)
    elif scheme == "s3":
        retries = {"max_attempts": 1}
        options["config_kwargs"] = {"connect_timeout": CONNECT, "read_timeout": SILENCE, "retries": retries}
    made = fsspec.filesystem(scheme, **options)
    if scheme in ("s3", "gs"):
        made.retries = 1
    elif scheme != "memory":
        # Threads that asked at once would open one session each, and wait until all but one are closed.
        sync(made.loop, made.set_session, timeout=CONNECT)
    return made


def open_shared(settings: StoreSettings) -> SharedFolder | Remote | None:
    """The shared store of the settings, not yet asked anything."""
    if settings.url is None:
        return None
    writable = settings.mode == "read-write"
    if settings.url.startswith("file:"):
        return SharedFolder(file_path(settings.url), writable)
    return Remote(settings.url, writable)


def _code(error: BaseException) -> str:
    """What S3 or Google's storage calls the mistake: a name, or the HTTP status."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(error, "code", ""))


def _cause(error: BaseException) -> str:
    """What went wrong, without text of a server or of a library, which may repeat the URL and a password in it."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.errno and type(error.strerror) is str:
        try:
            return os.strerror(error.errno)
        except (OverflowError, ValueError):
            pass
    return str(error) if type(error) is OSError and not error.errno else f"it failed with {type(error).__name__}"
