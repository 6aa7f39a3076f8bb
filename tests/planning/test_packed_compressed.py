"""Weights packed tight: fields where the drawing in the macro file has them, for each width."""

import numpy as np
import pytest
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.packed_compressed import _packed_words, offer


@pytest.mark.parametrize(("bits", "largest"), [(2, 1), (3, 3), (4, 7), (5, 15)])
def test_every_weight_can_be_read_from_its_field(bits: int, largest: int) -> None:
    outputs = 2 * min(6, 16 // bits)
    rows = np.random.default_rng(bits).integers(-largest, largest + 1, (outputs, 50))
    words = _packed_words(rows, bits)
    assert words.min() >= 0 and words.max() < 2**32
    for output in range(outputs):
        field = (words >> (output // 2 * bits + output % 2 * 16)) & ((1 << bits) - 1)
        assert (field - (1 << bits - 1) == rows[output]).all()


def test_the_width_is_that_of_the_largest_weight() -> None:
    for largest, bits in ((1, 2), (2, 3), (3, 3), (4, 4), (15, 5)):
        weights = np.zeros((4, 12))
        weights[1, 2] = -largest
        routine = offer(linear_call(dense(weights)))
        assert routine is not None
        (steps,) = [line for line in routine.lines if line.startswith("packed_compressed_steps")]
        assert steps.split(", ")[1] == str(bits)


def test_wide_weights_large_sums_and_long_rows_are_left_to_others() -> None:
    wide, heavy = np.zeros((4, 12)), np.full((2, 18), 15)
    wide[0, 0] = 16
    assert offer(linear_call(dense(wide))) is offer(linear_call(dense(heavy))) is None
    assert offer(linear_call(dense(heavy[:, :17]))) is not None
    assert offer(linear_call(dense(np.zeros((2, 1000))))) is None
