"""Whole sums in lanes: blocks of nearly equal size, and a stream from which every weight can be read again."""

import numpy as np
import pytest
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.packed_narrow import _blocks_of, offer, scheme_of
from pipeline.planning.variants.armv6m.requantize import epilogue_of


@pytest.mark.parametrize("outputs", range(1, 60))
def test_blocks_are_of_nearly_equal_size_and_hold_every_output_once(outputs: int) -> None:
    blocks = _blocks_of(outputs)
    pairs = [b.pairs for b in blocks for _ in range(b.count)]
    assert sum(b.count * b.outputs for b in blocks) == outputs and max(pairs) - min(pairs) <= 1 and max(pairs) <= 6
    assert len(pairs) == -(-((outputs + 1) // 2) // 6)


def test_the_stream_is_weights_input_by_input_and_then_the_ends_of_the_outputs() -> None:
    weights = np.random.default_rng(1).integers(-3, 4, (5, 8))
    call = linear_call(dense(weights, bias=[7, -9, 100, 0, 5]))
    scheme, epilogue = scheme_of(call), epilogue_of(call)
    assert scheme is not None and epilogue is not None
    words = scheme.stream.astype(np.int64)
    taps, ends = words[: 3 * 8].reshape(8, 3), words[3 * 8 :].reshape(5, 2)
    low = (taps + 2**15) % 2**16 - 2**15
    assert (low == -weights[0::2].T).all()
    high = (taps - low) >> 16
    assert (high[:, :2] == -weights[1::2].T).all() and not high[:, 2].any()
    assert (ends[:, 0] == epilogue.start).all() and (ends[:, 1:] == epilogue.constants).all()


def test_a_sum_that_a_lane_cannot_hold_is_left_to_another_variant() -> None:
    fits = np.zeros((2, 100))
    fits[0, :85] = 3  # 255 in all: times -128 it is just within 16 bits
    assert offer(linear_call(dense(fits))) is not None
    fits[0, 90] = 1
    assert offer(linear_call(dense(fits))) is None
    assert offer(linear_call(dense(np.zeros((2, 241))))) is None, "two chunks"
