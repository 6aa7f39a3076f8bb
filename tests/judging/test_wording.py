"""A comparison in words: numbers with their units and signs, long lists cut with how much is left."""

import pytest
from two_builds import layers, snapshot, symbols

from pipeline.judging.differences import compare
from pipeline.judging.differences.diff import Cause, ProductDiff, Snapshot
from pipeline.judging.differences.wording import (
    MAX_ROWS,
    cause,
    cause_lines,
    figure_rows,
    headline,
    layer_cells,
    symbol_cells,
    unchanged,
)


def product(old: Snapshot | str | None, new: Snapshot | str | None) -> ProductDiff:
    (found,) = compare("HEAD", {"p": old}, "working tree", {"p": new}).products
    return found


def test_the_headline_has_what_differs() -> None:
    found = product(snapshot(), snapshot(cycles=4100, flash=6900, accuracy=0.962, latency_us=85.4, stack=None))
    assert headline(found) == "flash -72 B (-1.0 %), stack 396 B → -, cycles +136 (+3.4 %), accuracy +0.05 points"
    assert headline(product(snapshot(), snapshot(verdict="does not fit"))) == "fits → does not fit"
    assert headline(product(snapshot(), snapshot(symbols=symbols(run=9, conv=899)))) == "same totals"
    assert headline(product(snapshot(), None)).startswith("removed: flash 6,972 B, RAM 0 B, stack 396 B, cycles 3,964")
    assert headline(product(None, snapshot())).startswith("added: flash 6,972 B")
    assert headline(product("no model", snapshot())) == "not compared: HEAD: no model"


def test_rows_have_units_signs_and_percent() -> None:
    found = product(snapshot(), snapshot(cycles=4100, flash=6900, accuracy=0.962, latency_us=80.0, float_accuracy=None))
    rows = {r.name: (r.old, r.new, r.difference, r.percent) for r in figure_rows(found)}
    assert rows["flash"] == ("6,972 B", "6,900 B", "-72 B", "-1.0 %")
    assert rows["RAM"] == ("0 B", "0 B", "", "")
    assert rows["cycles"] == ("3,964", "4,100", "+136", "+3.4 %")
    assert rows["latency"] == ("82.6 us", "80 us", "-2.58 us", "-3.1 %")
    assert rows["accuracy"] == ("96.15 %", "96.20 %", "+0.05 points", "")
    assert rows["float accuracy"] == ("96.25 %", "-", "", "")


def test_no_change_says_what_was_changed_without_effect() -> None:
    assert unchanged(product(snapshot(), snapshot())) == "no change"
    same_code = product(snapshot(), snapshot(tools={"compiler": "cc 2"}))
    assert unchanged(same_code) == "no change"
    other = product(snapshot(), snapshot(library="e" * 64, tools={"compiler": "cc 2"}))
    assert unchanged(other) == ("no change, though the library is not the same byte for byte (compiler: cc 1 → cc 2)")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Cause("model", "model", "a1", "b2"), "other model: model a1 → b2"),
        (Cause("data", "calibration", "a1", None), "other data: calibration a1 → not there"),
        (Cause("setting", "optimize", "latency", "flash"), "optimize: latency → flash"),
        (Cause("chip", "chip.clock", "1", "2"), "chip.clock: 1 → 2"),
        (Cause("tool", "compiler", "cc 1", "cc 2"), "compiler: cc 1 → cc 2"),
        (Cause("code", "pipeline/a.py", "c", "0"), "chipfit's own pipeline/a.py: c → 0"),
        (Cause("calibration", "y", "scale 1", "scale 2"), "calibration of y: scale 1 → scale 2"),
        (Cause("width", "conv", "int5", "int8"), "weights of conv: int5 → int8"),
        (Cause("kernel", "conv", "packed", "loop"), "kernel of conv: packed → loop"),
        (Cause("layer", "pool", None, "pool"), "layer pool is new"),
        (Cause("layer", "pool", "pool", None), "layer pool is gone"),
        (Cause("layer", "a", "a", "b"), "layer a is now called b"),
        (Cause("symbol", "s", "1 B", "2 B"), "largest change of a symbol: s: 1 B → 2 B"),
    ],
)
def test_each_cause_is_half_a_sentence(found: Cause, sentence: str) -> None:
    assert cause(found) == sentence


def test_files_of_the_own_code_are_counted_and_long_lists_cut() -> None:
    many = {f"{n:02}": "0" for n in range(30)}
    found = product(snapshot(code=many), snapshot(code=dict.fromkeys(many, "1"), cycles=1))
    assert cause_lines(found) == ["chipfit's own code: 30 files differ, such as 00"]
    found = product(snapshot(calibrated=many), snapshot(calibrated=dict.fromkeys(many, "1"), cycles=1))
    assert cause_lines(found) == ["calibration: 30 tensors and layers have other scales or integers, such as 00"]
    found = product(snapshot(tools=many), snapshot(tools=dict.fromkeys(many, "1"), cycles=1))
    assert len(cause_lines(found)) == MAX_ROWS + 1 and cause_lines(found)[-1] == "10 more, which --json has"
    assert cause_lines(product(snapshot(), snapshot(cycles=1))) == ["no cause is on record"]


def test_cells_of_layers_and_symbols() -> None:
    old = layers(("conv", "packed", 3900, 100), ("gone", "loop", 5, 0))
    found = product(snapshot(layers=old), snapshot(layers=layers(("conv", "loop", 4000, 96)), symbols=symbols(run=9)))
    assert [layer_cells(x) for x in found.layers] == [
        ("conv", "packed → loop", "3,900 → 4,000", "+100", "-4 B"),
        ("gone", "loop → not there", "5 → 0", "-5", ""),
    ]
    assert [symbol_cells(x) for x in found.symbols] == [
        ("conv", "900 B", "not there", "-900 B"),
        ("run", "8 B", "9 B", "+1 B"),
    ]
