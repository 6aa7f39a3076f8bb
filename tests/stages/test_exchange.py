"""Corruption of a store of every kind: noticed, said in one line, and made anew."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.facts.artifact import json_sha256, sha256
from stages.store import Store, StoreSettings, open_store

KEY = {"code": {"quantize.py": "12"}}
DIGEST = json_sha256(KEY)
FILES = {"quantize.json": b"{}\n" * 50, "weights.bin": bytes(range(200)) * 5}


def open_here(folder: Path) -> Store:
    return open_store(StoreSettings(folder))


def flip(path: Path, at: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    replace(path, bytes(data))


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def swap(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def grow(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 1 << 40)  # a hole of a tebibyte: a file system has no room for it, and nobody may read it


DAMAGES: dict[str, Callable[[Path], object]] = {
    "first bit": lambda p: flip(p, 0),
    "a bit in the middle": lambda p: flip(p, 100, 64),
    "last bit": lambda p: flip(p, -1, 2),
    "a byte less": lambda p: replace(p, p.read_bytes()[:-1]),
    "half": lambda p: replace(p, p.read_bytes()[:75]),
    "nothing": lambda p: replace(p, b""),
    "a byte more": lambda p: replace(p, p.read_bytes() + b"\0"),
    "zeros": lambda p: replace(p, bytes(p.stat().st_size)),
    "a tebibyte": grow,
    "a link": lambda p: swap(p, lambda p: p.symlink_to("/etc/passwd")),
    "a pipe": lambda p: swap(p, os.mkfifo),
    "a folder": lambda p: swap(p, lambda p: (p / "deep").mkdir(parents=True)),
}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", [f"ac/{DIGEST}", f"cas/{sha256(FILES['weights.bin'])}"], ids=["record", "blob"])
def test_damage_is_said_in_one_line_and_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, damage: Callable[[Path], object]
) -> None:
    open_here(tmp_path).save(KEY, "quantize", FILES)
    try:
        damage(tmp_path / file)
    except OSError:
        pytest.skip("the file system has no files that large")
    store = open_here(tmp_path)
    assert store.restore(DIGEST) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"store: {tmp_path}: {file[:-52]} ") and "made anew" in said
    store.save(KEY, "quantize", FILES)
    restored = store.restore(DIGEST)
    assert restored is not None and restored.files == FILES
    assert capsys.readouterr().err == "" and Path("/etc/passwd").is_file()


def test_a_record_under_another_name_is_not_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_here(tmp_path)
    store.save(KEY, "quantize", FILES)
    other = "f" * 64
    (tmp_path / "ac" / DIGEST).rename(tmp_path / "ac" / other)
    assert store.restore(other) is None and store.has(other) is None and store.entry(other) is None
    assert capsys.readouterr().err.count("is the record of another key") == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read and write everything")
def test_a_store_without_permissions_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_here(tmp_path / "store")
    store.save(KEY, "quantize", FILES)
    (tmp_path / "store").chmod(0)
    assert store.restore(DIGEST) is None
    store.save(KEY, "quantize", FILES)
    (tmp_path / "store").chmod(0o700)
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["", "ac", "cas", "tmp", ".lock"])
def test_a_file_where_the_store_wants_a_folder_costs_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    root = tmp_path / "store"
    if place == ".lock":
        (root / place).mkdir(parents=True)
    elif place:
        root.mkdir()
        (root / place).write_text("", "utf-8")
    else:
        root.write_text("", "utf-8")
    store = open_here(root)
    store.save(KEY, "quantize", FILES)
    assert store.restore(DIGEST) is None and store.has(DIGEST) is None
    said = capsys.readouterr().err
    assert said.startswith(f"store: {root}: ") and said.count("\n") == 1, said


def test_every_damaged_file_of_a_result_goes_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_here(tmp_path)
    store.save(KEY, "quantize", FILES)
    blobs = [tmp_path / "cas" / sha256(data) for data in FILES.values()]
    for path in blobs:
        flip(path, 5)
    assert store.restore(DIGEST) is None and not any(p.exists() for p in blobs)
    assert "(and 1 more of this result): it is made anew" in capsys.readouterr().err
