"""Lanes split with the carry: starts of two outputs in one word, and blocks that a branch still spans."""

import numpy as np
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.packed_carry import _start_words, offer, scheme_of


def test_starts_of_a_pair_are_one_word_and_the_upper_ones_follow() -> None:
    words = _start_words(np.array([10, 20, -30, 40]))
    assert words.tolist() == [10 + (20 << 16), -30 + (40 << 16), 20, 40]


def test_one_call_runs_all_blocks_of_a_kind() -> None:
    scheme = scheme_of(linear_call(dense(np.full((11, 20), 3))))
    assert scheme is not None
    (chunk,) = scheme.chunks
    assert [(r.calls, r.turns) for r in chunk.routines] == [(1, 2), (1, 1)]
    assert [r.caller for r in chunk.routines] == ["packed_carry_blocks"] * 2
    count, size = (int(n) for n in chunk.routines[0].arguments.split(", "))
    starts, constants = 2 * 2, 4
    assert (count, size) == (2, 4 * 2 * (2 * 20 + starts + constants)), "bytes of the stream of both blocks"


def test_a_block_that_no_branch_spans_is_left_to_another_variant() -> None:
    heavy = np.full((4, 240), 127)  # every second input needs a split
    assert offer(linear_call(dense(heavy))) is None
    assert offer(linear_call(dense(np.full((4, 100), 3)))) is not None
