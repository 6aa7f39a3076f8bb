"""What a user's store holds, and whether all of it is what it says."""

import re
from dataclasses import dataclass

from stages.store.bounded import BoundedFolder
from stages.store.entry import EMPTY, MAX_BLOB, MAX_RECORD, AnotherForm, Damaged, Entry, Output, parse_entry
from stages.store.exchange import DamagedFile, read_blob

_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class StageStats:
    """Results of one stage, and the bytes of their files; a file of several results counts in each."""

    stage: str
    results: int
    bytes: int


@dataclass(frozen=True)
class Stats:
    """A store in numbers of bytes: `incomplete` results have lost files to eviction, `unused` files their records.

    `others` are results of other versions of chipfit.
    """

    folder: str
    limit: int
    bytes: int
    results: int
    incomplete: int
    files: int
    unused: int
    others: int
    stages: tuple[StageStats, ...]


@dataclass(frozen=True)
class Verified:
    """Every record and file was read: how many, and what was wrong with those that were removed.

    `others` are results of other versions of chipfit, which are left alone.
    """

    folder: str
    results: int
    others: int
    files: int
    damaged: tuple[str, ...]


def stats(folder: BoundedFolder) -> Stats:
    """What the store holds, by its records and the sizes of its files. Damaged records are left out. Raises OSError."""
    entries, others = _entries(folder, [])
    sizes = {name: status.st_size for name, status in folder.names("cas")}
    used = {o.sha256 for e in entries for o in e.outputs.values()}
    used |= {d.decode() for data in others for d in _DIGEST.findall(data)}  # whatever their form
    stages: dict[str, tuple[int, int]] = {}
    for entry in entries:
        results, size = stages.get(entry.stage, (0, 0))
        stages[entry.stage] = results + 1, size + sum(o.size for o in entry.outputs.values())
    return Stats(
        folder=str(folder),
        limit=folder.limit,
        bytes=folder.total(),
        results=len(entries),
        incomplete=sum(any(sizes.get(o.sha256) != o.size for o in _stored(e)) for e in entries),
        files=len(sizes),
        unused=len(sizes.keys() - used),
        others=len(others),
        stages=tuple(StageStats(s, *stages[s]) for s in sorted(stages)),
    )


def verify(folder: BoundedFolder) -> Verified:
    """Read every record and every file, and remove what is damaged. Raises OSError."""
    damaged: list[DamagedFile] = []
    entries, others = _entries(folder, damaged)
    names = sorted(n for n, _ in folder.names("cas"))
    for name in names:
        try:
            data = folder.read("cas", name, MAX_BLOB)
            if data is not None:
                read_blob(folder, Output(name, len(data)))
        except DamagedFile as error:
            damaged.append(error)
        except Damaged as error:
            damaged.append(DamagedFile("cas", name, str(error)))
    for file in damaged:
        folder.remove(file.kind, file.name)
    return Verified(str(folder), len(entries), len(others), len(names), tuple(map(str, damaged)))


def _entries(folder: BoundedFolder, damaged: list[DamagedFile]) -> tuple[list[Entry], list[bytes]]:
    """Every record, and the bytes of those of other versions; those that are damaged are added to `damaged`."""
    found, others = [], []
    for name in sorted(n for n, _ in folder.names("ac")):
        try:
            data = folder.read("ac", name, MAX_RECORD)
            if data is None:
                continue
            try:
                found.append(parse_entry(data, name))
            except AnotherForm:
                others.append(data)
        except Damaged as error:
            damaged.append(DamagedFile("ac", name, str(error)))
    return found, others


def _stored(entry: Entry) -> list[Output]:
    return [o for o in entry.outputs.values() if o.sha256 != EMPTY]
