"""Unrolled layers: where outputs are stored, and outputs without a weight."""

import numpy as np
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.unrolled_sparse import NAME, offer


def test_every_output_is_stored_at_its_own_byte() -> None:
    routine = offer(linear_call(dense(np.ones((70, 2)), rows=3)))
    assert routine is not None and routine.variant == NAME and routine.includes[-1] == f"{NAME}.inc"
    at, stored = 0, []
    for line in routine.lines:
        if line.startswith("unrolled_advance"):
            at += int(line.split()[1])
        elif line.startswith("requantize_shift value"):
            offset = int(line.split(", ")[1])
            assert 0 <= offset <= 31, "what one instruction reaches"
            stored.append(at + offset)
    assert stored == list(range(70)) and at == 70, "the next position's outputs lie behind"


def test_an_output_without_weights_is_a_constant_and_reads_no_stream() -> None:
    weights = np.array([[1, 2], [0, 0], [3, 0]])
    routine = offer(linear_call(dense(weights, bias=[0, -300, 0])))
    assert routine is not None
    assert f"unrolled_constant {(-300 >> 7) & 255}, 1" in routine.lines
    assert routine.tables["constants"].size == 2 * 2, "start and shift of two outputs"
    empty = offer(linear_call(dense(np.zeros((2, 2)))))
    assert empty is not None and empty.tables["constants"].size == 1, "C knows no empty array"
