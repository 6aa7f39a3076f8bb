"""Locks compared: two of them, with the working tree, with a build folder; what calibration decided is a cause."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import chipfit_here

from pipeline.facts.errors import ChipfitError
from stages.app.lock_snapshots import lock_side

PRODUCT, LOCK = "configs/products/touch.yaml", "configs/products/touch.lock.yaml"


@pytest.fixture(scope="module")
def firmware(workshop: Path) -> Path:
    """`old.lock.yaml` is the lock of a product as it is; `new.lock.yaml` has another scale, setting and more cycles."""
    assert chipfit_here(workshop, "lock", PRODUCT).returncode == 0
    shutil.copy(workshop / LOCK, workshop / "old.lock.yaml")
    text = (workshop / LOCK).read_text("utf-8")
    for old, new in (
        ("scale: 739/2^17", "scale: 740/2^17"),
        ("calibration: mse", "calibration: min-max"),
        ("cycles: ", "cycles: 1"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (workshop / "new.lock.yaml").write_text(text, "utf-8")
    return workshop


def compared(firmware: Path, *sides: str) -> dict[str, Any]:
    done = chipfit_here(firmware, "diff", *sides, "--json")
    assert done.returncode == 0, done.stderr
    (product,) = json.loads(done.stdout)["products"]
    found: dict[str, Any] = product
    return found


CAUSES = [
    ("setting", "quantization.calibration", "mse", "min-max"),
    ("calibration", "tensor input", "scale 0.00563812, zero point -49", "scale 0.00564575, zero point -49"),
]


def causes(product: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(c["kind"], c["name"], c["old"], c["new"]) for c in product["causes"]]


def test_two_locks(firmware: Path) -> None:
    found = compared(firmware, "old.lock.yaml", "new.lock.yaml")
    assert (found["product"], found["state"], found["verdict"]) == ("touch", "changed", [None, None])
    assert [f["name"] for f in found["figures"] if f["old"] != f["new"]] == ["cycles"]
    assert causes(found) == CAUSES
    assert compared(firmware, "new.lock.yaml", "new.lock.yaml")["state"] == "no change"


def other_library(firmware: Path) -> None:
    """`other.lock.yaml` has the figures and decisions of the lock; arithmetic and all digests that came out differ."""
    head, name, files = (firmware / "old.lock.yaml").read_text("utf-8").partition("\nnetwork:\n")
    files = re.sub(r": ([0-9a-f]{64})\n", lambda found: f": {found[1][::-1]}\n", files)
    text = head.replace("chipfit.int8.shift.v1", "chipfit.int8.once.v1") + name + files
    (firmware / "other.lock.yaml").write_text(text, "utf-8")


@pytest.mark.parametrize("side", ["old.lock.yaml", "build", None])
def test_another_library_of_the_same_figures_is_no_secret(side: str | None, firmware: Path) -> None:
    other_library(firmware)
    sides = ("other.lock.yaml", *([] if side is None else [side]))
    found = compared(firmware, *sides)
    assert (found["state"], found["same_library"]) == ("no change", False)
    assert causes(found) == [("arithmetic", "arithmetic", "chipfit.int8.once.v1", "chipfit.int8.shift.v1")]
    done = chipfit_here(firmware, "diff", *sides, "--exit-code")
    assert done.returncode == 1
    assert "no change, though the library is not the same byte for byte (arithmetic: chipfit.int8.once" in done.stdout
    same = ["old.lock.yaml", *sides[1:]]
    assert compared(firmware, *same)["same_library"] is True
    assert chipfit_here(firmware, "diff", *same, "--exit-code").returncode == 0


def test_a_lock_and_the_working_tree_of_its_product_alone(firmware: Path) -> None:
    same = compared(firmware, "old.lock.yaml")
    assert (same["state"], same["causes"]) == ("no change", [])
    other = compared(firmware, "new.lock.yaml")
    assert causes(other) == [(kind, name, new, old) for kind, name, old, new in CAUSES]


def test_a_lock_and_a_build_folder(firmware: Path) -> None:
    assert compared(firmware, "old.lock.yaml", "build")["causes"] == []
    assert causes(compared(firmware, "build", "new.lock.yaml")) == CAUSES[1:], "a folder has settings in other words"


def test_what_is_no_lock_is_said(firmware: Path) -> None:
    with pytest.raises(ChipfitError, match=r"expected chipfit\.lock\.v1"):
        lock_side(firmware / PRODUCT)
    done = chipfit_here(firmware, "diff", "old.lock.yaml", PRODUCT)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith(f"{PRODUCT}:")


def test_a_lock_does_not_say_what_may_be_lost(firmware: Path) -> None:
    done = chipfit_here(firmware, "diff", "old.lock.yaml", "new.lock.yaml", "--regression")
    assert done.returncode == 1
    assert done.stderr == (
        "touch: the new side has no record of what its YAML allows for regression. "
        "Hint: A lock has none: name a revision or a folder that was built by this version of chipfit.\n"
    )


@pytest.mark.parametrize("sides", [("split.lock.yaml", "build"), ("split.lock.yaml",), ("calibrated", "build")])
def test_data_that_a_locked_build_does_not_need_are_no_cause(
    sides: tuple[str, ...], uncalibrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIPFIT_LOCKED", "1")
    found = compared(uncalibrated, *sides)
    assert found["state"] == "no change", found["why"]
    assert [c for c in found["causes"] if c["kind"] == "data"] == []


@pytest.fixture(scope="module")
def uncalibrated(firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product built from its lock without its calibration data; `calibrated` was built with them."""
    folder = tmp_path_factory.mktemp("uncalibrated")
    shutil.copytree(firmware / "configs" / "models", folder / "configs" / "models")
    text = (firmware / PRODUCT).read_text("utf-8")
    usual, own = "calibration: ../models/touch.npz", "calibration: ../models/calibration.npz"
    assert usual in text
    (folder / PRODUCT).parent.mkdir()
    (folder / PRODUCT).write_text(text.replace(usual, own), "utf-8")
    data = folder / "configs" / "models" / "calibration.npz"
    shutil.copy(data.with_name("touch.npz"), data)
    assert chipfit_here(folder, "lock", PRODUCT).returncode == 0
    shutil.copy(folder / LOCK, folder / "split.lock.yaml")
    shutil.copytree(folder / "build", folder / "calibrated")
    data.unlink()
    assert chipfit_here(folder, "build", "--locked").returncode == 0
    return folder
