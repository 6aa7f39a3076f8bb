"""The error of float32 in steps of a tensor's range."""

import numpy as np

from pipeline.graph.rounding_bound import RoundingBound, precision
from pipeline.graph.tensor import QuantParams


def test_a_few_float32_operations_stay_within_the_bound() -> None:
    for dtype in ("int8", "int16"):
        quant = QuantParams((0.037,), 5, dtype=dtype)
        steps = np.arange(quant.limits[0], quant.limits[1] + 1, 7)
        exact = (steps - quant.zero_point) * quant.scale[0]
        single = (steps.astype(np.float32) - np.float32(quant.zero_point)) * np.float32(quant.scale[0])
        error = np.abs(single * np.float32(3) / np.float32(3) - exact).max() / quant.scale[0]
        assert 0 < error < precision(quant)


def test_an_operator_that_says_nothing_proves_nothing() -> None:
    assert RoundingBound().slack == RoundingBound().gain == float("inf")
