"""Requantization against exact rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fixedpoint import (
    accumulator_bound,
    common_ratio,
    folded_bias,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_shift,
)

int32 = st.integers(-(2**31) + 1, 2**31 - 1)


@given(int32, st.integers(0, 24))
def test_rounding_shift_rounds_half_up(value: int, shift: int) -> None:
    expected = floor(Fraction(value, 2**shift) + Fraction(1, 2)) if shift else value
    assert int(rounding_shift(np.array(value), shift)) == expected


@given(st.integers(-(2**27), 2**27), st.integers(2**30, 2**31 - 1), st.integers(-20, 3))
def test_multiplier_rounds_as_gemmlowp_does(value: int, multiplier: int, shift: int) -> None:
    """Written from gemmlowp's definition: a nudge by sign, division towards zero, then half away from zero."""
    product = (value << max(shift, 0)) * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    right = max(-shift, 0)
    rest = abs(high) & ((1 << right) - 1)
    expected = (abs(high) >> right) + (right > 0 and 2 * rest >= 1 << right)
    expected = expected if high >= 0 else -expected
    got = multiply_by_quantized_multiplier(np.array([value]), np.array([multiplier]), np.array([shift]))
    assert int(got[0]) == expected


@given(st.floats(1e-8, 100.0))
def test_quantized_multiplier_is_near_the_real_number(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier * 2.0 ** (shift - 31) / real - 1) < 2**-30


@given(st.lists(st.floats(-50.0, 50.0), min_size=1, max_size=3), st.sampled_from([256, 1 << 16]))
def test_common_ratio_keeps_the_sum_in_32_bits(ratios: list[float], bound: int) -> None:
    integers, shift = common_ratio(ratios, bound)
    assert sum(abs(m) for m in integers) * bound <= 2**30 + bound * len(ratios)
    for m, ratio in zip(integers, ratios, strict=True):
        assert abs(m - ratio * 2**shift) <= 0.5


@given(st.integers(0, 2**32 - 1))
def test_no_input_reaches_beyond_the_accumulator_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (3, 20)).astype(np.int8)
    folded = folded_bias(weights, rng.integers(-(10**6), 10**6, 3).astype(np.int32), int(rng.integers(-128, 128)))
    worst = np.where(weights > 0, 127, -128)
    for x in (worst, -1 - worst, rng.integers(-128, 128, (3, 20))):
        partial = folded[:, None] + np.cumsum(x.astype(np.int64) * weights, axis=1)
        assert (np.abs(partial).max(axis=1) <= accumulator_bound(weights, folded)).all()
