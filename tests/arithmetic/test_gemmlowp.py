"""gemmlowp's fixed point against exact rationals, and its exp and reciprocal against the real functions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from pipeline.arithmetic.gemmlowp import (
    INT32_MAX,
    ONE_Q0,
    divide_by_pot,
    exp_on_negative_values,
    high_multiply,
    input_radius,
    multiply_by_pot,
    one_over_one_plus,
)

EDGES = [-(2**31), -(2**31) + 1, -(2**30), -3, -1, 0, 1, 2, 2**30, 2**30 + 1, INT32_MAX]


def test_a_high_product_is_rounded_half_up_and_saturates_once() -> None:
    for a in EDGES:
        for b in EDGES:
            exact = floor(Fraction(a * b, 2**31) + Fraction(1, 2))
            assert int(high_multiply(a, b)) == min(exact, INT32_MAX)


@pytest.mark.parametrize("exponent", [0, 1, 2, 7, 30])
def test_a_division_by_a_power_of_two_rounds_ties_away_from_zero(exponent: int) -> None:
    values = [*EDGES[1:], *range(-9, 10), *(k << exponent >> 1 for k in (-3, -1, 1, 3))]
    half = Fraction(1, 2)
    exact = [Fraction(v, 2**exponent) for v in values]
    rounded = [floor(v + half) if v >= 0 else -floor(-v + half) for v in exact]
    assert divide_by_pot(np.array(values), exponent).tolist() == rounded


def test_a_multiplication_by_a_power_of_two_saturates() -> None:
    values = np.array([-5, 5, 1 << 30, -(1 << 30)])
    assert multiply_by_pot(values, 2).tolist() == [-20, 20, INT32_MAX, -(2**31)]


@pytest.mark.parametrize("integer_bits", [0, 3, 5])
def test_the_exponential_is_that_of_the_reals(integer_bits: int) -> None:
    """Within the Taylor polynomial's remainder at the ends of its interval, 1/8 from its center."""
    a = -np.unique(np.geomspace(1, 2**31 - 1, 3000).astype(np.int64))
    real = np.exp(a / 2.0 ** (31 - integer_bits))
    assert np.abs(exp_on_negative_values(a, integer_bits) / 2.0**31 - real).max() < (1 / 8) ** 5 / 120
    assert int(exp_on_negative_values(np.array([0]), integer_bits)[0]) == ONE_Q0


def test_the_reciprocal_is_that_of_the_reals() -> None:
    a = np.linspace(0, INT32_MAX, 3000).astype(np.int64)
    assert np.abs(one_over_one_plus(a) / 2.0**31 - 1 / (1 + a / 2.0**31)).max() < 2e-8


def test_the_radius_is_the_largest_input_that_the_shift_keeps() -> None:
    for bits, shift in ((5, 20), (4, 26), (0, 3)):
        radius, limit = input_radius(bits, shift), Fraction(((1 << bits) - 1) << (31 - bits))
        assert radius * 2**shift <= limit < (radius + 1) * 2**shift
