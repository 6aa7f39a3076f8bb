"""`regression`: a build against the figures of its lock, in percent or absolute, said with both numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from verdict_evidence import GOOD, SIZE, findings_of, missed

from pipeline.facts.config.models import Regression
from pipeline.facts.totals import Totals
from pipeline.judging.regression import RULES, Compared, findings, other_target
from pipeline.judging.verdict import Finding

LOCK = Totals(flash=1000, ram=100, stack=64, cycles=4800, latency_us=100.0, float_accuracy=0.95, accuracy=0.94)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def found(product: Path, asked: str, locked: Totals | str = LOCK, **files: Any) -> dict[str, Finding]:
    findings = findings_of(product, f"regression: {{{asked}}}\n", locked=locked, **files)
    return {k.removeprefix("regression."): f for k, f in findings.items() if k.startswith("regression.")}


def simulated(cycles: int) -> dict[str, Any]:
    return {"cycles": {"min": 1, "max": cycles, "zero_wait": 1, "depends_on_input": False, "overhead": 0}}


def test_the_sentence_has_both_figures_the_difference_and_what_is_allowed(product: Path) -> None:
    lock = replace(LOCK, cycles=3964)
    worse = found(product, "cycles: 1 %", lock, simulate=simulated(4100))["cycles"]
    assert (worse.passed, worse.measured, worse.budget) == (False, 4100, False)
    assert worse.limit == pytest.approx(3964 * 1.01)
    assert worse.sentence == "4,100 are 136 (3.4 %) more than the lock's 3,964, allowed 1 %"
    assert worse.hint == "chipfit diff says what changed; chipfit lock takes the figures as they are now."
    within = found(product, "cycles: 200 cycles", lock, simulate=simulated(4100))["cycles"]
    assert within.passed and within.sentence == "4,100 are 136 (3.4 %) more than the lock's 3,964, allowed 200 cycles"
    better = found(product, "cycles: 0 %", lock, simulate=simulated(3900))["cycles"]
    assert better.passed and better.sentence == "3,900 are 64 (1.6 %) less than the lock's 3,964, allowed 0 %"
    same = found(product, "cycles: 0 cycles", lock, simulate=simulated(3964))["cycles"]
    assert same.passed and same.sentence == "3,964 are the lock's, allowed 0 cycles"


@pytest.mark.parametrize(("asked", "passed"), [("256 B", True), ("255 B", False), ("25.6 %", True), ("25.59 %", False)])
def test_limits_are_exact(product: Path, asked: str, passed: bool) -> None:
    size = {"flash": SIZE["flash"] | {"used": 1256}}
    assert found(product, f"flash: {asked}", size=size)["flash"].passed == passed


def test_every_figure_that_is_asked_for_is_compared(product: Path) -> None:
    size = {
        "flash": SIZE["flash"] | {"used": 1001},
        "ram": SIZE["ram"] | {"used": 101},
        "stack": SIZE["stack"] | {"worst_case": 65},
    }
    quantize = {"accuracy": GOOD["accuracy"] | {"integer": 0.93}}
    asked = "flash: 0 B, ram: 0 B, stack: 0 %, cycles: 0 %, accuracy: 0.5 %"
    worse = found(product, asked, size=size, quantize=quantize, simulate=simulated(4801))
    assert list(worse) == missed(worse) == ["flash", "ram", "stack", "cycles", "accuracy"]
    assert worse["flash"].sentence == "1,001 B are 1 B (0.1 %) more than the lock's 1,000 B, allowed 0 B"
    assert worse["accuracy"].sentence == "93.00 % is 1.00 points less than the lock's 94.00 %, allowed 0.5 %"
    same = found(product, asked)
    assert len(same) == len(RULES) and not missed(same)
    assert same["accuracy"].sentence == "94.00 % is the lock's, allowed 0.5 %"
    assert found(product, "") == {}


@pytest.mark.parametrize(("now", "passed"), [(0.935, True), (0.9349, False), (0.95, True)])
def test_accuracy_is_in_points(product: Path, now: float, passed: bool) -> None:
    quantize = {"accuracy": GOOD["accuracy"] | {"integer": now}}
    assert found(product, "accuracy: 0.5 %", quantize=quantize)["accuracy"].passed == passed


def test_without_a_lock_that_is_said_once(product: Path) -> None:
    alone = found(product, "ram: 0 B, cycles: 1 %, accuracy: 1 %", "there is no lock")
    assert [(k, f.passed, f.sentence) for k, f in alone.items()] == [("ram", False, "there is no lock")]
    assert alone["ram"].hint == "chipfit lock writes it, beside the product."
    assert list(found(product, "accuracy: 1 %", "there is no lock")) == ["accuracy"]


def test_figures_that_one_side_does_not_have(product: Path) -> None:
    unbounded = {"stack": SIZE["stack"] | {"worst_case": None, "unknown": "f is recursive"}}
    assert found(product, "stack: 1 %", size=unbounded)["stack"].sentence == "no bound is known: f is recursive"
    lock = replace(LOCK, stack=None, accuracy=None)
    both = found(product, "stack: 1 %, accuracy: 1 %", lock)
    assert [f.sentence for f in both.values()] == ["the lock has no such figure to compare with"] * 2
    unlabelled = {"accuracy": {"float": None, "integer": None, "agreement": 1.0}}
    alone = found(product, "accuracy: 1 %", quantize=unlabelled)["accuracy"]
    assert (alone.passed, alone.sentence) == (False, "no labelled evaluation data")
    nothing = found(product, "ram: 1 %", replace(LOCK, ram=0))["ram"]
    assert nothing.sentence == "100 B are 100 B more than the lock's 0 B, allowed 1 %" and not nothing.passed


LIMITS = Regression.model_validate({"flash": "0 B", "cycles": "1 %", "accuracy": "0.5 %"})


def test_another_build_is_compared_by_the_same_rules_under_its_name() -> None:
    after = replace(LOCK, cycles=4849, accuracy=0.934)
    flash, cycles, accuracy = findings(Compared(LIMITS, LOCK, after, old="v1"))
    assert flash.passed and flash.sentence == "1,000 B are those of v1, allowed 0 B"
    assert not cycles.passed and cycles.sentence == "4,849 are 49 (1.0 %) more than the 4,800 of v1, allowed 1 %"
    assert cycles.hint == "Where that is meant, say so in the YAML: a larger limit."
    assert not accuracy.passed
    assert accuracy.sentence == "93.40 % is 0.60 points less than the 94.00 % of v1, allowed 0.5 %"
    same = findings(Compared(LIMITS, LOCK, LOCK, old="v1"))
    assert [f.passed for f in same] == [True] * 3 and same[2].sentence == "94.00 % is that of v1, allowed 0.5 %"
    (*_, unknown) = findings(Compared(LIMITS, replace(LOCK, accuracy=None), LOCK, old="v1"))
    assert (unknown.passed, unknown.sentence) == (False, "v1 has no such figure to compare with")


def test_figures_of_another_chip_say_nothing() -> None:
    assert other_target("v1", [("chip", "rp2040", "rp2040")]) is None
    why = other_target("v1", [("chip", "a\x1b", "rp2040"), ("core", "x", "y")])
    assert why is not None and why.isprintable() and why.endswith(", this is rp2040")
    (alone,) = findings(Compared(LIMITS, why, LOCK, old="v1"))
    assert (alone.key, alone.passed, alone.sentence) == ("regression.flash", False, why)
