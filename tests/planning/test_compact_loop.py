"""Compact loops: one byte for a weight, and the words of every four outputs."""

import numpy as np
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.compact_loop import offer
from pipeline.planning.variants.armv6m.requantize import epilogue_of

WEIGHTS = np.random.default_rng(5).integers(-127, 128, (6, 5))


def test_tables_hold_negated_weights_in_whole_fours_and_starts_before_constants() -> None:
    call = linear_call(dense(WEIGHTS, bias=[1, 2, 3, 4, 5, 6]))
    routine, epilogue = offer(call), epilogue_of(call)
    assert routine is not None and epilogue is not None
    rows, words = routine.tables["rows"], routine.tables["packed"].tolist()
    assert rows.dtype == np.int8 and rows.shape == (8, 5) and (rows[:6] == -WEIGHTS).all() and not rows[6:].any()
    start, shift = epilogue.start.tolist(), epilogue.constants[:, 0].tolist()
    assert words == [*start[:4], *shift[:4], *start[4:], 0, 0, *shift[4:]]


def test_what_a_byte_cannot_negate_and_what_the_stack_cannot_hold_is_left_to_others() -> None:
    assert offer(linear_call(dense(np.array([[-128, 0]])))) is None
    assert offer(linear_call(dense(np.array([[-127, 0]])))) is not None
    assert offer(linear_call(dense(np.ones((1, 1000))))) is None
