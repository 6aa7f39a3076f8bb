"""Scratch folders: removed at the end, swept when a process was killed, and never anybody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.measuring.toolchain.scratch import make_scratch, remove_left_over, remove_own, remove_scratch, scratch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks of folders are POSIX's")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_only_scratch_folders_of_killed_processes_are_swept(temporary: Path) -> None:
    for name in ("chipfit-2026-notes", "chipfit-999999-cases"):  # a user's own
        (temporary / name).mkdir()
    program = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from pipeline.measuring.toolchain.scratch import make_scratch
(make_scratch() / "file").touch()
os._exit(0)
"""
    killed = [sys.executable, "-c", program, str(temporary)]
    subprocess.run(killed, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    with scratch() as mine:
        parent = mine.parent
        assert parent.parent == temporary and parent.stat().st_mode & 0o077 == 0
        assert len(list(parent.iterdir())) == 2
        remove_left_over()
        assert list(parent.iterdir()) == [mine]
    assert list(parent.iterdir()) == [] and len(list(temporary.iterdir())) == 3


def test_a_folder_that_another_took_the_name_of_is_neither_used_nor_swept(temporary: Path) -> None:
    (temporary / "theirs" / "deep").mkdir(parents=True)
    (temporary / f"chipfit-scratch-{os.geteuid()}").symlink_to("theirs")
    remove_left_over()
    with scratch() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o077 == 0
    assert not folder.exists() and (temporary / "theirs" / "deep").is_dir()


def test_what_a_process_made_is_removed_when_it_ends(temporary: Path) -> None:
    folder = make_scratch()
    remove_own()
    assert not folder.exists()
    remove_scratch(folder)
