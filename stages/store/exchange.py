"""Stage results in and out of one place that holds `ac` and `cas` files, every byte checked on the way in."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pipeline.facts.artifact import sha256
from stages.store.entry import EMPTY, MAX_RECORD, AnotherForm, Damaged, Entry, Output, entry_bytes, parse_entry
from stages.store.folder import Folder, Kind

T = TypeVar("T")
R = TypeVar("R")


class Place(Protocol):
    """Where the files of a store lie. All raise OSError when they cannot be reached; `read` raises Damaged."""

    def read(self, kind: Kind, name: str, limit: int) -> bytes | None: ...

    def size(self, kind: Kind, name: str) -> int | None: ...

    def write(self, kind: Kind, name: str, data: bytes) -> None: ...

    def remove(self, kind: Kind, name: str) -> None:
        """Have a damaged file replaced."""

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, several at once where waiting for an answer takes the time."""


@dataclass(frozen=True)
class Result:
    """A whole stage result: its record, and all files by relative path."""

    entry: Entry
    files: Mapping[str, bytes]


class DamagedFile(Damaged):
    """A file of a store that is not what its name says; `others` are such files of the same result."""

    def __init__(self, kind: Kind, name: str, reason: str, others: "tuple[DamagedFile, ...]" = ()) -> None:
        more = f" (and {len(others)} more of this result)" if others else ""
        super().__init__(f"{kind}/{name[:12]} {reason}{more}")
        self.kind, self.name, self.reason, self.others = kind, name, reason, others


def make_entry(stage: str, key: Mapping[str, object], files: Mapping[str, bytes]) -> Entry:
    return Entry(stage, key, {n: Output(sha256(d), len(d)) for n, d in sorted(files.items())})


def read_entry(place: Place, digest: str) -> Entry | None:
    """The record of a key, None where there is none, or that of another version of chipfit. Raises DamagedFile."""
    try:
        data = place.read("ac", digest, MAX_RECORD)
        return None if data is None else parse_entry(data, digest)
    except AnotherForm:
        return None
    except Damaged as error:
        raise DamagedFile("ac", digest, str(error)) from error


def unlike(entry: Entry, stage: str | None, targets: Collection[str]) -> str | None:
    """What a record has unlike every result of this stage, which always writes `targets`; None where it has nothing."""
    if stage is not None and entry.stage != stage:
        return f"is a result of {entry.stage}, expected {stage}"
    lacking = [t for t in targets if t not in entry.outputs]
    return f"lacks {lacking[0]}, which {entry.stage} always writes" if lacking else None


def read_blob(place: Place, content: Output) -> bytes | None:
    """A blob of the content that its record gives, None where there is none. Raises DamagedFile."""
    if content.sha256 == EMPTY:
        return b""
    try:
        data = place.read("cas", content.sha256, content.size)
    except Damaged as error:
        raise DamagedFile("cas", content.sha256, str(error)) from error
    if data is not None and (len(data) != content.size or sha256(data) != content.sha256):
        raise DamagedFile("cas", content.sha256, "does not hold the bytes that it is named after")
    return data


def read_result(place: Place, digest: str, stage: str | None = None, targets: Collection[str] = ()) -> Result | None:
    """Everything stored for a key; None where the record or one of its blobs is not there.

    Raises DamagedFile for a record of another `stage` or without one of its `targets`, and for damaged files, of which
    it names every one: a next build shall not find the second one.
    """
    entry = read_entry(place, digest)
    if entry is None:
        return None
    if (wrong := unlike(entry, stage, targets)) is not None:
        raise DamagedFile("ac", digest, wrong)

    def read(content: Output) -> bytes | DamagedFile | None:
        try:
            return read_blob(place, content)
        except DamagedFile as error:
            return error

    wanted = sorted(set(entry.outputs.values()), key=lambda o: o.sha256)
    found = place.each(read, wanted)
    if damaged := [f for f in found if isinstance(f, DamagedFile)]:
        first, *others = damaged
        raise DamagedFile(first.kind, first.name, first.reason, tuple(others))
    blobs = {o: f for o, f in zip(wanted, found, strict=True) if isinstance(f, bytes)}
    files = {n: data for n, o in entry.outputs.items() if (data := blobs.get(o)) is not None}
    return Result(entry, files) if len(files) == len(entry.outputs) else None


def is_complete(place: Place, digest: str) -> bool:
    """Whether record and blobs are there, at the right sizes; blobs are not read. Raises DamagedFile."""
    entry = read_entry(place, digest)
    if entry is None:
        return False
    wanted = {o for o in entry.outputs.values() if o.size}
    return all(place.each(lambda o: place.size("cas", o.sha256) == o.size, wanted))


def missing(place: Place, result: Result) -> dict[str, bytes]:
    """The blobs of a result that the place does not hold, by sha256."""
    blobs = {o.sha256: result.files[n] for n, o in result.entry.outputs.items() if o.size}
    held = place.each(lambda s: place.size("cas", s) == len(blobs[s]), blobs)
    return {s: blobs[s] for s, h in zip(blobs, held, strict=True) if not h}


def write_result(place: Place, result: Result, blobs: Mapping[str, bytes]) -> None:
    """Write the `missing` blobs, then the record: whoever sees it finds them, unless they are evicted in between."""
    record = entry_bytes(result.entry)
    place.each(lambda s: place.write("cas", s, blobs[s]), blobs)
    place.write("ac", result.entry.digest, record)


def touch(folder: Folder, digest: str, entry: Entry) -> None:
    """Say that a result was used now. Its record is older than its blobs and is evicted first."""
    folder.touch("ac", digest)
    for sha in {o.sha256 for o in entry.outputs.values()}:
        folder.touch("cas", sha)
