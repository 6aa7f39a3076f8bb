"""The verdict: what each rule says of figures that are right, and of each kind that is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.facts.config import load_project
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.judging.rules import RULES, Evidence, Finding, judge, verdict_of
from pipeline.quantizing.evaluate import top1
from stages.report import accuracy_shown

GOOD: dict[str, Any] = {
    "samples": 100,
    "accuracy": {"float": 0.95, "integer": 0.94, "agreement": 0.98},
    "qdq": {"differing": 0, "largest_difference_lsb": 0},
    "answers": {"classes": 4, "integer": 4, "float": 4, "truth": 4, "labels": [0, 3]},
    "inputs": [{"name": "x", "range": [-1.0, 1.0], "data": [-1.0, 1.1], "outside": 0.01}],
    "signal": [{"tensor": "y", "part": "output 'y'", "signal_db": 31.0}],
    "signal_tried": [],
    "layers": [{"name": "conv", "channels": None}],
    "faithful": None,
    "export": None,
}
SIZE: dict[str, Any] = {
    "flash": {"used": 1000, "limit": 2000, "code": 600, "constants": 400},
    "ram": {"used": 100, "limit": 200},
    "stack": {"worst_case": 64, "limit": None, "chain": ["a", "b"], "unknown": ""},
    "float_symbols": [],
    "heap_symbols": [],
}
SIMULATE: dict[str, Any] = {
    "cycles": {"max": 4800},
    "layers": [{"name": "l", "cycles": 4000}],
    "vectors": {"run": 35, "real": 32, "mismatches": 0, "host_mismatches": 0},
}
YAML = "product: p\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: truetouch-m0\n"


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def judged(
    product: Path, yaml: str = "", quantize: Any = None, size: Any = None, simulate: Any = None
) -> dict[str, Finding]:
    product.write_text(YAML + yaml, "utf-8")
    project = load_project(product)
    parts = (GOOD | (quantize or {}), SIZE | (size or {}), SIMULATE | (simulate or {}))
    return {f.key: f for f in judge(Evidence(project.config, project.chip, *parts))}


def missed(found: dict[str, Finding]) -> list[str]:
    return [k for k, f in found.items() if not f.passed]


def test_every_rule_has_a_sentence() -> None:
    assert all(r.__doc__ for r in RULES)


def test_what_is_right_passes_every_rule(product: Path) -> None:
    found = judged(product, "budget: {stack: 64 B, latency: 100 us}\naccuracy: {at_least: 0.94, max_drop: 0.02}\n")
    assert not missed(found)
    assert verdict_of(list(found.values())) == "fits"
    assert list(found) == [
        "budget.flash", "budget.ram", "budget.stack", "budget.latency", "accuracy.at_least", "accuracy.max_drop",
        "simulate.vectors", "accuracy.signal", "toolchain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("yaml", "key", "change"),
    [
        ("", "budget.flash", {"size": {"flash": SIZE["flash"] | {"used": 2001}}}),
        ("", "budget.ram", {"size": {"ram": {"used": 201, "limit": 200}}}),
        ("budget: {stack: 63 B}\n", "budget.stack", {}),
        ("budget: {latency: 99 us}\n", "budget.latency", {}),
        ("accuracy: {at_least: 0.941}\n", "accuracy.at_least", {}),
        ("accuracy: {max_drop: 0.009}\n", "accuracy.max_drop", {}),
        ("accuracy: {agreement: 0.99}\n", "accuracy.agreement", {}),
    ],
)
def test_a_missed_budget_does_not_fit(product: Path, yaml: str, key: str, change: Any) -> None:
    found = judged(product, yaml, **change)
    assert missed(found) == [key]
    assert verdict_of(list(found.values())) == "does not fit"


def test_a_stack_without_a_bound_does_not_fit(product: Path) -> None:
    stack = {"stack": SIZE["stack"] | {"worst_case": None, "unknown": "recursion in f"}}
    found = judged(product, "budget: {stack: 1 KiB}\n", size=stack)
    assert found["budget.stack"].said == "no bound is known: recursion in f" and missed(found) == ["budget.stack"]


def test_vectors_are_counted_on_the_chip_and_on_the_host_apart(product: Path) -> None:
    wrong = {"vectors": {"run": 35, "real": 32, "mismatches": 34, "host_mismatches": 33}}
    found = judged(product, simulate=wrong)
    assert found["simulate.vectors"].said == (
        "of 35 vectors 34 differ from the integer reference on the emulated chip, 33 on the host"
    )
    assert verdict_of(list(found.values())) == "check failed"
    for side in ("mismatches", "host_mismatches"):
        one = {"vectors": SIMULATE["vectors"] | {side: 1}}
        assert missed(judged(product, simulate=one)) == ["simulate.vectors"]


@pytest.mark.parametrize("side", ["float_symbols", "heap_symbols"])
def test_soft_float_and_heap_are_named(product: Path, side: str) -> None:
    assert judged(product, size={side: ["__aeabi_fadd"]})["toolchain"].said == "links __aeabi_fadd"


COMPARED: dict[str, Any] = {
    "against": "ONNX Runtime", "why": "", "samples": 11, "tensors": 2, "values": 400, "differing": 0, "unexplained": 0,
    "largest_difference": 0, "left_out": [], "first": None,
}  # fmt: skip


@pytest.mark.parametrize(("part", "key"), [("faithful", "model.source"), ("export", "model.qdq.onnx")])
def test_a_comparison_with_the_framework_is_a_rule(product: Path, part: str, key: str) -> None:
    assert judged(product, quantize={part: COMPARED})[key].said == "400 values in 2 tensors are those of ONNX Runtime"
    explained = COMPARED | {"differing": 3, "largest_difference": 1, "left_out": ["z"]}
    found = judged(product, quantize={part: explained})
    assert found[key].passed and found[key].said == (
        "400 values in 2 tensors are those of ONNX Runtime, but for 3 that rounding explains (at most 1 step); "
        "not compared, without a proven bound: 'z'"
    )
    first = {"tensor": "t", "layer": "conv", "values": 200, "differing": 60, "unexplained": 50, "steps": 167}
    found = judged(product, quantize={part: COMPARED | {"differing": 60, "unexplained": 50, "first": first}})
    assert missed(found) == [key] and verdict_of(list(found.values())) == "check failed"
    assert found[key].said == (
        "tensor 't' (layer 'conv'): 50 of 200 values differ from ONNX Runtime's, by up to 167 steps, "
        "more than rounding explains"
    )


def test_channels_that_32_bits_cannot_say_are_named(product: Path) -> None:
    first = {"tensor": "t", "layer": "conv", "values": 200, "differing": 60, "unexplained": 50, "steps": 167}
    wrong = {"faithful": COMPARED | {"first": first}, "layers": [{"name": "c", "channels": {"largest_error": 90.2}}]}
    hint = judged(product, quantize=wrong)["model.source"].hint
    assert hint == "Layer 'c' has channels that 32 bits cannot say, off by up to 90 steps."
    assert judged(product, quantize=wrong | {"layers": []})["model.source"].hint.startswith("This is a bug in chipfit")


def test_without_litert_the_verdict_says_so_and_stands(product: Path) -> None:
    why = COMPARED | {"against": None, "why": "not compared with LiteRT (pip install chipfit[litert])"}
    found = judged(product, quantize={"faithful": why})
    assert found["model.source"].said == why["why"] and not missed(found)
    nobody = {"accuracy": {"float": None, "integer": 0.9, "agreement": None}, "qdq": None, "faithful": why}
    found = judged(product, "accuracy: {agreement: 0.9, max_drop: 0.1}\n", quantize=nobody)
    assert missed(found) == ["accuracy.max_drop", "accuracy.agreement"]
    assert found["accuracy.agreement"].said == why["why"]


CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "labels": (
        {"answers": GOOD["answers"] | {"labels": [1, 4]}},
        "labels run from 1 to 4, the network's classes from 0 to 3",
    ),
    "span": (
        {"inputs": [{"name": "x", "range": [0.0, 1.0], "data": [0.0, 255.0], "outside": 0.98}]},
        "98.00 % of the values of input 'x' lie outside its range of 0 to 1: the data run from 0 to 255",
    ),
    "chance": (
        {"accuracy": {"float": 0.3, "integer": 0.9, "agreement": 0.3}},
        "the model file is right on 30 of 100 samples, which guessing among 4 classes reaches in 15 % of all cases",
    ),
    "constant": (
        {"answers": GOOD["answers"] | {"integer": 1}},
        "the integer network answers one class for all 100 samples, where the labels have 4",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_doubtful_data_and_answers_fail_unless_the_yaml_allows_them(product: Path, name: str) -> None:
    change, said = CHECKS[name]
    found = judged(product, quantize=change)
    assert missed(found) == [f"accuracy.{name}"] and found[f"accuracy.{name}"].said == said
    assert f"accuracy: {{allow: [{name}]}}" in found[f"accuracy.{name}"].hint
    assert verdict_of(list(found.values())) == "check failed"
    allowed = judged(product, f"accuracy: {{allow: [{name}]}}\n", quantize=change)
    assert not missed(allowed) and allowed[f"accuracy.{name}"].said.endswith("(allowed by accuracy.allow)")


@pytest.mark.parametrize(("right", "passes"), [(32, False), (33, True)])
def test_chance_has_a_binomial_margin(product: Path, right: int, passes: bool) -> None:
    """Of 100 guesses among 4 classes 33 or more are right in 4.5 % of all cases, 32 or more in 6.9 %."""
    share = right / 100
    for shares in ({"float": share, "integer": 0.9}, {"float": None, "integer": share}):
        found = judged(product, quantize={"accuracy": shares | {"agreement": None}})
        assert ("accuracy.chance" not in found) == passes


def test_few_samples_and_networks_without_classes_are_not_judged(product: Path) -> None:
    bad = {"accuracy": {"float": 0.0, "integer": 0.0, "agreement": 1.0}, "answers": GOOD["answers"] | {"integer": 1}}
    assert missed(judged(product, quantize=bad | {"samples": 19})) == []
    assert missed(judged(product, quantize=bad)) == ["accuracy.chance", "accuracy.constant"]
    assert missed(judged(product, quantize=bad | {"answers": bad["answers"] | {"classes": None}})) == []


def test_where_nothing_could_be_compared_that_is_a_finding(product: Path) -> None:
    found = judged(product, quantize={"export": COMPARED | {"values": 0, "tensors": 0}})["model.qdq.onnx"]
    assert (found.passed, found.said) == (False, "not compared: no tensor has a proven bound against ONNX Runtime")


def test_a_quantized_file_that_loses_signal_is_to_be_quantized_again(product: Path) -> None:
    rows = [{"tensor": "c", "part": "output 'y'", "signal_db": 2.0}]
    found = judged(product, quantize={"signal": rows, "faithful": COMPARED})["accuracy.signal"]
    assert not found.passed and found.hint.startswith("The model file says the scales: quantize it again")


@pytest.mark.parametrize(
    ("reached", "advice"),
    [(None, "Try int16 (no noise). "), (40.0, "Try int16 (40.0 dB). "), (3.0, "Other ranges were tried")],
)
def test_what_was_tried_in_vain_is_not_advised(product: Path, reached: float | None, advice: str) -> None:
    rows = [{"tensor": "y", "part": "output 'y'", "signal_db": 0.0}]
    options = [{"what": "quantization: {calibration: percentile}", "signal_db": -3.0}]
    options.append({"what": "int16", "signal_db": reached})
    answers = GOOD["answers"] | {"integer": 1}
    found = judged(product, quantize={"signal": rows, "signal_tried": options, "answers": answers})
    assert found["accuracy.constant"].hint.startswith(advice)


def test_the_least_signal_is_named_with_what_was_tried_best_first(product: Path) -> None:
    assert judged(product)["accuracy.signal"].said == "is 31.0 dB or more, limit 10 dB"
    rows = [*GOOD["signal"], {"tensor": "c", "part": "the part of output 'y' that comes from 's'", "signal_db": -0.04}]
    options = [{"what": "min-max", "signal_db": 2.0}, {"what": "int16", "signal_db": 40.0}]
    found = judged(product, quantize={"signal": rows, "signal_tried": options})
    assert missed(found) == ["accuracy.signal"] and verdict_of(list(found.values())) == "check failed"
    assert found["accuracy.signal"].said == (
        "the part of output 'y' that comes from 's' has only 0.0 dB of signal over quantization noise, limit 10 dB"
    )
    assert found["accuracy.signal"].hint.startswith("Tried: int16: 40.0 dB; min-max: 2.0 dB. ")
    assert not missed(judged(product, "accuracy: {signal: none}\n", quantize={"signal": rows}))
    assert missed(judged(product, "accuracy: {signal: 31.5 dB}\n")) == ["accuracy.signal"]
    silent = [{"tensor": "y", "part": "output 'y'", "signal_db": None}]
    assert "accuracy.signal" not in judged(product, quantize={"signal": silent})


def test_the_accuracy_shown_is_that_of_the_emulated_code() -> None:
    quantize = {"accuracy": {"float": 0.95, "integer": 0.94, "agreement": 0.99}}
    simulate = {"vectors": {"mismatches": 0}, "accuracy": {"integer": 0.9, "samples": 32}}
    assert accuracy_shown(quantize, simulate) == quantize["accuracy"]  # equal on every vector, so that of all samples
    wrong = simulate | {"vectors": {"mismatches": 1}}
    assert accuracy_shown(quantize, wrong) == {"float": 0.95, "integer": 0.9, "agreement": None}


def test_emulated_answers_are_judged_in_the_file_s_layout() -> None:
    kept = Tensor("y", (1, 2, 2), "int8", None, QuantParams((0.1,), 0))
    graph = Graph("net", {"y": kept}, (), (), (Port("y", "y", (1, 2, 2), (0, 2, 1)),))
    outputs = np.array([[[[0, 5], [9, 1]]], [[[0, 9], [5, 1]]]], np.int8).reshape(2, -1)
    assert top1(graph, outputs, np.array([1, 2])) == 1.0
    assert top1(graph, outputs, np.array([1, 1])) == 0.5
    assert top1(graph, outputs, None) is None


CALIBRATE = "Try quantization.calibration: percentile or min-max, or more calibration data."
UNITS = "Are the data in the units of the training data? data.evaluation takes scale and zero_point."
KEPT = (
    ("budget.flash", 1000, 2000, "uses 1000 B, limit 2.0 KiB", "Code is most of it: fewer kinds of layers."),
    ("budget.ram", 100, 200, "uses 100 B, limit 200 B", "Smaller feature maps in the first layers need less."),
    ("budget.stack", 64, 64, "uses 64 B, limit 64 B", "The deepest chain is a > b."),
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
    ("budget.stack", 64, 32, "needs 64 B, limit 32 B (2.0x)", "The deepest chain is a > b."),
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


def findings(rows: tuple[tuple[Any, ...], ...], passed: bool) -> list[Finding]:
    return [Finding(k, passed, m, x, said, hint, k.startswith(BUDGETS)) for k, m, x, said, hint in rows]


def test_what_is_kept_is_said_with_its_figures_limits_and_hints(product: Path) -> None:
    export = COMPARED | {"differing": 3, "largest_difference": 2, "left_out": list("abcde")}
    yaml = "budget: {stack: 64 B, latency: 100 us}\naccuracy: {at_least: 0.94, max_drop: 0.02, agreement: 0.98}\n"
    found = judged(product, yaml, quantize={"faithful": COMPARED, "export": export})
    assert list(found.values()) == findings(KEPT, True)


def test_what_is_missed_is_said_with_its_figures_limits_and_hints(product: Path) -> None:
    flash, ram = SIZE["flash"] | {"used": 5000, "constants": 3000, "code": 2000}, {"used": 300, "limit": 200}
    quantize = CHECKS["span"][0] | {
        "answers": GOOD["answers"] | {"labels": [-1, 3], "integer": 1},
        "accuracy": {"float": 0.95, "integer": 0.26, "agreement": 0.5},
    }
    yaml = "budget: {stack: 32 B, latency: 50 us}\naccuracy: {at_least: 0.97, max_drop: 0.005, agreement: 0.99}\n"
    found = judged(
        product,
        yaml,
        quantize,
        size={"flash": flash, "ram": ram, "float_symbols": ["f"], "heap_symbols": ["malloc"]},
        simulate={"layers": [], "vectors": SIMULATE["vectors"] | {"mismatches": 2}},
    )
    assert found.pop("accuracy.signal").passed
    assert list(found.values()) == findings(MISSED, False)


def test_at_the_limit_the_other_hint_and_the_other_side(product: Path) -> None:
    even = judged(product, size={"flash": SIZE["flash"] | {"code": 500, "constants": 500}})
    assert even["budget.flash"].hint == "Code is most of it: fewer kinds of layers."
    none = judged(product, size={"ram": {"used": 1, "limit": 0}})["budget.ram"]
    assert (none.passed, none.said) == (False, "needs 1 B, limit 0 B")
    stack = {"stack": SIZE["stack"] | {"worst_case": None, "unknown": "recursion in f"}}
    assert judged(product, "budget: {stack: 1 KiB}\n", size=stack)["budget.stack"] == Finding(
        "budget.stack", False, 0, 1024, "no bound is known: recursion in f", budget=True
    )
    came = {"accuracy": {"float": None, "integer": 0.9, "agreement": None}, "qdq": None}
    found = judged(product, "accuracy: {max_drop: 0.1, agreement: 0.5}\n", quantize=came)
    why = "the model came quantized: there is no float network to compare with"
    assert found["accuracy.max_drop"] == Finding("accuracy.max_drop", False, 0, 0.1, why, "Leave max_drop out.")
    why = "there is no framework to agree with"
    assert found["accuracy.agreement"] == Finding("accuracy.agreement", False, 0, 0.5, why)
    better = {"accuracy": {"float": 0.9, "integer": 0.95, "agreement": 0.9}}
    assert judged(product, "accuracy: {max_drop: 0.0}\n", quantize=better)["accuracy.max_drop"].measured == 0.0
    framework = {"answers": GOOD["answers"] | {"integer": 1, "truth": None, "float": 2}}
    assert "where the model file gives 2" in judged(product, quantize=framework)["accuracy.constant"].said
    alone = {"answers": GOOD["answers"] | {"integer": 1, "truth": 1, "float": 1}}
    assert "accuracy.constant" not in judged(product, quantize=alone)
