"""`regression` of a product's YAML: the build fails where it is worse than its lock, and `chipfit lock` accepts it."""

import json
from pathlib import Path

import pytest
from conftest import chipfit_here

ASKED = "regression: {cycles: 1 %, flash: 256 B, ram: 0 B, stack: 0 B, accuracy: 0.5 %}\n"
PRODUCT, LOCK = "configs/products/touch.yaml", "configs/products/touch.lock.yaml"


@pytest.fixture(scope="module")
def firmware(workshop: Path) -> Path:
    with (workshop / PRODUCT).open("a", encoding="utf-8") as file:
        file.write(ASKED)
    return workshop


def missed(firmware: Path) -> list[str]:
    """Lines on stderr of a build."""
    done = chipfit_here(firmware, "build", PRODUCT)
    assert done.returncode == int(bool(done.stderr)), done.stderr
    return done.stderr.splitlines()


def edit_lock(firmware: Path, old: str, new: str) -> None:
    text = (firmware / LOCK).read_text("utf-8")
    assert old in text
    (firmware / LOCK).write_text(text.replace(old, new), "utf-8")


def test_a_build_is_compared_with_its_lock(firmware: Path) -> None:
    (line,) = missed(firmware)
    assert line.endswith(
        "regression.flash: there is no lock to compare with. Hint: chipfit lock writes it, beside the product."
    )
    done = chipfit_here(firmware, "lock", PRODUCT)
    assert done.returncode == 0 and f"{LOCK}: written" in done.stdout
    assert missed(firmware) == []
    verdict = json.loads((firmware / "build/touch/report/verdict.json").read_text("utf-8"))
    said = {f["key"]: f["said"] for f in verdict["findings"] if f["key"].startswith("regression.")}
    assert list(said) == [f"regression.{n}" for n in ("flash", "ram", "stack", "cycles", "accuracy")]
    cycles = verdict["cycles"]
    assert said["regression.cycles"] == f"{cycles:,} are the lock's, allowed 1 %"
    edit_lock(firmware, f"cycles: {cycles}\n", f"cycles: {cycles - 100}\n")
    (line,) = missed(firmware)
    share = 100 * 100 / (cycles - 100)
    assert (
        f"regression.cycles: {cycles:,} are 100 ({share:.1f} %) more than the lock's {cycles - 100:,}, allowed 1 %."
        in line
    )
    assert line.startswith(f"{PRODUCT}:") and missed(firmware) == [line], "it is said again as long as it is so"
    materials = json.loads((firmware / "build/touch/report/mlbom.cdx.json").read_text("utf-8"))
    assert "lock" not in json.dumps([c.get("bom-ref", "") for c in materials["components"]])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  chip: truetouch-m0\n", '  chip: "\\u202Erp2040"\n', "chip \\u202erp2040, this is truetouch-m0"),
        ("  core: cortex-m0\n", "  core: cortex-m4f\n", "core cortex-m4f, this is cortex-m0"),
        ("  core: cortex-m0\n", "", "core None, this is cortex-m0"),
    ],
)
def test_figures_of_another_product_or_chip_are_none_of_this(old: str, new: str, said: str, firmware: Path) -> None:
    assert chipfit_here(firmware, "lock", PRODUCT).returncode == 0
    kept = (firmware / LOCK).read_bytes()
    edit_lock(firmware, old, new)
    (line,) = missed(firmware)
    assert f"regression.flash: the lock is that of the {said}. Hint: chipfit lock writes it" in line
    (firmware / LOCK).write_bytes(kept)


def test_a_lock_under_the_name_of_another_product_is_noticed(firmware: Path) -> None:
    other = firmware / "configs/products/digits_mlp.yaml"
    assert chipfit_here(firmware, "lock", str(other)).returncode == 0
    (firmware / "configs/products/digits_mlp.lock.yaml").replace(firmware / LOCK)
    (line,) = missed(firmware)
    assert "the lock is that of the product digits_mlp, this is touch. Hint: chipfit lock writes it" in line
    assert chipfit_here(firmware, "lock", PRODUCT).returncode == 0
    assert missed(firmware) == []


def test_the_lock_command_takes_figures_that_became_worse(firmware: Path) -> None:
    chipfit_here(firmware, "lock", PRODUCT)
    edit_lock(firmware, "stack: ", "stack: 1 #")
    assert len(missed(firmware)) == 1
    done = chipfit_here(firmware, "lock", PRODUCT)
    assert done.returncode == 0 and "regression.stack" in done.stderr and f"{LOCK}: written" in done.stdout
    assert missed(firmware) == []


def test_a_lock_that_cannot_be_read_is_a_missed_rule_and_written_anew(firmware: Path) -> None:
    chipfit_here(firmware, "lock", PRODUCT)
    edit_lock(firmware, "lock: chipfit.lock.v1", "lock: another")
    (line,) = missed(firmware)
    assert "regression.flash: the lock cannot be read: " in line and "expected chipfit.lock.v1" in line
    assert chipfit_here(firmware, "lock", PRODUCT).returncode == 0
    assert missed(firmware) == []


def test_the_lock_command_does_not_write_what_misses_another_rule(firmware: Path) -> None:
    chipfit_here(firmware, "lock", PRODUCT)
    before = (firmware / LOCK).read_bytes()
    edit_lock(firmware, "stack: ", "stack: 1 #")
    text = (firmware / PRODUCT).read_text("utf-8")
    (firmware / PRODUCT).write_text(text.replace("latency: 100 us", "latency: 10 us"), "utf-8")
    done = chipfit_here(firmware, "lock", PRODUCT)
    assert done.returncode == 1 and "budget.latency" in done.stderr and "written" not in done.stdout
    assert (firmware / LOCK).read_bytes() != before
    (firmware / PRODUCT).write_text(text, "utf-8")
    assert chipfit_here(firmware, "lock", PRODUCT).returncode == 0
    assert (firmware / LOCK).read_bytes() == before
