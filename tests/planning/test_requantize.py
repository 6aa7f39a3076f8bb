"""Epilogues of layers in assembly: a subtraction from `start` and a clamp are the requantizer, for every sum."""

from dataclasses import replace

import numpy as np
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.requantize import epilogue_of, int32

WEIGHTS = np.array([[5, -3], [0, 0], [127, -127]])
BIAS = [1000, -70000, 3]


def test_what_is_left_of_the_start_is_the_shifted_sum_counted_from_above() -> None:
    params = dense(WEIGHTS, bias=BIAS)
    low, high = -100, 90
    params = replace(params, requantize=replace(params.requantize, low=low, high=high))
    epilogue = epilogue_of(linear_call(params))
    assert epilogue is not None and (epilogue.macro, epilogue.arguments) == ("requantize_shift", "190, -100")
    for x in np.random.default_rng(3).integers(-128, 128, (200, 2)):
        products = WEIGHTS @ x
        left = (epilogue.start - products) >> epilogue.constants[:, 0]
        assert (high - np.clip(left, 0, high - low) == np.clip((products + BIAS) >> 7, low, high)).all()


def test_an_output_without_weights_is_its_shifted_bias() -> None:
    epilogue = epilogue_of(linear_call(dense(WEIGHTS, bias=BIAS)))
    assert epilogue is not None and epilogue.constant(1) == -128
    assert [epilogue.constant(c) for c in (0, 2)] == [1000 >> 7, 0]


def test_a_start_beyond_32_bits_has_no_epilogue() -> None:
    assert epilogue_of(linear_call(dense(WEIGHTS, bias=[0, 0, -(2**31) + 20_000]))) is None
    assert epilogue_of(linear_call(dense(WEIGHTS, bias=[0, 0, -(2**30)]))) is not None


def test_words_are_taken_modulo_32_bits() -> None:
    assert int32(np.array([-1, 2**32 - 1, 2**31, 2**32 + 5])).tolist() == [-1, -1, -(2**31), 5]
