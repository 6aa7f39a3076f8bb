"""Data files that are broken, hostile or large: one sentence for each, and only what is asked for is unpacked."""

import io
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bounded import bounded

from pipeline.facts.config.models import DataSource
from pipeline.facts.errors import ChipfitError, Place
from pipeline.graph.tensor import Port
from pipeline.model_files.npz import Npz
from pipeline.quantizing.data import load_samples

GOOD = np.arange(8, dtype=np.float32).reshape(2, 4)


def npy(header: str | bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def header(descr: object, shape: object, fortran: object = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}\n"


def archive(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def of(data: bytes) -> bytes:
    return archive(("x.npy", data))


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def broken(data: bytes, at: int, value: int) -> bytes:
    damaged = bytearray(data)
    damaged[at] = value
    return bytes(damaged)


def with_pickle() -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.array([{"a": 1}], dtype=object))
    return out.getvalue()


PLAIN = archive(("x.npy", saved(GOOD)), kind=zipfile.ZIP_STORED)
UNREADABLE, SHAPE, KIND = "is not a readable .npz file", "says that it has shape", "expected numbers"
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", UNREADABLE),
    "no archive": (lambda: b"\x93NUMPY" * 50, UNREADABLE),
    "an array alone": (lambda: saved(GOOD), UNREADABLE),
    "truncated": (lambda: PLAIN[:100], UNREADABLE),
    "truncated member": (lambda: of(saved(GOOD)[:-3]), SHAPE),
    "longer member": (lambda: of(saved(GOOD) + b"more"), SHAPE),
    "bad crc": (lambda: broken(PLAIN, 170, 0xFF), UNREADABLE),
    "wrong magic": (lambda: of(b"\x93NUMPX" + saved(GOOD)[6:]), UNREADABLE),
    "unknown version": (lambda: of(npy(header("<f4", (2,)), bytes(8), b"\x09\x00")), UNREADABLE),
    "no header": (lambda: of(b"\x93NUMPY\x01\x00"), UNREADABLE),
    "header of nonsense": (lambda: of(npy("{'descr': ")), UNREADABLE),
    "header of code": (lambda: of(npy("__import__('os').system('true')\n")), UNREADABLE),
    "deep header": (lambda: of(npy("(" * 5000)), UNREADABLE),
    "long header": (lambda: of(npy(header("<f4", (1,) * 20_000))), UNREADABLE),
    "bytes in header": (lambda: of(npy(bytes(range(128, 256)))), UNREADABLE),
    "negative shape": (lambda: of(npy(header("<f4", (-2, -4)), bytes(32))), SHAPE),
    "huge shape": (lambda: of(npy(header("<f4", (1 << 40, 1 << 40)))), SHAPE),
    "shape of many digits": (lambda: of(npy(header("<f4", (10**4000,)))), SHAPE),
    "shape of nonsense": (lambda: of(npy(header("<f4", "abc"))), UNREADABLE),
    "shape of truth": (lambda: of(npy(header("<f4", (True, 2)), bytes(4))), SHAPE),
    "many axes": (lambda: of(npy(header("<f4", (1,) * 60), bytes(4))), SHAPE),
    "objects": (with_pickle, KIND),
    "text": (lambda: of(saved(np.array(["a", "b"]))), KIND),
    "dates": (lambda: of(saved(np.array(["2020-01-01"], "datetime64[D]"))), KIND),
    "complex numbers": (lambda: of(saved(np.ones(2, np.complex64))), KIND),
    "fields": (lambda: of(saved(np.zeros(2, [("a", "f4"), ("b", "i4")]))), KIND),
    "subarrays": (lambda: of(npy(header([("a", "<f4", (1 << 30,))], (2,)))), UNREADABLE),
    "unknown type": (lambda: of(npy(header("<q9", (2,)), bytes(8))), UNREADABLE),
    "two of one name": (
        lambda: archive(("x.npy", saved(GOOD)), ("x.npy", saved(GOOD))),
        "holds two arrays of one name",
    ),
    "no axis": (lambda: of(saved(np.float32(3))), "holds no samples"),
    "no samples": (lambda: of(saved(np.zeros((0, 4), np.float32))), "holds no samples"),
    "bomb": (lambda: of(npy(header("<f4", (1 << 28,)), bytes(1 << 30))), "takes 1073741"),
    "a lie about a bomb": (lambda: of(npy(header("|u1", (4,)), bytes(1 << 28))), SHAPE),
    "many members": (lambda: archive(*((f"{i}.npy", b"") for i in range(40_000)), kind=0), UNREADABLE),
    "encrypted": (lambda: broken(broken(PLAIN, 6, 1), PLAIN.rfind(b"PK\x01\x02") + 8, 1), UNREADABLE),
    "another compression": (lambda: broken(PLAIN, PLAIN.rfind(b"PK\x01\x02") + 10, 97), UNREADABLE),
}
SLOW = ("bomb", "a lie about a bomb", "many members")


def load(path: Path) -> object:
    port = Port("x", "x", (1, 4), (0, 1))
    return load_samples(path, Place("net.yaml", 3), [port], DataSource(file="d.npz"), defaults=("calib", "x"))


def check(name: str, folder: Path) -> None:
    make, says = BAD[name]
    path = folder / "d.npz"
    path.write_bytes(make())
    message = bounded(lambda: load(path)).message
    assert message.startswith("net.yaml:3: d.npz") and says in message and "\n" not in message, message


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
@pytest.mark.parametrize("name", [n for n in BAD if n not in SLOW])
def test_a_data_file_that_is_none_is_said(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SLOW)
def test_a_large_data_file_is_refused_before_it_is_unpacked(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_a_header_is_not_read_as_long_as_it_says(tmp_path: Path) -> None:
    stated = 1 << 26
    (tmp_path / "d.npz").write_bytes(of(b"\x93NUMPY\x02\x00" + struct.pack("<I", stated) + b" " * stated))
    tracemalloc.start()
    try:
        with pytest.raises(ChipfitError, match=UNREADABLE):
            Npz(tmp_path / "d.npz", Place("net.yaml"))["x"]
        assert tracemalloc.get_traced_memory()[1] < stated // 16
    finally:
        tracemalloc.stop()


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path, refused = tmp_path / "d.npz", 0
    for _ in range(150):
        damaged = bytearray(PLAIN)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            load(path)
        except ChipfitError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 0 < refused < 150


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    fortran = np.asfortranarray(GOOD)
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=fortran, names=np.array(["a", "b"]), objects=np.array([{}], object))
    arrays = Npz(path, Place("net.yaml"))
    assert sorted(arrays) == ["names", "objects", "x"]
    np.testing.assert_array_equal(arrays["x"], GOOD)
    with pytest.raises(ChipfitError, match="array 'names' has type <U1, expected numbers"):
        arrays["names"]
