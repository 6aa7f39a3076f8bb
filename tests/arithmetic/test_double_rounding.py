"""Multipliers that round as LiteRT's FULLY_CONNECTED does: round(double(sum) * ratio), ties away from zero."""

import numpy as np
import pytest

from pipeline.arithmetic.double_rounding import nearest_multiplier
from pipeline.arithmetic.fixedpoint import multiply_once, quantize_multiplier


def doubles(sums: np.ndarray, ratio: float) -> np.ndarray:
    product = sums.astype(np.float64) * ratio
    return np.copysign(np.floor(np.abs(product) + 0.5), product).astype(np.int64)


@pytest.mark.parametrize("exponent", [0, 1, 4, 8, 12])
def test_ties_of_negative_sums_go_away_from_zero(exponent: int) -> None:
    sums = np.arange(-140 << exponent, 141 << exponent)
    multiplier, shift = nearest_multiplier(2.0**-exponent, int(sums[-1]), -128, 127)
    got = multiply_once(sums, multiplier, shift).clip(-128, 127)
    np.testing.assert_array_equal(got, doubles(sums, 2.0**-exponent).clip(-128, 127))


@pytest.mark.parametrize("seed", range(20))
def test_every_sum_near_a_tie_is_rounded_as_a_double_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratio = float(2.0 ** rng.uniform(-16, 1))
    low, high = -int(rng.integers(0, 256)), int(rng.integers(1, 256))
    bound = int(300 / ratio)
    multiplier, shift = nearest_multiplier(ratio, bound, low, high)
    ties = np.rint(np.arange(-260, 261, 0.5) / ratio).astype(np.int64)
    sums = np.unique((ties[:, None] + np.arange(-2, 3)).clip(-bound, bound))
    got = multiply_once(sums, multiplier, shift).clip(low, high)
    np.testing.assert_array_equal(got, doubles(sums, ratio).clip(low, high))


def test_the_nearest_multiplier_stays_where_it_is_right() -> None:
    assert nearest_multiplier(0.0123, 9000, -128, 127) == quantize_multiplier(0.0123)
    assert nearest_multiplier(1e-12, 9000, -128, 127) == (0, 0)
