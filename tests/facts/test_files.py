"""Files by names that others chose: nothing but a regular file is one, and no name raises."""

import os
from pathlib import Path

import pytest

from pipeline.facts.files import absence_reason, file_size, is_file


def test_a_regular_file_is_one_and_has_its_size(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"12345")
    assert is_file(path) and file_size(path) == 5


@pytest.mark.parametrize("name", ["missing", "a\0b", "n" * 5000, "missing/" * 2000 + "x"])
def test_a_name_that_no_file_has_or_can_have_is_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert not is_file(path) and file_size(path) == 0 and absence_reason(path) == "does not exist"


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are POSIX's")
def test_a_folder_a_pipe_and_a_device_are_none(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/zero")):
        assert not is_file(path) and file_size(path) == 0 and absence_reason(path) == "is not a regular file"
