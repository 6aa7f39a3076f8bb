"""Weights as instructions: entries from which they can be read, and zeros that cost nothing."""

import numpy as np
from samples_of_calls import conv2d, dense, linear_call

from pipeline.planning.variants.armv6m.unrolled_sparse import _WEIGHT_UNIT, _WEIGHT_ZERO, offer

WEIGHTS = np.random.default_rng(4).integers(-128, 128, (5, 9)) * (np.arange(45).reshape(5, 9) % 3 > 0)


def test_every_weight_that_is_not_zero_is_one_entry() -> None:
    routine = offer(linear_call(dense(WEIGHTS)))
    assert routine is not None
    rows = [line.split(" ", 1)[1] for line in routine.lines if line.startswith("unrolled_sparse_terms")]
    assert len(rows) == 5
    for row, entries in zip(WEIGHTS, rows, strict=True):
        read = np.zeros(9, np.int64)
        for entry in (int(e) for e in entries.split(", ")):
            read[entry % _WEIGHT_UNIT] = entry // _WEIGHT_UNIT - _WEIGHT_ZERO
        assert (read == row).all()
    assert routine.executed.multiplies <= np.count_nonzero(WEIGHTS)


def test_zeros_cost_nothing() -> None:
    wide = np.concatenate([WEIGHTS, np.zeros((5, 20), np.int64)], axis=1)
    narrow, padded = offer(linear_call(dense(WEIGHTS))), offer(linear_call(dense(wide)))
    assert narrow is not None and padded is not None
    assert padded.executed == narrow.executed and padded.code == narrow.code


def test_windows_and_more_inputs_than_an_entry_numbers_are_left_to_others() -> None:
    assert offer(linear_call(dense(np.ones((1, 256))))) is not None
    assert offer(linear_call(dense(np.ones((1, 257))))) is None
    assert offer(linear_call(conv2d(np.ones((2, 2, 2, 1)), 4, 4))) is None
