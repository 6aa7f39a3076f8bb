"""Reader of .npz files that may be broken or hostile: the size of an array is known before it is unpacked."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import MAX_DATA, absence_reason, file_size, is_file
from pipeline.graph.tensor import Array

MAX_BYTES = 1 << 29
"""Bytes of one array once it is unpacked; it is held once more as float32."""
_MAX_DIRECTORY = 1 << 20
"""Bytes of the archive's directory: some 10,000 arrays. Python reads it whole before it says how many there are."""
_MAX_HEADER = 1 << 16
"""Bytes of the header that states an array's shape and type."""
_END, _END64 = b"PK\x05\x06", b"PK\x06\x07"
_HINT = "Write it with numpy.savez from plain number arrays."


class Npz(Mapping[str, Array]):
    """The arrays of an .npz file by name, each read when it is asked for.

    Raises ChipfitError for a file that is not readable as .npz, and for an array that is too large or not of numbers.
    """

    def __init__(self, path: Path, place: Place) -> None:
        self._path, self._place = path, place
        if not is_file(path):
            raise ChipfitError(f"{path.name} {absence_reason(path)}", place=place)
        if file_size(path) > MAX_DATA:
            message = f"{path.name} has {file_size(path)} bytes, the limit is {MAX_DATA}"
            raise ChipfitError(message, place=place, hint="Leave out samples.")
        try:
            _check_directory(path)
            with zipfile.ZipFile(path) as archive:
                members = [i.filename for i in archive.infolist() if i.filename.endswith(".npy")]
        except OSError as error:
            raise ChipfitError(f"{path.name} cannot be read: {error.strerror or error}", place=place) from error
        except Exception as error:  # zipfile raises whatever a damaged file makes it
            raise self._unreadable() from error
        self._members = {m.removesuffix(".npy"): m for m in members}
        if len(self._members) != len(members):
            raise ChipfitError(f"{path.name} holds two arrays of one name", place=place, hint=_HINT)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, key: str) -> Array:
        member = self._members[key]
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(member) as file:
                return self._array(file, key, archive.getinfo(member).file_size)
        except ChipfitError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy raise whatever a damaged file makes them
            raise self._unreadable() from error

    def _array(self, file: IO[bytes], key: str, size: int) -> Array:
        if size > MAX_BYTES:
            raise self._refuse(key, f"takes {size} bytes, the limit is {MAX_BYTES}", "Leave out samples.")
        shape, fortran, dtype = _header(file)
        if dtype.kind not in "fiub" or dtype.shape:
            raise self._refuse(key, f"has type {dtype}, expected numbers", _HINT)
        if min(shape, default=0) < 0 or len(shape) > 32 or prod(shape) * dtype.itemsize != size - file.tell():
            raise self._refuse(key, f"says that it has shape {_shape_text(shape)}, which is not what it holds", _HINT)
        flat = np.frombuffer(file.read(), dtype)
        array: Array = flat.reshape(shape, order="F" if fortran else "C")
        return array

    def _refuse(self, key: str, why: str, hint: str) -> ChipfitError:
        return ChipfitError(f"{self._path.name}: array {key!r} {why}", place=self._place, hint=hint)

    def _unreadable(self) -> ChipfitError:
        return ChipfitError(f"{self._path.name} is not a readable .npz file", place=self._place, hint=_HINT)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[Any]"]:
    """Shape, whether the order is Fortran's, and type of an array, from a header of bounded length.

    NumPy itself would read a header of any length that the file states. Raises ValueError. Source: numpy.lib.format.
    """
    version_1 = np.lib.format.read_magic(file) == (1, 0)
    stated = file.read(2 if version_1 else 4)
    length = int.from_bytes(stated, "little")
    if length > _MAX_HEADER:
        raise ValueError("a header that is longer than any array's")
    header = io.BytesIO(stated + file.read(length))
    read = np.lib.format.read_array_header_1_0 if version_1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(header)
    return shape, fortran, dtype


def _shape_text(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(str(d) if abs(d) < 1 << 64 else "..." for d in shape[:8]) + ")"


def _check_directory(path: Path) -> None:
    """Raise ValueError where the archive's directory is larger than that of any set of arrays."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - (1 << 16) - 64, 0))
        tail = file.read()
    at = tail.rfind(_END)
    if (
        at < 0
        or int.from_bytes(tail[at + 12 : at + 16], "little") > _MAX_DIRECTORY
        or _END64 in tail[max(at - 20, 0) : at]
    ):
        raise ValueError("no archive, or one of too many members")
