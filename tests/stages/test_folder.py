"""Files of a store: whole or absent, and never a link, a pipe or a folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.facts.artifact import sha256
from stages.store.entry import Damaged
from stages.store.folder import Folder

DATA = b"data"
NAME = sha256(DATA)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("cas", NAME, DATA)
    return folder


def test_a_file_is_written_once_and_read(folder: Folder) -> None:
    assert folder.read("cas", NAME, 4) == DATA and folder.size("cas", NAME) == 4
    assert folder.read("ac", NAME, 4) is None and folder.size("ac", NAME) is None
    assert not list((folder.root / "tmp").iterdir())
    if os.name == "posix":
        assert folder.path("cas", NAME).stat().st_mode & 0o222 == 0


def test_more_bytes_than_expected_are_not_read(folder: Folder) -> None:
    with pytest.raises(Damaged, match="has 4 bytes, expected at most 3"):
        folder.read("cas", NAME, 3)


ODD: dict[str, Callable[[Path], object]] = {
    "a link": lambda p: p.symlink_to("/etc/hostname"),
    "a link to nothing": lambda p: p.symlink_to("/nowhere"),
    "a link to itself": lambda p: p.symlink_to(p),
    "a pipe": lambda p: os.mkfifo(p),
    "a folder": lambda p: (p / "deep").mkdir(parents=True),
}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_is_neither_read_nor_followed(folder: Folder, make: Callable[[Path], object]) -> None:
    folder.remove("cas", NAME)
    make(folder.path("cas", NAME))
    with pytest.raises(Damaged, match="is a link, a folder or a device"):
        folder.read("cas", NAME, 1 << 20)
    assert folder.size("cas", NAME) is None
    folder.write("cas", NAME, DATA)
    assert folder.read("cas", NAME, 4) == DATA


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="there is no /dev/zero")
def test_a_link_to_a_device_is_not_opened(folder: Folder) -> None:
    folder.remove("cas", NAME)
    folder.path("cas", NAME).symlink_to("/dev/zero")
    with pytest.raises(Damaged):
        folder.read("cas", NAME, 4)
    folder.remove("cas", NAME)
    assert Path("/dev/zero").exists()


def test_temporary_files_of_killed_builders_go_after_an_hour(folder: Folder) -> None:
    old, young = folder.root / "tmp" / "1-old", folder.root / "tmp" / "2-young"
    for path in (old, young):
        path.write_bytes(DATA)
    os.utime(old, (time.time() - 4000,) * 2)
    folder.remove_left_over()
    assert not old.exists() and young.exists()


def test_only_names_of_the_store_are_listed(folder: Folder) -> None:
    (folder.root / "cas" / "README").write_text("mine", "utf-8")
    (folder.root / "cas" / NAME.upper()).write_text("mine", "utf-8")
    assert [n for n, _ in folder.names("cas")] == [NAME]
    assert not list(folder.names("ac"))
