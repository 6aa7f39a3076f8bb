"""Abstract values of registers: what an instruction's result is known to be, and what is forgotten."""

import pytest
from capstone import arm
from thumb_code import BASE, half_words, image

from pipeline.measuring.thumb.values import (
    ENTRY,
    ReturnAddress,
    StackAddress,
    State,
    Value,
    after_call,
    after_store,
    result_value,
)

R0, R1, R2, R7 = arm.ARM_REG_R0, arm.ARM_REG_R1, arm.ARM_REG_R2, arm.ARM_REG_R7
STATE = State(24, {R1: 7, R2: 0xFFFFFFF0, R7: StackAddress(16)}, {4: ReturnAddress(), 8: 5})


def result(*code: int, state: State = STATE) -> Value | None:
    decoded = image(half_words(*code), {})
    first = decoded.instructions[BASE]
    return result_value(first, first.mnemonic.removesuffix(".w").rstrip("s"), state, decoded)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ((0x2005,), 5),  # movs r0, #5
        ((0x4608,), 7),  # mov r0, r1
        ((0x4668,), StackAddress(24)),  # mov r0, sp
        ((0x1888,), 7 - 16),  # adds r0, r1, r2
        ((0x1A50,), 0xFFFFFFF0 - 7),  # subs r0, r2, r1
        ((0xA802,), StackAddress(16)),  # add r0, sp, #8
        ((0x4438,), None),  # add r0, r7: r0 is not known
        ((0x1DF8,), StackAddress(9)),  # adds r0, r7, #7
        ((0x1E78,), StackAddress(17)),  # subs r0, r7, #1
        ((0x00C8,), 56),  # lsls r0, r1, #3
        ((0x4348,), None),  # muls r0, r1, r0
        ((0x6808,), None),  # ldr r0, [r1]
        ((0xF241, 0x2034), 0x1234),  # movw r0, #0x1234
    ],
)  # fmt: skip
def test_a_result_is_known_where_its_operands_are(code: tuple[int, ...], value: Value | None) -> None:
    expected = value % 2**32 if isinstance(value, int) else value
    assert result(*code) == expected


def test_a_literal_is_read_where_the_program_counter_points() -> None:
    # ldr r0, [pc, #4] at BASE: the word at (BASE + 4) aligned + 4
    assert result(0x4801, 0xBF00, 0xBF00, 0xBF00, 0x5678, 0x1234) == 0x12345678
    assert result(0x4801, 0xBF00) is None, "nothing is there"


def test_the_upper_half_is_put_over_the_lower() -> None:
    state = STATE.set(R0, 0x1111)
    assert result(0xF2C2, 0x2022, state=state) == 0x22221111  # movt r0, #0x2222
    assert result(0xF2C2, 0x2022) is None


def test_a_call_keeps_what_the_callee_saves_and_no_local_variable() -> None:
    behind = after_call(STATE.set(R7, 3))
    assert behind.registers == {R7: 3} and behind.saved == {4: ReturnAddress()}
    assert after_store(STATE).registers == STATE.registers and after_store(STATE).saved == {4: ReturnAddress()}


def test_two_ways_that_meet_keep_what_both_know() -> None:
    other = State(24, {R1: 7, R2: 1}, {8: 5})
    met = STATE.meet(other)
    assert met is not None and met.registers == {R1: 7} and met.saved == {8: 5}
    assert STATE.meet(STATE.with_depth(28)) is None


def test_a_stack_that_shrinks_forgets_the_words_beyond_it() -> None:
    assert STATE.with_depth(4).saved == {4: ReturnAddress()} and STATE.with_depth(4).depth == 4
    assert ENTRY.get(arm.ARM_REG_LR) == ReturnAddress() and ENTRY.get(arm.ARM_REG_SP) == StackAddress(0)
    assert STATE.set(R1, None).get(R1) is None
