"""Causes: each kind of thing that two builds can be made from differently is named, old and new."""

import pytest
from two_builds import layers, snapshot, symbols

from pipeline.judging.differences import compare
from pipeline.judging.differences.diff import Cause, Snapshot


def found(old: Snapshot, new: Snapshot) -> list[Cause]:
    (product,) = compare("a", {"p": old}, "b", {"p": new}).products
    return list(product.causes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"inputs": {"model": "f" * 64, "calibration": "b" * 64}}, ("model", "model", "a" * 12, "f" * 12)),
        ({"inputs": {"model": "a" * 64}}, ("data", "calibration", "b" * 12, None)),
        (
            {"settings": {"quantization.weights": "int8", "chip.clock": 48_000_000}},
            ("setting", "quantization.weights", "int5", "int8"),
        ),
        (
            {"settings": {"quantization.weights": "int5", "chip.clock": 24_000_000}},
            ("chip", "chip.clock", "48000000", "24000000"),
        ),
        ({"tools": {"compiler": "cc 2"}}, ("tool", "compiler", "cc 1", "cc 2")),
        ({"code": {"pipeline/a.py": "0" * 64}}, ("code", "pipeline/a.py", "c" * 12, "0" * 12)),
        ({"calibrated": {"y": "scale 2"}}, ("calibration", "y", "scale 1", "scale 2")),
        ({"widths": {"conv": "int8"}}, ("width", "conv", "int5", "int8")),
        ({"layers": layers(("conv", "loop", 3900, 100))}, ("kernel", "conv", "packed", "loop")),
        (
            {"layers": layers(("conv", "packed", 3900, 100), ("pool", "loop", 9, 0))},
            ("layer", "pool", None, "pool"),
        ),
        ({"layers": ()}, ("layer", "conv", "conv", None)),
        ({"layers": layers(("first", "packed", 3900, 100))}, ("layer", "conv", "conv", "first")),
        ({"symbols": symbols(run=8, conv=990), "flash": 7062}, ("symbol", "conv", "900 B", "990 B")),
    ],
)
def test_each_kind(changes: dict[str, object], expected: tuple[str, ...]) -> None:
    assert found(snapshot(), snapshot(**changes)) == [Cause(*expected)]  # type: ignore[arg-type]


def test_layers_that_are_no_longer_computed_together_are_not_new() -> None:
    old = snapshot(layers=layers(("a + b", "fused_dense", 90, 0)))
    new = snapshot(layers=layers(("a", "packed", 60, 0), ("b", "fused_dense", 50, 0)))
    assert found(old, new) == [Cause("kernel", "a", "fused_dense", "packed")]


def test_what_one_side_keeps_no_record_of_is_no_cause() -> None:
    empty: dict[str, str] = {}
    lock = snapshot(settings=empty, code=empty, tools=empty, widths=empty, inputs=empty, calibrated=empty)
    assert found(lock, snapshot()) == found(snapshot(), lock) == []


def test_integers_of_another_width_are_not_said_again() -> None:
    old = snapshot(calibrated={"layer conv": "shift, integers 1", "layer dense": "shift, integers 2"})
    new = snapshot(
        calibrated={"layer conv": "shift, integers 3", "layer dense": "shift, integers 4"}, widths={"conv": "int8"}
    )
    assert found(old, new) == [
        Cause("calibration", "layer dense", "shift, integers 2", "shift, integers 4"),
        Cause("width", "conv", "int5", "int8"),
    ]
