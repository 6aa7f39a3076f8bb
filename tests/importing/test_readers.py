"""The table of model files: a reader for each suffix, and for what an export makes of another."""

from pathlib import Path

import pytest

from pipeline.importing.readers import READERS, SUFFIXES, reader_of
from pipeline.model_files.exported import EXPORTED


@pytest.mark.parametrize(
    ("name", "framework"), [("a.onnx", "onnxruntime"), ("a.tflite", "ai-edge-litert"), ("a.b.pt2", "onnxruntime")]
)
def test_each_format_has_its_reader(name: str, framework: str) -> None:
    reader = reader_of(Path(name))
    assert reader is not None and framework == reader.FRAMEWORK


@pytest.mark.parametrize("name", ["a.h5", "a", "onnx", "a.ONNX"])
def test_another_format_has_none(name: str) -> None:
    assert reader_of(Path(name)) is None


def test_every_export_ends_in_a_format_that_is_read() -> None:
    assert set(EXPORTED.values()) <= set(READERS) and set(SUFFIXES) == {*READERS, *EXPORTED}


def test_a_tflite_file_needs_no_other_and_onnx_runtime_cannot_run_it() -> None:
    reader = READERS[".tflite"]
    path = Path("missing.tflite")
    assert reader.files_beside(path, None) == {} and reader.original(path, "m") is None
