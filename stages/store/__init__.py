"""Content-addressed store of stage results: one folder of the user's, and maybe a shared one behind it.

`ac/<digest of a key>` is a record (`entry.Entry`), `cas/<sha256>` a file. A record is written after its files. Nothing
that is read is believed before its digest was compared, and nothing that goes wrong with a store fails a build.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pipeline.facts.artifact import sha256
from pipeline.facts.errors import ChipfitError
from pipeline.facts.text import in_sentence
from stages.store import exchange
from stages.store.bounded import BoundedFolder
from stages.store.entry import Damaged, Entry, Output, entry_bytes
from stages.store.exchange import DamagedFile, Result
from stages.store.settings import StoreSettings

T = TypeVar("T")
Source = Literal["local", "shared"]


@dataclass(frozen=True)
class Restored:
    """A stage result out of the store: files by relative path, and the key that they were made from."""

    files: Mapping[str, bytes]
    source: Source
    key: Mapping[str, Any]


class Store:
    """Results of stages by the digest of their key. No method but `put_blob` raises because of the store."""

    def __init__(self, local: BoundedFolder | None) -> None:
        self._local = local
        self._said: set[str] = set()

    def restore(self, digest: str) -> Restored | None:
        """All files of a result, every byte verified; None where there is none, or it is damaged, which is said."""
        local = self._local
        if local is not None:
            result = self._try(local, lambda: exchange.read_result(local, digest))
            if result is not None:
                exchange.touch(local, result.entry)
                return Restored(result.files, "local", result.entry.key)
        return None

    def save(self, entry_key: Mapping[str, Any], stage: str, files: Mapping[str, bytes]) -> None:
        """Store a result. What prevents it is said in one line; the build has its files and goes on."""
        result = Result(exchange.make_entry(stage, entry_key, files), files)
        try:
            entry_bytes(result.entry)
        except Damaged as error:
            self._say(f"a result of {stage} is not stored: it {error}")
            return
        self._save_here(result)

    def has(self, digest: str) -> Source | None:
        """Where a result could be restored from, judged by its record and the sizes of its blobs."""
        local = self._local
        if local is not None and self._try(local, lambda: exchange.is_complete(local, digest)):
            return "local"
        return None

    def entry(self, digest: str) -> Entry | None:
        """The record of a result, whose blobs may be gone."""
        local = self._local
        return None if local is None else self._try(local, lambda: exchange.read_entry(local, digest))

    def put_blob(self, data: bytes) -> str:
        """Store bytes for another machine's build; their sha256. Raises ChipfitError where that is impossible."""
        name = sha256(data)
        if self._local is None:
            raise ChipfitError("there is no store to put files in", hint="Unset CHIPFIT_STORE=none.")
        try:
            self._local.prepare()
            self._local.reserve(len(data))
            self._local.write("cas", name, data)
        except OSError as error:
            raise ChipfitError(f"cannot write to the store: {_reason(error)}", place=str(self._local)) from error
        return name

    def get_blob(self, name: str, limit: int) -> bytes | None:
        """Bytes by their sha256, None where they are not there, are damaged or more than `limit`."""
        local = self._local
        if local is None:
            return None
        size = self._try(local, lambda: local.size("cas", name))
        if size is None or size > limit:
            return None
        return self._try(local, lambda: exchange.read_blob(local, Output(name, size)))

    def _save_here(self, result: Result) -> None:
        local = self._local
        if local is None:
            return
        size = sum(map(len, result.files.values()))
        if size > local.limit:
            self._say(f"a result of {result.entry.stage} is not stored: it has {size} bytes, the store {local.limit}")
            return

        def save() -> None:
            exchange.touch(local, result.entry)
            blobs = exchange.missing(local, result)
            record = len(entry_bytes(result.entry))
            local.prepare()
            local.reserve(sum(map(len, blobs.values())) + record)
            exchange.write_result(local, result, blobs)

        self._try(local, save)

    def _try(self, place: BoundedFolder, action: Callable[[], T]) -> T | None:
        """What `action` gives; None after one line on stderr where the place is damaged or cannot be reached."""
        try:
            return action()
        except DamagedFile as error:
            self._say(f"{place}: {error}: it is made anew")
            try:
                place.remove(error.kind, error.name)
            except OSError as failed:
                self._say(f"{place}: {error.kind}/{error.name} cannot be removed: {_reason(failed)}")
        except OSError as error:
            self._say(f"{place}: {_reason(error)}: the build goes on without it")
        return None

    def _say(self, text: str) -> None:
        """One line on stderr, once."""
        if text not in self._said:
            self._said.add(text)
            print(in_sentence(f"store: {text}"), file=sys.stderr)


def open_store(settings: StoreSettings) -> Store:
    """The store that the settings name. Nothing is touched, asked or made before the first result."""
    return Store(BoundedFolder(settings.folder, settings.size) if settings.enabled else None)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


__all__ = ["Entry", "Output", "Restored", "Source", "Store", "StoreSettings", "open_store"]
