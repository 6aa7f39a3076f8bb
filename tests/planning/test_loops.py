"""Loops: the lines that they are written as, and instructions counted turn by turn."""

from pipeline.facts.cores import Executed
from pipeline.planning.variants.armv6m.loops import CostedLines, Loop, executed_by, lines_of

INNER = Loop("F_COLUMNS", 3, 5, ("adds r0, #1", CostedLines(("bl work",), Executed(links=1, alu=10))))
STEPS = ("subs r1, #1", Loop("F_ROWS", 4, 2, ("muls r0, r1", INNER)))


def test_a_loop_sets_its_counter_and_goes_back_to_its_label() -> None:
    assert lines_of(STEPS) == [
        "subs r1, #1", "set_word F_ROWS, 2", "4:", "muls r0, r1",
        "set_word F_COLUMNS, 5", "3:", "adds r0, #1", "bl work", "repeat F_COLUMNS, 3b", "repeat F_ROWS, 4b",
    ]  # fmt: skip


def test_instructions_are_those_of_all_turns() -> None:
    total = executed_by(STEPS)
    assert (total.multiplies, total.links) == (2, 2 * 5)
    # `repeat` leaves by one branch from the last turn, which the others do not take, and goes back by another.
    assert (total.branches, total.untaken) == (2 + 2 * 5, 1 + 2 * 4)
    once, twice = (executed_by((Loop("F_ROWS", 4, n, ("muls r0, r1",)),)) for n in (1, 2))
    turn = twice - once
    assert turn.multiplies == 1 and executed_by((Loop("F_ROWS", 4, 9, ("muls r0, r1",)),)) == once + turn * 8
    assert executed_by(()) == Executed()
