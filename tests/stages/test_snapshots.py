"""A build folder as a side of a comparison: what its stages were given, and what cannot be read is said."""

import shutil
from pathlib import Path

import pytest

from pipeline.facts.errors import ChipfitError
from stages.app.snapshots import folder_side, snapshot


def test_a_build_knows_what_it_was_made_from(products: Path) -> None:
    origin = snapshot(products / "build", "touch").origin
    assert origin.settings["quantization.weights"] == "int5" and origin.settings["chip.clock"] == 48_000_000
    assert not [k for k in origin.settings if k.startswith(("config.", "versions.")) or k == "product"]
    assert {"compiler", "chipfit", "python", "numpy"} <= origin.tools.keys()
    assert origin.inputs.keys() == {"model", "calibration", "evaluation"}
    assert "pipeline/judging/rules.py" in origin.code and "stages/quantize.py" in origin.code
    assert origin.widths == {"node_linear": "int5", "node_linear_1": "int5", "node_linear_2": "int5"}


def test_every_product_of_a_folder_or_why_not(products: Path, tmp_path: Path) -> None:
    assert list(folder_side(products / "build")) == ["digits", "digits_mlp", "digits_rp2040", "touch"]
    for name in ("touch", "digits"):
        shutil.copytree(products / "build" / name, tmp_path / name)
    (tmp_path / "touch" / "size-check" / "size.json").write_bytes(b"{}")
    found = folder_side(tmp_path)
    assert found["touch"] == "touch/size-check/size.json was changed after it was made"
    assert not isinstance(found["digits"], str)
    with pytest.raises(ChipfitError, match="no product was built here"):
        folder_side(tmp_path / "touch" / "report")
