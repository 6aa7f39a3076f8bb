"""Requantization against exact rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arithmetic.fixedpoint import (
    accumulator_bound,
    accumulator_range,
    apply_rescale,
    common_ratio,
    folded_bias,
    largest_shift,
    multiply_by_quantized_multiplier,
    multiply_once,
    multiply_wide,
    quantize_multiplier,
    rounding_constant,
    rounding_shift,
    wide_multiplier,
)
from pipeline.graph.rescale import Rescale

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


def rounded(value: int, numerator: int, power: int) -> int:
    """floor(value * numerator / 2**power + 1/2), of exact numbers."""
    return floor(Fraction(value * numerator, 2**power) + Fraction(1, 2))


@given(st.integers(-(2**27), 2**27), st.integers(2**30, 2**31 - 1), st.integers(-20, 3))
def test_a_multiplier_may_round_once(value: int, multiplier: int, shift: int) -> None:
    got = multiply_once(np.array([value], np.int32), np.array([multiplier], np.int32), np.array([shift], np.int8))
    assert got.tolist() == [rounded(value, multiplier, 31 - shift)]


@given(st.integers(-(2**47) + 1, 2**47 - 1), st.integers(0, 2**15 - 1), st.integers(1, 46))
def test_wide_accumulators_round_once(value: int, multiplier: int, shift: int) -> None:
    got = multiply_wide(np.array([value]), np.array([multiplier], np.int16), np.array([shift], np.int8))
    assert got.tolist() == [rounded(value, multiplier, shift)]


def test_multipliers_at_the_ends_of_their_range() -> None:
    assert quantize_multiplier(0.5) == (2**30, 0)
    assert quantize_multiplier(1 - 2.0**-40) == (2**30, 1), "rounded up to the next power of two"
    assert quantize_multiplier(2.0**-32) == (2**30, -31)
    assert quantize_multiplier(2.0**-33) == (0, 0)
    assert wide_multiplier(0.5) == (2**14, 15)
    assert wide_multiplier(1 - 2.0**-40) == (2**14, 14)
    assert wide_multiplier(1 - 2.0**-17) == (0x7FFF, 15), "what would round to 2**15 is the largest"
    # The two sides of where rounding up would need a sixteenth bit: 0x7FFF0000 / 2**31.
    assert wide_multiplier(0x7FFEFFFF / 2**31) == wide_multiplier(0x7FFF0000 / 2**31) == (0x7FFF, 15)
    assert wide_multiplier(0x7FFE7FFF / 2**31) == (0x7FFE, 15)
    assert wide_multiplier(0x7FFE8000 / 2**31) == (0x7FFF, 15)
    assert wide_multiplier(0.75 * 2.0**-31) == (3 * 2**13, 46)
    assert wide_multiplier(0.75 * 2.0**-32) == (0, 15), "no multiplier is that small: TensorFlow Lite takes 0"
    assert wide_multiplier(0.75 * 2.0**14) == (3 * 2**13, 1)
    assert wide_multiplier(0.75 * 2.0**15) is None


def test_common_ratios_are_as_fine_as_32_bits_allow() -> None:
    assert common_ratio([0.0, 0.0], 256) == ([0, 0], 24)
    assert common_ratio([2.0**-10], 256) == ([2**14], 24)
    assert common_ratio([1.0, -0.5], 256) == ([2**20, -(2**19)], 20)
    assert common_ratio([1.5], 256) == ([1.5 * 2**20], 20)
    assert common_ratio([2.0**21], 256) == ([2**21], 0)
    assert common_ratio([2.0**22], 256) == ([2**22], 0)
    assert common_ratio([2.0**20], 256) == ([2**21], 1)


def test_the_largest_shift_leaves_the_largest_weight_in_its_range() -> None:
    assert largest_shift(1.0, 127.0) == 0
    assert largest_shift(1.0, 127.1) == -1
    assert largest_shift(1.0, 63.5) == 1
    assert largest_shift(4.0, 127.0) == 2
    assert largest_shift(3.0, 3.0 * 127 / 8 * (1 + 1e-15)) == 3, "a last bit of a float does not count"
    assert largest_shift(1.0, 1e-30) == largest_shift(2.0**24, 127.0) == 24
    assert largest_shift(1.0, 127.0 / 2**23) == 23
    assert largest_shift(1.0, 0.0) == largest_shift(1.0, -1.0) == 12
    assert isinstance(largest_shift(1.0, 0.0), int)


@given(st.integers(-(2**20), 2**20), st.integers(0, 24), st.integers(-128, 127))
def test_the_rounding_constant_makes_a_shift_round_and_moves_its_zero(value: int, shift: int, zero_point: int) -> None:
    shifts = np.array([shift], np.int8)
    got = (value + rounding_constant(shifts, zero_point)) >> shifts.astype(np.int64)
    assert got.tolist() == (rounding_shift(np.array([value]), shifts) + zero_point).tolist()


@pytest.mark.parametrize(
    ("kind", "multiplier", "shift", "expected"),
    [
        # Of -10, -6, 0, 6, 1000: quarters, half up; the same, halves away from zero; plus 3, within -1 and 50.
        ("shift", None, 2, [0 + 1, 2, 3, 5, 50]),
        ("multiplier", 2**30, -1, [0, 1, 3, 5, 50]),
        ("once", 2**30, -1, [1, 2, 3, 5, 50]),
        ("wide", 2**14, 16, [1, 2, 3, 5, 50]),
    ],
)
def test_every_requantizer_rounds_adds_its_zero_point_and_clamps(
    kind: str, multiplier: int | None, shift: int, expected: list[int]
) -> None:
    acc = np.array([-10, -6, 0, 6, 1000])
    rescale = Rescale("s", "m" if multiplier else None, 3, -1, 50, kind)
    factors = None if multiplier is None else np.array([multiplier], np.int32)
    assert apply_rescale(acc, rescale, np.array([shift], np.int8), factors).tolist() == expected
    assert apply_rescale(acc - 5000, rescale, np.array([shift], np.int8), factors).tolist() == [-1] * 5
    assert apply_rescale(acc[:0], rescale, np.array([shift], np.int8), factors).tolist() == []


@pytest.mark.parametrize(("kind", "largest"), [("multiplier", 2**31 - 1), ("once", 2**31 - 1), ("wide", 2**47 - 1)])
def test_what_no_accumulator_holds_is_a_bug(kind: str, largest: int) -> None:
    rescale = Rescale("s", "m", 0, -128, 127, kind)
    shift, multiplier = np.array([20]), np.array([2**14 if kind == "wide" else 2**30])
    for value in (largest, -largest):
        assert abs(apply_rescale(np.array([0, value]), rescale, shift, multiplier)).max() >= 127
    with pytest.raises(AssertionError, match="an accumulator is too large"):
        apply_rescale(np.array([0, -largest - 1]), rescale, shift, multiplier)


def test_the_folded_bias_takes_the_zero_point_out_and_the_bounds_are_reached() -> None:
    rng = np.random.default_rng(0)
    weights, bias = rng.integers(-127, 128, (3, 300)).astype(np.int8), np.array([2**31 - 1, -(2**30), 5], np.int32)
    weights[0] = 127
    x = rng.integers(-128, 128, 300)
    folded = folded_bias(weights, bias, -128)
    ranges = (*accumulator_range(weights, folded), accumulator_bound(weights, folded), folded)
    assert [v.dtype for v in ranges] == [np.int64] * 4
    assert (folded + weights.astype(np.int64) @ x).tolist() == (bias + weights.astype(np.int64) @ (x + 128)).tolist()
    low, high = accumulator_range(weights, folded)
    for channel in range(3):
        w = weights[channel].astype(int)
        assert low[channel] == folded[channel] + sum(min(-128 * v, 127 * v) for v in w)
        assert high[channel] == folded[channel] + sum(max(-128 * v, 127 * v) for v in w)
        assert accumulator_bound(weights, folded)[channel] == abs(folded[channel]) + 128 * sum(map(abs, w))
        assert accumulator_bound(weights, folded, 32768)[channel] == abs(folded[channel]) + 32768 * sum(map(abs, w))
