"""Content-addressed store of stage results: one folder of the user's, and maybe a shared one behind it.

`ac/<digest of a key>` is a record (`entry.Entry`), `cas/<sha256>` a file. A record is written after its files. Nothing
that is read is believed before its digest was compared, and nothing that goes wrong with a store fails a build.
"""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pipeline.facts.artifact import sha256
from pipeline.facts.errors import ChipfitError
from pipeline.facts.text import in_sentence
from stages.store import exchange
from stages.store.bounded import BoundedFolder
from stages.store.entry import EMPTY, Damaged, Entry, Output, entry_bytes
from stages.store.exchange import DamagedFile, Place, Result
from stages.store.settings import StoreSettings, require

if TYPE_CHECKING:  # a build without a shared store loads nothing of it
    from stages.store.shared import Remote, SharedFolder

T = TypeVar("T")
P = TypeVar("P", bound=Place)
Source = Literal["local", "shared"]


@dataclass(frozen=True)
class Restored:
    """A stage result out of the store: files by relative path, and the key that they were made from."""

    files: dict[str, bytes]
    source: Source
    key: Mapping[str, Any]


class Store:
    """Results of stages by the digest of their key. Only `put_blob` and `share_blob` raise because of the store."""

    def __init__(self, local: BoundedFolder | None, shared: "SharedFolder | Remote | None" = None) -> None:
        self._local, self._shared = local, shared
        self._writable = shared is not None and shared.writable
        self._said: set[str] = set()

    def restore(self, digest: str, stage: str | None = None, targets: Collection[str] = ()) -> Restored | None:
        """All files of a result, every byte verified; None where there is none, or it is damaged, which is said.

        Damaged is also a record of another `stage`, and one without the files `targets` that the stage always writes.
        What comes from the shared store is put into the local one; what it lacks is written to it, if one may.
        """
        local, shared = self._local, self._shared

        def read(place: Place) -> Result | None:
            return exchange.read_result(place, digest, stage, targets)

        result = self._try(local, read)
        if local is not None and result is not None:
            exchange.touch(local, digest, result.entry)
            if self._writable and not self._try(shared, lambda p: exchange.is_complete(p, digest)):
                self._save_there(result)
            return Restored(dict(result.files), "local", result.entry.key)
        result = self._try(shared, read)
        if result is None:
            return None
        self._save_here(result)
        return Restored(dict(result.files), "shared", result.entry.key)

    def save(self, key: Mapping[str, Any], stage: str, files: Mapping[str, bytes]) -> None:
        """Store a result. What prevents it is said in one line; the build has its files and goes on."""
        result = Result(exchange.make_entry(stage, key, files), files)
        try:
            entry_bytes(result.entry)
        except Damaged as error:
            self._say(f"a result of {stage} is not stored: it {error}")
            return
        self._save_here(result)
        self._save_there(result)

    def has(self, digest: str) -> Source | None:
        """Where a result could be restored from, judged by its record and the sizes of its blobs."""
        if self._try(self._local, lambda p: exchange.is_complete(p, digest)):
            return "local"
        return "shared" if self._try(self._shared, lambda p: exchange.is_complete(p, digest)) else None

    def entry(self, digest: str) -> Entry | None:
        """The record of a result, whose blobs may be gone."""
        found = self._try(self._local, lambda p: exchange.read_entry(p, digest))
        return found or self._try(self._shared, lambda p: exchange.read_entry(p, digest))

    def put_blob(self, data: bytes) -> str:
        """Store bytes for another machine's build, here and in a shared store that one may write; their sha256.

        Raises ChipfitError where that is impossible.
        """
        name = sha256(data)
        if self._local is None:
            raise ChipfitError("there is no store to put files in", hint="Storing is switched off.")
        if name == EMPTY:
            return name
        places: list[Place] = [self._local, *([self._shared] if self._shared is not None and self._writable else [])]
        for place in places:
            try:
                if place is self._local:
                    self._local.prepare()
                    self._local.reserve(len(data))
                if place.size("cas", name) != len(data):
                    place.write("cas", name, data)
            except OSError as error:
                raise ChipfitError(f"cannot write to the store: {_reason(error)}", place=str(place)) from error
        return name

    def share_blob(self, name: str, size: int, read: Callable[[], bytes]) -> None:
        """Have bytes of this sha256 and size, which `read` gives, in the shared store, for another machine's work.

        Raises ChipfitError where they are not there and cannot be written, or `read` gives others.
        """
        shared = self._shared
        if shared is None:
            raise ChipfitError("there is no shared store", hint="CHIPFIT_STORE names one.")
        if name == EMPTY:
            return
        try:
            if shared.size("cas", name) == size:
                return
            if not self._writable:
                raise OSError("it may only be read (CHIPFIT_STORE_MODE=read-write), or an earlier file failed")
            data = read()
            if sha256(data) != name:
                raise OSError("the file changes while it is read")
            shared.write("cas", name, data)
        except OSError as error:
            raise ChipfitError(
                f"a file cannot be put into the shared store: {_reason(error)}", place=str(shared)
            ) from error

    def is_shared(self, digest: str) -> bool:
        """Whether the shared store has all of a result."""
        return bool(self._try(self._shared, lambda p: exchange.is_complete(p, digest)))

    def get_blob(self, name: str, limit: int) -> bytes | None:
        """Bytes by their sha256, None where they are not there, are damaged or more than `limit`.

        What comes from the shared store is put into the local one.
        """

        def get(place: Place) -> bytes | None:
            size = place.size("cas", name)
            return None if size is None or size > limit else exchange.read_blob(place, Output(name, size))

        if name == EMPTY:
            return b""
        found = self._try(self._local, get)
        if found is not None:
            return found
        found = self._try(self._shared, get)
        if found is not None and self._local is not None and len(found) <= self._local.limit:
            self._try(self._local, lambda local: _keep(local, name, found))
        return found

    @contextmanager
    def exclusively(self, digest: str) -> Iterator[None]:
        """Make builders of one result take turns: the second finds it stored. Never fails, waits 10 minutes."""
        lock = self._try(self._local, lambda local: local.turn(digest))
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def _save_here(self, result: Result) -> None:
        local = self._local
        if local is None:
            return
        size = sum(map(len, result.files.values()))
        if size > local.limit:
            self._say(f"a result of {result.entry.stage} is not stored: it has {size} bytes, the store {local.limit}")
            return

        def save(_: BoundedFolder) -> None:
            exchange.touch(local, result.entry.digest, result.entry)
            blobs = exchange.missing(local, result)
            local.prepare()
            local.reserve(sum(map(len, blobs.values())) + len(entry_bytes(result.entry)))
            exchange.write_result(local, result, blobs)

        self._try(local, save)

    def _save_there(self, result: Result) -> None:
        """Write to the shared store, if one may; after the first failure no more of it."""
        if not self._writable:
            return

        def save(place: Place) -> bool:
            exchange.write_result(place, result, exchange.missing(place, result))
            return True

        self._writable = self._try(self._shared, save) is not None

    def _try(self, place: P | None, action: Callable[[P], T]) -> T | None:
        """What `action` gives; None after one line on stderr where the place is damaged or cannot be reached."""
        if place is None:
            return None
        try:
            return action(place)
        except DamagedFile as error:
            self._say(f"{place}: {error}: it is made anew")
            for file in (error, *error.others):
                try:
                    place.remove(file.kind, file.name)
                except OSError as failed:
                    self._say(f"{place}: {file.kind}/{file.name} cannot be removed: {_reason(failed)}")
        except (OSError, NotImplementedError) as error:  # the latter is of a file system without locks
            self._say(f"{place}: {_reason(error)}: the build goes on without it")
        return None

    def _say(self, text: str) -> None:
        """One line on stderr, once."""
        if text not in self._said:
            self._said.add(text)
            print(in_sentence(f"store: {text}"), file=sys.stderr)


def open_store(settings: StoreSettings) -> Store:
    """The store that the settings name. Nothing is touched, asked or made before the first result.

    Raises ChipfitError where the shared store's library is not installed.
    """
    if not settings.enabled:
        return Store(None)
    local = BoundedFolder(settings.folder, settings.size)
    if settings.url is None:
        return Store(local)
    from stages.store.shared import open_shared

    require(settings.url)
    return Store(local, open_shared(settings))


def _reason(error: OSError | NotImplementedError) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _keep(local: BoundedFolder, name: str, data: bytes) -> None:
    local.prepare()
    local.reserve(len(data))
    local.write("cas", name, data)


__all__ = ["Entry", "Output", "Restored", "Source", "Store", "StoreSettings", "open_store"]
