"""The files in which an ONNX file keeps its tensors, found in its bytes alone: a cache key need not load onnx.

Numbers of fields are those of onnx.proto, the wire format is protobuf's (protobuf.dev/programming-guides/encoding).
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import MAX_MODEL, file_size, is_file

_LOCATION = b"location"
"""The key that every tensor with external data has; a file without these bytes has none."""
# For each kind of message the fields that lead to a tensor, and the kind of message that they hold.
_FIELDS_TO_TENSORS: Mapping[str, Mapping[int, str]] = {
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
"""Fields that are read at most: ten times what the largest networks have, and some seconds' work."""
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


class _FieldLimit:
    """Fields of any kind that may still be read: a file of numbers alone takes as long as one of messages."""

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
    """The files that any tensor of an ONNX file names, by name as written.

    Only files inside the model's folder, for nothing else is ever read; missing ones are included. Empty for a file
    that is not ONNX, is too large, or cannot be read. Raises ChipfitError for one of more than MAX_FIELDS fields.
    """
    if not is_file(path) or file_size(path) > MAX_MODEL:
        return {}
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            limit = _FieldLimit(place or Place(path.name))
            names = sorted(set(_locations(data, limit))) if data.find(_LOCATION) >= 0 else []
    except (OSError, ValueError):
        return {}
    folder = path.resolve().parent
    found = {name: file_inside(folder, name) for name in names}
    return {name: target for name, target in found.items() if target is not None}


def file_inside(folder: Path, location: str) -> Path | None:
    """The file that `location` means in the model's resolved `folder`; None when that is not inside it.

    Absolute paths (also those of Windows), `..`, and links that lead outside are not inside.
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


def _locations(data: mmap.mmap, limit: _FieldLimit) -> Iterator[str]:
    waiting = [("model", 0, len(data))]
    while waiting:
        kind, begin, end = waiting.pop()
        if kind == "entry":
            entry = {number: data[a:b] for number, a, b in _fields(data, begin, end, limit)}
            if entry.get(_KEY) == _LOCATION:
                yield entry.get(_VALUE, b"").decode("utf-8", "replace")
            continue
        fields = _FIELDS_TO_TENSORS[kind]
        waiting += [(fields[n], a, b) for n, a, b in _fields(data, begin, end, limit) if n in fields]


def _fields(data: mmap.mmap, at: int, end: int, limit: _FieldLimit) -> Iterator[tuple[int, int, int]]:
    """(number, begin, end) of the fields of a message that have a length; it stops where the bytes make no sense."""
    while at < end:
        limit.spend()
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            at = _varint(data, at, end)[1]
        elif kind == _LEN:
            size, at = _varint(data, at, end)
            if at + size > end:
                return
            yield tag >> 3, at, at + size
            at += size
        elif kind in (_I64, _I32):
            at += 8 if kind == _I64 else 4
        # A group's fields are taken for the message's own: onnx has none, and a file too many does no harm.


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at
    return 0, end
