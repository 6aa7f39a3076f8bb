"""The words of the verdict: figures, limits and hints of what is kept and of what is missed."""

from pathlib import Path
from typing import Any

import pytest
from verdict_evidence import CHECKS, COMPARED, GOOD, SIMULATE, SIZE, findings_of

from pipeline.judging.verdict import Finding

CALIBRATE = "Try quantization.calibration: percentile or min-max, or more calibration data."
UNITS = "Are the data in the units of the training data? data.evaluation takes scale and zero_point."
KEPT = (
    ("budget.flash", 1000, 2000, "uses 1000 B, limit 2.0 KiB", "Code is most of it: fewer kinds of layers."),
    ("budget.ram", 100, 200, "uses 100 B, limit 200 B", "Smaller feature maps in the first layers need less."),
    ("budget.stack", 64, 64, "uses 64 B, limit 64 B", "The deepest call path is a > b."),
    ("budget.latency", 1e-4, 1e-4, "uses 100 us, limit 100 us",
     "4800 cycles are affordable, 4800 are needed. Most of it is layer l (4000 cycles)."),
    ("accuracy.at_least", 0.94, 0.94, "is 94.00 %, limit 94.00 %", CALIBRATE),
    ("accuracy.max_drop", 0.01, 0.02, "uses 1.00 %, limit 2.00 %", CALIBRATE),
    ("accuracy.agreement", 0.98, 0.98, "is 98.00 %, limit 98.00 %", CALIBRATE),
    ("simulate.vectors", 0, 0, "35 vectors are bit-exact", ""),
    ("model.source", 0, 0, "400 values in 2 tensors are those of ONNX Runtime", ""),
    ("model.qdq.onnx", 0, 0, "400 values in 2 tensors are those of ONNX Runtime, but for 3 that rounding explains (at "
     "most 2 steps); not compared, without a proven bound: 'a', 'b', 'c' and 2 more", ""),
    ("accuracy.signal", 31.0, 10.0, "is 31.0 dB or more, limit 10 dB", ""),
    ("toolchain", 0, 0, "links no soft-float and no heap", ""),
)  # fmt: skip
MISSED = (
    ("budget.flash", 5000, 2000, "needs 4.9 KiB, limit 2.0 KiB (2.5x)", "Weights are most of it: a smaller network."),
    ("budget.ram", 300, 200, "needs 300 B, limit 200 B (1.5x)", "Smaller feature maps in the first layers need less."),
    ("budget.stack", 64, 32, "needs 64 B, limit 32 B (2.0x)", "The deepest call path is a > b."),
    ("budget.latency", 1e-4, 5e-5, "needs 100 us, limit 50 us (2.0x)", "2400 cycles are affordable, 4800 are needed."),
    ("accuracy.at_least", 0.26, 0.97, "is only 26.00 %, limit 97.00 %", CALIBRATE),
    ("accuracy.max_drop", 0.69, 0.005, "needs 69.00 %, limit 0.50 % (138.0x)", CALIBRATE),
    ("accuracy.agreement", 0.5, 0.99, "is only 50.00 %, limit 99.00 %", CALIBRATE),
    ("simulate.vectors", 2, 0, "of 35 vectors 2 differ from the integer reference on the emulated chip, 0 on the host",
     "This is a bug in chipfit or in the compiler."),
    ("accuracy.labels", 3, 3, "labels run from -1 to 3, the network's classes from 0 to 3",
     "Write labels that count classes from 0. If it is meant: accuracy: {allow: [labels]}."),
    ("accuracy.span", 0.98, 0.1,
     "98.00 % of the values of input 'x' lie outside its range of 0 to 1: the data run from 0 to 255",
     f"{UNITS} If it is meant: accuracy: {{allow: [span]}}."),
    ("accuracy.chance", 0.26, 0.25, "the integer network is right on 26 of 100 samples, which guessing among 4 classes "
     "reaches in 45 % of all cases", f"{CALIBRATE} If it is meant: accuracy: {{allow: [chance]}}."),
    ("accuracy.constant", 1, 4, "the integer network answers one class for all 100 samples, where the labels have 4",
     f"{CALIBRATE} If it is meant: accuracy: {{allow: [constant]}}."),
    ("toolchain", 2, 0, "links f, malloc", ""),
)  # fmt: skip
BUDGETS = ("budget.", "accuracy.at_least", "accuracy.max_drop", "accuracy.agreement")


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def findings(rows: tuple[tuple[Any, ...], ...], passed: bool) -> list[Finding]:
    return [Finding(k, passed, m, x, sentence, hint, budget=k.startswith(BUDGETS)) for k, m, x, sentence, hint in rows]


