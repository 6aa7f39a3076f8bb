"""Which files an ONNX file keeps its tensors in: found in its bytes alone, so that a cache key need not load onnx.

Numbers of fields are those of onnx.proto, the wire format is protobuf's (protobuf.dev/programming-guides/encoding).
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import MAX_MODEL, file_size, is_file

_MARK = b"location"
"""The key that every tensor with external data has; a file without these bytes has none."""
# For each message the fields that lead to a tensor, and what stands there.
_WAYS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2
MAX_EXTERNAL = 1 << 29
"""Bytes that all tensors together may read from other files: many may name the same one."""
MAX_FIELDS = 1 << 21
"""Fields that are looked at: ten times what the largest networks have, and some seconds' work."""
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


class _Left:
    """How many fields may yet be looked at, of every kind: a file of numbers alone takes as long."""

    def __init__(self, place: Place) -> None:
        self.fields, self.place = MAX_FIELDS, place

    def spend(self) -> None:
        self.fields -= 1
        if self.fields < 0:
            raise ChipfitError(
                f"has more than {MAX_FIELDS} fields, too many to look for tensors in other files",
                place=self.place,
                hint="Keep its tensors in the file itself.",
            )


def external_files(path: Path, place: Place | None = None) -> dict[str, Path]:
    """The files that the tensors of an ONNX file name, wherever the tensor stands, by name as written.

    Only those inside the model's folder: nothing else is ever read. Files that are missing are among them; of a file
    that is no ONNX, is too large, or cannot be read, there are none. Raises ChipfitError for one of more than
    MAX_FIELDS fields.
    """
    if not is_file(path) or file_size(path) > MAX_MODEL:
        return {}
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            names = sorted(set(_locations(data, _Left(place or Place(path.name))))) if data.find(_MARK) >= 0 else []
    except (OSError, ValueError):
        return {}
    folder = path.resolve().parent
    found = {name: inside(folder, name) for name in names}
    return {name: target for name, target in found.items() if target is not None}


def inside(folder: Path, location: str) -> Path | None:
    """The file that `location` means in the model's resolved `folder`; None when that is not inside it.

    Absolute paths, those of Windows included, `..`, and links that lead outside are not.
    """
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not parts or absolute or ".." in parts or "\0" in location:
        return None
    target = folder / location
    try:
        return target if target.resolve().is_relative_to(folder) and target.resolve() != folder else None
    except (OSError, RuntimeError):  # too long, or links in a circle
        return None


def _locations(data: mmap.mmap, left: _Left) -> Iterator[str]:
    waiting = [("model", 0, len(data))]
    while waiting:
        kind, begin, end = waiting.pop()
        if kind == "entry":
            entry = {number: data[a:b] for number, a, b in _fields(data, begin, end, left)}
            if entry.get(_KEY) == _MARK:
                yield entry.get(_VALUE, b"").decode("utf-8", "replace")
            continue
        ways = _WAYS[kind]
        waiting += [(ways[n], a, b) for n, a, b in _fields(data, begin, end, left) if n in ways]


def _fields(data: mmap.mmap, at: int, end: int, left: _Left) -> Iterator[tuple[int, int, int]]:
    """(number, begin, end) of the fields of a message that have a length; it stops where the bytes make no sense."""
    while at < end:
        left.spend()
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            at = _varint(data, at, end)[1]
        elif kind == _LENGTH:
            size, at = _varint(data, at, end)
            if at + size > end:
                return
            yield tag >> 3, at, at + size
            at += size
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        # A group's fields are taken for the message's own: onnx has none, and a file too many does no harm.


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at
    return 0, end
