"""What a path through the assembler's macros runs, on short ones that can be counted by hand."""

from pipeline.facts.cores import CORES, Executed
from pipeline.planning.variants.armv6m.im2col import fill, widen
from pipeline.planning.variants.armv6m.macro_costs import (
    code_size,
    executed_loop,
    executed_loop_end,
    executed_on_path,
    executed_once,
)

M0, M0_PLUS = CORES["cortex-m0"], CORES["cortex-m0plus"]


def test_instructions_are_counted_by_kind_and_priced_by_core() -> None:
    lines = (
        "ldr r0, [sp, #4]",
        "muls r0, r1",
        "push {r4-r7, lr}",
        "bl f",
        "adds r0, #1",
        "pop {r4-r7, pc}",
        "lsls r0, #1",
    )
    executed = executed_once(*lines)
    assert executed == Executed(alu=1, multiplies=1, accesses=1, blocks=1, registers=10, pops_pc=1, links=1)
    assert executed.instructions == 6
    assert executed.cycles(M0) == 1 + 1 + 2 + (1 + 5) + 4 + (4 + 5)
    assert executed.cycles(M0_PLUS) == 1 + 1 + 2 + (1 + 5) + 3 + (3 + 5)
    assert executed.cycles(M0, multiplier=32) == executed.cycles(M0) + 31


def test_a_branch_ends_where_it_leaves_and_goes_on_where_it_leads() -> None:
    lines = ("cmp r0, #0", "beq 1f", "adds r0, #1", "1:", "bx lr")
    assert executed_on_path(lines, [True]) == Executed(alu=1, branches=1, exchanges=1)
    assert executed_on_path(lines, [False]) == Executed(alu=2, untaken=1, exchanges=1)
    assert executed_on_path(("b 3b", "adds r0, #1"), []) == Executed(branches=1)


def test_a_loop_goes_back_from_all_turns_but_the_last() -> None:
    loop = ("1:", "adds r0, #1", "subs r1, #1", "bne 1b")
    assert executed_loop(5, *loop) == Executed(alu=10, branches=4, untaken=1)
    # ldr, subs, str, and then beq 2f at the end, else b 1b.
    assert executed_loop_end(5, "repeat F_COUNT, 1b") == Executed(alu=5, accesses=10, branches=1 + 4, untaken=4)
    assert executed_loop_end(1, "repeat F_COUNT, 1b") == Executed(alu=1, accesses=2, branches=1)


def test_conditions_and_repetitions_are_expanded() -> None:
    # First of its lanes, with a split: ldr, ldm of two, two muls, and twice sxth, add, subs, asrs, add.
    assert executed_once("packed_split_step 2, 5 + 256 + 512") == Executed(
        alu=10, multiplies=2, accesses=1, blocks=1, registers=2
    )
    assert executed_once("packed_split_steps 1, 1, 2") == executed_once("packed_split_step 1, 1") * 2
    assert executed_once("reserve 300") == Executed(alu=3)
    assert executed_once("put_from_zero 0, 0", words=True) == Executed(accesses=1)
    assert (
        executed_once("put_from_zero 0, -3", words=True)
        == executed_once("put_from_zero 0, 5")
        == Executed(alu=1, accesses=1)
    )


def test_code_is_counted_with_every_literal_and_all_that_aligns() -> None:
    # ldr and its literal, bl, a conditional branch, push; and .pool may need two bytes.
    lines = ("ldr r0, =1234", "bl f", "1:", "beq 1b", "push {{r4, lr}}", ".pool", ".word 1, 2")
    assert code_size(lines) == (2 + 4) + 4 + 2 + 2 + 2 + 8


def test_what_is_shared_takes_the_branches_that_its_count_asks_for() -> None:
    # cmp, beq taken, bx; then stm, subs and bne for every word.
    assert fill(0) == Executed(alu=1, branches=1, exchanges=1)
    assert fill(3) == Executed(alu=1 + 3, blocks=3, registers=3, branches=2, untaken=2, exchanges=1)
    ones = widen(8)
    assert (ones.accesses, ones.registers) == (8, 8)
    assert all(widen(n).accesses == widen(n).registers == n for n in range(70))
