"""Folders of results: written whole, replaced whole, and believed only while every byte is what was written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.facts.artifact import (
    STAMP,
    digests,
    file_sha256,
    is_intact,
    json_sha256,
    remove_leftovers,
    sha256,
    to_json,
    write_folder,
)
from pipeline.facts.errors import ChipfitError

FILES = {"b.json": b"{}\n", "src/deep/a.c": b"int a;\n"}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "build" / "product" / "codegen"
    write_folder(folder, FILES, "key")
    return folder


def below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_digests_are_sha256_of_the_bytes(tmp_path: Path) -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert file_sha256(tmp_path / "y") == file_sha256(tmp_path) == "missing"


def test_json_is_for_people_and_diffs_and_has_no_nan() -> None:
    assert to_json({"b": [1, None], "a": 0.5}) == b'{\n "b": [\n  1,\n  null\n ],\n "a": 0.5\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": float("nan")})


def test_a_digest_of_json_tells_values_and_their_order_apart() -> None:
    """The digest was made by `printf '{"b": [1, null], "a": 0.5}' | sha256sum`."""
    value = {"b": [1, None], "a": 0.5}
    assert json_sha256(value) == "109731917ddea07e4d14d054d86702bcee7c8a8ecc66f6ebc6a912b39dfb9814"
    assert json_sha256(value) != json_sha256(dict(sorted(value.items())))
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_sha256(float("nan"))


def test_a_folder_holds_its_files_and_a_stamp_of_them(target: Path) -> None:
    stamp = {"key": "key", "files": {n: sha256(d) for n, d in FILES.items()}}
    found = below(target)
    written = json.loads(found.pop(STAMP))
    assert len(written.pop("seal")) == 64
    assert written == stamp
    assert found == FILES
    assert digests(target) == stamp["files"]
    assert is_intact(target, "key") and not is_intact(target, "other")
    assert [p.name for p in target.parent.iterdir()] == ["codegen"], "nothing is left beside it"
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_folder_is_replaced_whole(target: Path) -> None:
    write_folder(target, {"c.txt": b"new"}, "second")
    assert sorted(below(target)) == [STAMP, "c.txt"]
    assert is_intact(target, "second") and not is_intact(target, "key")
    assert [p.name for p in target.parent.iterdir()] == ["codegen"]
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "change",
    [
        lambda t: (t / "b.json").write_bytes(b"{}\r"),
        lambda t: (t / "b.json").write_bytes(b""),
        lambda t: (t / "b.json").unlink(),
        lambda t: (t / "src" / "deep" / "a.c").write_bytes(b"int b;\n"),
        lambda t: (t / STAMP).unlink(),
        lambda t: (t / STAMP).write_bytes((t / STAMP).read_bytes()[:-9]),
        lambda t: (t / STAMP).write_text("[]"),
        lambda t: (t / STAMP).write_text("{}"),
        lambda t: (t / STAMP).write_text('{"key": "key"}'),
        lambda t: (t / STAMP).write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_what_was_changed_is_not_believed(change: Callable[[Path], object], target: Path) -> None:
    change(target)
    assert not is_intact(target, "key")


@pytest.mark.parametrize("text", ["", "[]", "{}", "\xff"])
def test_a_stamp_that_says_nothing_has_no_digests(text: str, target: Path) -> None:
    (target / STAMP).write_text(text, "latin-1")
    assert digests(target) == {}
    assert digests(target / "missing") == {}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChipfitError) as caught:
        write_folder(tmp_path / "file" / "codegen", FILES, "key")
    message = str(caught.value)
    assert message.startswith(f"cannot write {tmp_path / 'file' / 'codegen'}: ")
    assert message.endswith("Hint: Check that the build folder is writable and the disk is not full.")
    assert "\n" not in message and not message.startswith(f"cannot write {tmp_path / 'file' / 'codegen'}: None")


def test_a_write_that_fails_leaves_the_old_folder_and_nothing_beside_it(target: Path) -> None:
    with pytest.raises(ChipfitError, match="cannot write"):
        write_folder(target, {"a": b"", "a/b": b""}, "second")
    assert is_intact(target, "key")
    assert [p.name for p in target.parent.iterdir()] == ["codegen"]


def test_what_killed_builds_left_is_swept(target: Path) -> None:
    left = target.parent / ".codegen.abc123" / "old"
    left.mkdir(parents=True)
    (left / "x").write_text("")
    (target.parent / ".hidden.txt").write_text("a file stays")
    remove_leftovers(target.parent)
    assert sorted(p.name for p in target.parent.iterdir()) == [".hidden.txt", "codegen"]
    assert is_intact(target, "key")


def test_a_folder_behind_a_link_is_not_the_one_that_was_written_and_is_replaced(target: Path, tmp_path: Path) -> None:
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert not is_intact(target, "key")
    write_folder(target, FILES, "key")
    assert is_intact(target, "key") and (tmp_path / "elsewhere" / STAMP).is_file()
    (target.parent / "other").symlink_to(tmp_path / "nowhere")
    write_folder(target.parent / "other", FILES, "key")
    assert is_intact(target.parent / "other", "key")
