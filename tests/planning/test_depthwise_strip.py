"""The stream of a depthwise layer: starts, constants and negated weights, channel by channel."""

import numpy as np
from samples_of_calls import depthwise, linear_call

from pipeline.planning.variants.armv6m.depthwise_strip import offer
from pipeline.planning.variants.armv6m.requantize import epilogue_of

WEIGHTS = np.random.default_rng(6).integers(-127, 128, (3, 3, 4))


def test_the_stream_holds_each_channels_words_and_its_weights_as_bytes() -> None:
    call = linear_call(depthwise(WEIGHTS, 6, 7, 1))
    routine, epilogue = offer(call), epilogue_of(call)
    assert routine is not None and epilogue is not None
    channels = routine.tables["channels"].reshape(4, 2 + 3)  # start, shift, nine bytes in three words
    assert (channels[:, 0] == epilogue.start).all() and (channels[:, 1] == 7).all()
    taps = np.ascontiguousarray(channels[:, 2:]).view(np.int8)
    assert (taps[:, :9] == -WEIGHTS.reshape(9, 4).T).all() and not taps[:, 9:].any()
    assert routine.least_cycles == 2 * 9 * 4 * 6 * 7


def test_a_weight_that_no_byte_holds_negated_makes_all_words() -> None:
    wide = WEIGHTS.copy()
    wide[0, 0, 0] = -128
    routine = offer(linear_call(depthwise(wide, 6, 7, 1)))
    assert routine is not None
    assert (routine.tables["channels"].reshape(4, 2 + 9)[:, 2:] == -wide.reshape(9, 4).T).all()


def test_large_kernels_and_long_rows_are_left_to_c() -> None:
    assert offer(linear_call(depthwise(np.ones((9, 8, 1)), 20, 20))) is None, "72 taps"
    assert offer(linear_call(depthwise(np.ones((3, 3, 1)), 5, 256, 1))) is None
