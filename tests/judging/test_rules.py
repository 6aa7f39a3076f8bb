"""The verdict: what each rule says of figures that are right, and of each kind that is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from verdict_evidence import CHECKS, COMPARED, GOOD, SIMULATE, SIZE, findings_of, missed

from pipeline.facts.records import from_plain
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.judging.rules import RULES
from pipeline.judging.verdict import verdict_of
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.quantizing.quantize_file import Accuracy
from pipeline.quantizing.top1 import top1
from stages.report import measured_accuracy


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def test_every_rule_has_a_sentence() -> None:
    assert all(r.__doc__ for r in RULES)


def test_what_is_right_passes_every_rule(product: Path) -> None:
    found = findings_of(product, "budget: {stack: 64 B, latency: 100 us}\naccuracy: {at_least: 0.94, max_drop: 0.02}\n")
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
        ("", "budget.ram", {"size": {"ram": SIZE["ram"] | {"used": 201}}}),
        ("budget: {stack: 63 B}\n", "budget.stack", {}),
        ("budget: {latency: 99 us}\n", "budget.latency", {}),
        ("accuracy: {at_least: 0.941}\n", "accuracy.at_least", {}),
        ("accuracy: {max_drop: 0.009}\n", "accuracy.max_drop", {}),
        ("accuracy: {agreement: 0.99}\n", "accuracy.agreement", {}),
    ],
)
def test_a_missed_budget_does_not_fit(product: Path, yaml: str, key: str, change: Any) -> None:
    found = findings_of(product, yaml, **change)
    assert missed(found) == [key]
    assert verdict_of(list(found.values())) == "does not fit"


def test_a_stack_without_a_bound_does_not_fit(product: Path) -> None:
    stack = {"stack": SIZE["stack"] | {"worst_case": None, "unknown": "recursion in f"}}
    found = findings_of(product, "budget: {stack: 1 KiB}\n", size=stack)
    assert found["budget.stack"].sentence == "no bound is known: recursion in f" and missed(found) == ["budget.stack"]


def test_vectors_are_counted_on_the_chip_and_on_the_host_apart(product: Path) -> None:
    wrong = {"vectors": {"run": 35, "real": 32, "mismatches": 34, "host_mismatches": 33}}
    found = findings_of(product, simulate=wrong)
    assert found["simulate.vectors"].sentence == (
        "of 35 vectors 34 differ from the integer reference on the emulated chip, 33 on the host"
    )
    assert verdict_of(list(found.values())) == "check failed"
    for side in ("mismatches", "host_mismatches"):
        one = {"vectors": SIMULATE["vectors"] | {side: 1}}
        assert missed(findings_of(product, simulate=one)) == ["simulate.vectors"]


@pytest.mark.parametrize("side", ["float_symbols", "heap_symbols"])
def test_soft_float_and_heap_are_named(product: Path, side: str) -> None:
    assert findings_of(product, size={side: ["__aeabi_fadd"]})["toolchain"].sentence == "links __aeabi_fadd"


@pytest.mark.parametrize(("part", "key"), [("faithful", "model.source"), ("export", "model.qdq.onnx")])
def test_a_comparison_with_the_framework_is_a_rule(product: Path, part: str, key: str) -> None:
    assert (
        findings_of(product, quantize={part: COMPARED})[key].sentence
        == "400 values in 2 tensors are those of ONNX Runtime"
    )
    explained = COMPARED | {"differing": 3, "largest_difference": 1, "left_out": ["z"]}
    found = findings_of(product, quantize={part: explained})
    assert found[key].passed and found[key].sentence == (
        "400 values in 2 tensors are those of ONNX Runtime, but for 3 that rounding explains (at most 1 step); "
        "not compared, without a proven bound: 'z'"
    )
    first = {"tensor": "t", "layer": "conv", "values": 200, "differing": 60, "unexplained": 50, "steps": 167}
    first |= {"allowed": 0.5, "first": 3}
    found = findings_of(product, quantize={part: COMPARED | {"differing": 60, "unexplained": 50, "first": first}})
    assert missed(found) == [key] and verdict_of(list(found.values())) == "check failed"
    assert found[key].sentence == (
        "tensor 't' (layer 'conv'): 50 of 200 values differ from ONNX Runtime's, by up to 167 steps, "
        "more than rounding explains"
    )


def test_channels_that_32_bits_cannot_say_are_named(product: Path) -> None:
    first = {"tensor": "t", "layer": "conv", "values": 200, "differing": 60, "unexplained": 50, "steps": 167}
    first |= {"allowed": 0.5, "first": 3}
    channels = {"constant": 0, "step": 1, "coarser": 0, "largest_error": 90.2}
    wrong = {
        "faithful": COMPARED | {"first": first},
        "layers": [GOOD["layers"][0] | {"name": "c", "channels": channels}],
    }
    hint = findings_of(product, quantize=wrong)["model.source"].hint
    assert hint == "Layer 'c' has channels that 32 bits cannot say, off by up to 90 steps."
    assert findings_of(product, quantize=wrong | {"layers": []})["model.source"].hint.startswith(
        "This is a bug in chipfit"
    )


def test_without_litert_the_verdict_says_so_and_stands(product: Path) -> None:
    why = COMPARED | {"against": None, "why": "not compared with LiteRT (pip install chipfit[litert])"}
    found = findings_of(product, quantize={"faithful": why})
    assert found["model.source"].sentence == why["why"] and not missed(found)
    nobody = {"accuracy": {"float": None, "integer": 0.9, "agreement": None}, "qdq": None, "faithful": why}
    found = findings_of(product, "accuracy: {agreement: 0.9, max_drop: 0.1}\n", quantize=nobody)
    assert missed(found) == ["accuracy.max_drop", "accuracy.agreement"]
    assert found["accuracy.agreement"].sentence == why["why"]


@pytest.mark.parametrize("name", CHECKS)
def test_doubtful_data_and_answers_fail_unless_the_yaml_allows_them(product: Path, name: str) -> None:
    change, sentence = CHECKS[name]
    found = findings_of(product, quantize=change)
    assert missed(found) == [f"accuracy.{name}"] and found[f"accuracy.{name}"].sentence == sentence
    assert f"accuracy: {{allow: [{name}]}}" in found[f"accuracy.{name}"].hint
    assert verdict_of(list(found.values())) == "check failed"
    allowed = findings_of(product, f"accuracy: {{allow: [{name}]}}\n", quantize=change)
    assert not missed(allowed) and allowed[f"accuracy.{name}"].sentence.endswith("(allowed by accuracy.allow)")


@pytest.mark.parametrize(("right", "passes"), [(32, False), (33, True)])
def test_chance_has_a_binomial_margin(product: Path, right: int, passes: bool) -> None:
    """Of 100 guesses among 4 classes 33 or more are right in 4.5 % of all cases, 32 or more in 6.9 %."""
    share = right / 100
    for shares in ({"float": share, "integer": 0.9}, {"float": None, "integer": share}):
        found = findings_of(product, quantize={"accuracy": shares | {"agreement": None}})
        assert ("accuracy.chance" not in found) == passes


def test_few_samples_and_networks_without_classes_are_not_judged(product: Path) -> None:
    bad = {"accuracy": {"float": 0.0, "integer": 0.0, "agreement": 1.0}, "answers": GOOD["answers"] | {"integer": 1}}
    assert missed(findings_of(product, quantize=bad | {"samples": 19})) == []
    assert missed(findings_of(product, quantize=bad)) == ["accuracy.chance", "accuracy.constant"]
    assert missed(findings_of(product, quantize=bad | {"answers": bad["answers"] | {"classes": None}})) == []


def test_where_nothing_could_be_compared_that_is_a_finding(product: Path) -> None:
    found = findings_of(product, quantize={"export": COMPARED | {"values": 0, "tensors": 0}})["model.qdq.onnx"]
    assert (found.passed, found.sentence) == (False, "not compared: no tensor has a proven bound against ONNX Runtime")


def test_a_quantized_file_that_loses_signal_is_to_be_quantized_again(product: Path) -> None:
    rows = [{"tensor": "c", "part": "output 'y'", "signal_db": 2.0}]
    found = findings_of(product, quantize={"signal": rows, "faithful": COMPARED})["accuracy.signal"]
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
    found = findings_of(product, quantize={"signal": rows, "signal_tried": options, "answers": answers})
    assert found["accuracy.constant"].hint.startswith(advice)


def test_the_least_signal_is_named_with_what_was_tried_best_first(product: Path) -> None:
    assert findings_of(product)["accuracy.signal"].sentence == "is 31.0 dB or more, limit 10 dB"
    rows = [*GOOD["signal"], {"tensor": "c", "part": "the part of output 'y' that comes from 's'", "signal_db": -0.04}]
    options = [{"what": "min-max", "signal_db": 2.0}, {"what": "int16", "signal_db": 40.0}]
    found = findings_of(product, quantize={"signal": rows, "signal_tried": options})
    assert missed(found) == ["accuracy.signal"] and verdict_of(list(found.values())) == "check failed"
    assert found["accuracy.signal"].sentence == (
        "the part of output 'y' that comes from 's' has only 0.0 dB of signal over quantization noise, limit 10 dB"
    )
    assert found["accuracy.signal"].hint.startswith("Tried: int16: 40.0 dB; min-max: 2.0 dB. ")
    assert not missed(findings_of(product, "accuracy: {signal: none}\n", quantize={"signal": rows}))
    assert missed(findings_of(product, "accuracy: {signal: 31.5 dB}\n")) == ["accuracy.signal"]
    silent = [{"tensor": "y", "part": "output 'y'", "signal_db": None}]
    assert "accuracy.signal" not in findings_of(product, quantize={"signal": silent})


def test_the_accuracy_shown_is_that_of_the_emulated_code() -> None:
    found, right = Accuracy(0.94, 0.95, 0.99), from_plain(SimulateFile, SIMULATE)
    assert measured_accuracy(found, right) == found  # equal on every vector, so that of all samples
    wrong = replace(right, vectors=replace(right.vectors, mismatches=1))
    assert measured_accuracy(found, wrong) == Accuracy(0.9, 0.95, None)


def test_emulated_answers_are_judged_in_the_file_s_layout() -> None:
    kept = Tensor("y", (1, 2, 2), "int8", None, QuantParams((0.1,), 0))
    graph = Graph("net", {"y": kept}, (), (), (Port("y", "y", (1, 2, 2), (0, 2, 1)),))
    outputs = np.array([[[[0, 5], [9, 1]]], [[[0, 9], [5, 1]]]], np.int8).reshape(2, -1)
    assert top1(graph, outputs, np.array([1, 2])) == 1.0
    assert top1(graph, outputs, np.array([1, 1])) == 0.5
    assert top1(graph, outputs, None) is None
