"""Figures of the page: bars, maps of flash and RAM, shares of cycles, all in percent worked out by hand."""

from dataclasses import replace

from test_plan_rows import PLAN
from verdict_evidence import SIMULATE, SIZE

from pipeline.facts.records import from_plain
from pipeline.judging.report.page import budget_bars, flash_map, layer_rows, percent, ram_map
from pipeline.judging.verdict import StackUsed, Used, Verdict
from pipeline.measuring.footprint.size_file import SizedLayer, SizedSymbol, SizeFile
from pipeline.measuring.simulate_file import RunLayer, SimulateFile
from pipeline.planning.plan_file import PlannedArena, PlannedBuffer
from pipeline.quantizing.quantize_file import Accuracy

VERDICT = Verdict(
    product="net", chip="chip", passed=False, verdict="does not fit", flash=Used(6144, 4096), ram=Used(128, 512),
    stack=StackUsed(None, 256), cycles=12345, latency_us=250.0, latency_limit_us=None,
    accuracy=Accuracy(0.94, 0.95, 0.98), findings=(),
)  # fmt: skip
SIZED, SIMULATED = from_plain(SizeFile, SIZE), from_plain(SimulateFile, SIMULATE)


def test_bars_are_as_wide_as_the_larger_of_use_and_limit() -> None:
    flash, ram = budget_bars(VERDICT)
    assert (flash.name, flash.share, flash.width, flash.mark, flash.over) == ("Flash", "150 %", 100.0, 66.67, True)
    assert (ram.name, ram.share, ram.width, ram.mark, ram.over) == ("RAM", "25 %", 25.0, 100.0, False)


def test_what_is_not_limited_or_not_known_has_no_bar() -> None:
    known = replace(VERDICT, stack=StackUsed(64, 256), latency_limit_us=1000.0)
    assert [(b.name, b.share) for b in budget_bars(known)][2:] == [("Stack", "25 %"), ("Latency", "25 %")]


def test_the_smallest_symbols_share_one_piece_and_ram_is_no_flash() -> None:
    symbols = (*(SizedSymbol(f"s{i}", 10, "code") for i in range(14)), SizedSymbol("arena", 999, "ram"))
    pieces = flash_map(replace(SIZED, symbols=symbols))
    assert [p.name for p in pieces] == [*(f"s{i}" for i in range(12)), "2 more"]
    assert pieces[0].width == 7.14 and (pieces[-1].size, pieces[-1].width, pieces[-1].kind) == (20, 14.29, "rest")


def test_a_buffer_is_a_box_of_its_calls_and_bytes() -> None:
    arena = PlannedArena(64, 64, True, True, (PlannedBuffer("t", 16, 32, (1, 2)),))
    (box,) = ram_map(replace(PLAN, arena=arena, calls=PLAN.calls * 4))
    assert (box.left, box.width, box.top, box.height) == (25.0, 50.0, 25.0, 50.0)
    assert ram_map(replace(PLAN, arena=replace(arena, needed=False))) == []


def test_layers_have_their_share_of_all_cycles_and_a_width_beside_the_slowest() -> None:
    layers = (RunLayer("a", "k", 100, 1200, 1200, 900), RunLayer("b", "k", 0, 300, 300, 200))
    sized = replace(SIZED, layers=(SizedLayer("a", "k", 64), SizedLayer("b", "k", 0)))
    first, second = layer_rows(replace(SIMULATED, layers=layers), sized)
    assert (first.share, first.width, first.per_mac, first.constants) == ("25.0 %", 100.0, "12.00", 64)
    assert (second.share, second.width, second.per_mac) == ("6.2 %", 25.0, "-")


def test_a_share_that_nobody_knows_is_a_dash() -> None:
    assert (percent(0.1234), percent(None)) == ("12.34 %", "-")
