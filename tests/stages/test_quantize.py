"""What the stage refuses before it works: labels that are missing, data that are constant; and a core's requantizer."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.facts.config import Project, load_project
from pipeline.facts.errors import ChipfitError
from pipeline.quantizing.data import Samples
from stages.quantize import _check_labels, _check_varied, _requantizer

YAML = "product: net\nmodel: {source: m.onnx}\ndata: {calibration: c.npz, evaluation: d.npz}\n"


def project(folder: Path, chip: str = "stm32f030r8", *lines: str) -> Project:
    (folder / "net.yaml").write_text(YAML + f"chip: {chip}\n" + "".join(f"{line}\n" for line in lines), "utf-8")
    return load_project(folder / "net.yaml")


@pytest.mark.parametrize(("chip", "asked", "found"), [
    ("stm32f030r8", "auto", "auto"), ("stm32l4r5", "auto", "multiplier"), ("stm32l4r5", "shift", "shift"),
])  # fmt: skip
def test_auto_is_what_the_core_takes(chip: str, asked: str, found: str, tmp_path: Path) -> None:
    assert _requantizer(project(tmp_path, chip, f"quantization: {{requantize: {asked}}}")) == found


def test_an_accuracy_needs_labels(tmp_path: Path) -> None:
    asked, without = project(tmp_path, "stm32f030r8", "accuracy: {at_least: 0.9}"), Samples((np.zeros((2, 3)),))
    with pytest.raises(ChipfitError, match=r"net\.yaml:5: accuracy\.at_least: d\.npz holds no labels"):
        _check_labels(asked, without)
    _check_labels(asked, Samples(without.inputs, np.array([0, 1])))
    _check_labels(project(tmp_path), without)


def test_data_of_one_value_calibrate_nothing_but_one_input_of_several_may_be(tmp_path: Path) -> None:
    constant, varied = np.full((4, 3), 2.5), np.arange(12.0).reshape(4, 3)
    _check_varied(project(tmp_path), Samples((constant, varied)))
    with pytest.raises(ChipfitError, match=r"every value is 2\.5, 2\.5"):
        _check_varied(project(tmp_path), Samples((constant, constant)))