def test_what_is_kept_is_said_with_its_figures_limits_and_hints(product: Path) -> None:
    export = COMPARED | {"differing": 3, "largest_difference": 2, "left_out": list("abcde")}
    yaml = "budget: {stack: 64 B, latency: 100 us}\naccuracy: {at_least: 0.94, max_drop: 0.02, agreement: 0.98}\n"
    found = findings_of(product, yaml, quantize={"faithful": COMPARED, "export": export})
    assert list(found.values()) == findings(KEPT, True)


def test_what_is_missed_is_said_with_its_figures_limits_and_hints(product: Path) -> None:
    flash, ram = SIZE["flash"] | {"used": 5000, "constants": 3000, "code": 2000}, SIZE["ram"] | {"used": 300}
    quantize = CHECKS["span"][0] | {
        "answers": GOOD["answers"] | {"labels": [-1, 3], "integer": 1},
        "accuracy": {"float": 0.95, "integer": 0.26, "agreement": 0.5},
    }
    yaml = "budget: {stack: 32 B, latency: 50 us}\naccuracy: {at_least: 0.97, max_drop: 0.005, agreement: 0.99}\n"
    found = findings_of(
        product,
        yaml,
        quantize,
        size={"flash": flash, "ram": ram, "float_symbols": ["f"], "heap_symbols": ["malloc"]},
        simulate={"layers": [], "vectors": SIMULATE["vectors"] | {"mismatches": 2}},
    )
    assert found.pop("accuracy.signal").passed
    assert list(found.values()) == findings(MISSED, False)


def test_at_the_limit_the_other_hint_and_the_other_side(product: Path) -> None:
    even = findings_of(product, size={"flash": SIZE["flash"] | {"code": 500, "constants": 500}})
    assert even["budget.flash"].hint == "Code is most of it: fewer kinds of layers."
    none = findings_of(product, size={"ram": SIZE["ram"] | {"used": 1, "limit": 0}})["budget.ram"]
    assert (none.passed, none.sentence) == (False, "needs 1 B, limit 0 B")
    stack = {"stack": SIZE["stack"] | {"worst_case": None, "unknown": "recursion in f"}}
    assert findings_of(product, "budget: {stack: 1 KiB}\n", size=stack)["budget.stack"] == Finding(
        "budget.stack", False, 0, 1024, "no bound is known: recursion in f", budget=True
    )
    came = {"accuracy": {"float": None, "integer": 0.9, "agreement": None}, "qdq": None}
    found = findings_of(product, "accuracy: {max_drop: 0.1, agreement: 0.5}\n", quantize=came)
    why = "the model came quantized: there is no float network to compare with"
    assert found["accuracy.max_drop"] == Finding("accuracy.max_drop", False, 0, 0.1, why, "Leave max_drop out.")
    why = "there is no framework to agree with"
    assert found["accuracy.agreement"] == Finding("accuracy.agreement", False, 0, 0.5, why)
    better = {"accuracy": {"float": 0.9, "integer": 0.95, "agreement": 0.9}}
    assert findings_of(product, "accuracy: {max_drop: 0.0}\n", quantize=better)["accuracy.max_drop"].measured == 0.0
    framework = {"answers": GOOD["answers"] | {"integer": 1, "truth": None, "float": 2}}
    assert "where the model file gives 2" in findings_of(product, quantize=framework)["accuracy.constant"].sentence
    alone = {"answers": GOOD["answers"] | {"integer": 1, "truth": 1, "float": 1}}
    assert "accuracy.constant" not in findings_of(product, quantize=alone)
