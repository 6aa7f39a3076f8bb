"""Lanes split by sign extension: which macros a block is made of, with one chunk and with several."""

import numpy as np
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.packed import FRAME, MOST_CHUNKS
from pipeline.planning.variants.armv6m.packed_split import offer, scheme_of


def test_a_block_of_one_chunk_ends_in_its_outputs() -> None:
    scheme = scheme_of(linear_call(dense(np.full((7, 20), 3))))
    assert scheme is not None and scheme.words == FRAME + 20
    (chunk,) = scheme.chunks
    six, one = (r.lines for r in chunk.routines)
    assert six[0] == "packed_split_begin 3, 1, 1" and one[0] == "packed_split_begin 1, 1, 1"
    assert six[-1] == "packed_done 6" and sum(line.startswith("requantize_shift") for line in six) == 6


def test_chunks_hand_their_sums_over_in_the_frame() -> None:
    scheme = scheme_of(linear_call(dense(np.full((7, 500), 1))))
    assert scheme is not None and len(scheme.chunks) == 3
    begins = [r.lines[0] for c in scheme.chunks for r in c.routines[:1]]
    assert begins == [f"packed_split_begin 3, {first}, {last}" for first, last in ((1, 0), (0, 0), (0, 1))]
    assert scheme.words == FRAME + 167 + 2 * (3 + 1), "the longest chunk, and two words for each of four pairs"
    assert len(scheme.stream) == 4 * 500 + 8 + 7, "a word for each pair and input, starts, shifts"


def test_least_cycles_are_a_multiplication_and_an_addition_for_each_pair() -> None:
    routine = offer(linear_call(dense(np.full((7, 20), 3), rows=5)))
    assert routine is not None and routine.least_cycles == 5 * 20 * 4 * 2


def test_more_chunks_than_a_branch_spans_are_left_to_others() -> None:
    assert offer(linear_call(dense(np.ones((2, 240 * MOST_CHUNKS))))) is not None
    assert offer(linear_call(dense(np.ones((2, 240 * MOST_CHUNKS + 1))))) is None
