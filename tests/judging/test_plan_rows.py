"""The plan for people: rows with alternatives, sentences, and the points of a plot."""

from dataclasses import replace

import pytest

from pipeline.judging.report.plan import brief, frontier_plot, plan_rows, plan_sentences
from pipeline.planning.plan_file import (
    ChannelsLeftOut,
    ChosenPlan,
    MoreFlash,
    MoreRam,
    PlanFile,
    PlannedArena,
    PlannedCall,
    PlannedOption,
    PlannedPoint,
    Refusal,
)

C, FAST = PlannedOption("flash", "c", 9000, 10, 100, 0, 0), PlannedOption("flash", "fast", 3000, 10, 350, 0, 40)
RAM = PlannedOption("code", "fast", 3000, 0, 350, 250, 40)
CALL = PlannedCall("fc", "fast", 500, 2000, (C, FAST, RAM), (Refusal("wide", "too deep"),), (("input", 0),), ())
SMALL = PlannedPoint(9000, 10, 400, 0, ("c",), ("flash",))
LARGE = PlannedPoint(3000, 10, 650, 0, ("fast",), ("flash",))
CHOSEN = ChosenPlan(
    "latency", 3000, 10, 650, 0, ("fast",), ("flash",), MoreFlash(3010, 650), None, (SMALL, LARGE)
)  # fmt: skip
PLAN = PlanFile((), PlannedArena(0, 0, True, False, ()), (), ChannelsLeftOut(0, 0), CHOSEN, (CALL,))


def test_a_row_says_what_each_alternative_would_cost() -> None:
    (row,) = plan_rows(PLAN, None)
    assert (row.variant, row.cycles, row.measured, row.ratio) == ("fast", 3000, None, 1.5)
    assert [(a.variant, a.why) for a in row.alternatives] == [
        ("fast, code in RAM", "about 10 cycles less, 250 B of RAM more"),
        ("c", "about 6,000 cycles more, 250 B less"),
        ("wide", "too deep"),
    ]


def test_a_layer_in_c_has_no_planned_cycles() -> None:
    chosen = replace(CHOSEN, variants=("c",))
    (row,) = plan_rows(replace(PLAN, plan=chosen), None)
    assert row.cycles is row.stack is row.ratio is None and row.variant == "fast", "the kernel's name"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "No plan is faster: more flash would buy nothing."),
        ({"cycles": 5000, "next_kib": MoreFlash(4000, 900)}, "The next KiB of flash would save 1,010 cycles."),
        ({"cycles": 5000, "next_kib": MoreFlash(5010, 900)}, "would save nothing by itself; a larger step would."),
        ({"from_ram": MoreRam(2000, 512)}, "With 512 B of it in RAM (memory: {code: ram}) about 1,010 of 3,010 cycles"),
        ({"ram": 2048}, "Startup copies 2.0 KiB of it to RAM"),
    ],
)
def test_sentences_say_what_limits_the_plan(change: dict[str, object], sentence: str) -> None:
    said = plan_sentences(replace(PLAN, plan=replace(CHOSEN, **change)))  # type: ignore[arg-type]
    assert any(sentence in s for s in said), said


def test_where_there_is_no_choice_and_where_channels_are_left_out_it_is_said() -> None:
    alone = replace(PLAN, calls=(replace(CALL, options=(C,)),), left_out=ChannelsLeftOut(3, 1200))
    assert plan_sentences(alone) == [
        "Every layer has one kernel on this core: there was nothing to choose.",
        "3 channels, 1,200 multiply-accumulates, change no output: left out.",
    ]


def test_the_plot_goes_from_the_smallest_plan_to_the_fastest() -> None:
    plot = frontier_plot(CHOSEN, 525)
    assert plot is not None and plot.limit == 50.0
    assert [(p.x, p.y) for p in plot.points] == [(0.0, 0.0), (100.0, 100.0)]
    assert plot.line == "0.0,0.0 100.0,100.0" and (plot.chosen.x, plot.chosen.y) == (100.0, 100.0)
    assert (plot.axis.small, plot.axis.large, plot.axis.slow, plot.axis.fast) == (400, 650, 9010, 3010)
    assert frontier_plot(replace(CHOSEN, frontier=(SMALL,)), None) is None
    beyond = frontier_plot(CHOSEN, 10_000)
    assert beyond is not None and beyond.limit is None


def test_a_joined_name_is_cut() -> None:
    assert brief("a;b;c") == "a;..." and brief("alone") == "alone"
