"""Intervals: every operation against all pairs of integers, and a proof that stops at what a type cannot hold."""

import numpy as np
import pytest
from samples_of_calls import dense, linear_call

from pipeline.arithmetic.kernel_bounds.proof import Interval, OverflowProof, maximum, minimum
from pipeline.facts.errors import ChipfitError

CALL = linear_call(dense(np.ones((2, 3))))
INTERVALS = [Interval(-5, 3), Interval(2, 9), Interval(-7, -2), Interval(0, 0)]


@pytest.mark.parametrize("a", INTERVALS, ids=str)
@pytest.mark.parametrize("b", INTERVALS, ids=str)
def test_ends_are_those_of_all_values(a: Interval, b: Interval) -> None:
    pairs = [(x, y) for x in range(a.low, a.high + 1) for y in range(b.low, b.high + 1)]
    for found, values in (
        (a + b, [x + y for x, y in pairs]),
        (a - b, [x - y for x, y in pairs]),
        (a * b, [x * y for x, y in pairs]),
        (a >> 2, [x >> 2 for x, _ in pairs]),
    ):
        assert found.ends == (min(values), max(values))


def test_channels_have_intervals_of_their_own() -> None:
    each = Interval(np.array([-1, 5], object), np.array([2, 6], object)) * np.array([3, -2], object)
    assert (each.low.tolist(), each.high.tolist(), each.ends) == ([-3, -12], [6, -10], (-12, 6))
    assert minimum(np.array([1, 5]), 3).tolist() == [1, 3] and maximum(2, 7, 4) == 7


def test_a_value_at_the_end_of_its_type_passes_and_one_more_is_refused_by_name() -> None:
    proof = OverflowProof(CALL, [])
    proof.check("acc", Interval(-(2**31), 2**31 - 1))
    assert (proof.bounds["acc"].low, proof.bounds["acc"].high) == (-(2**31), 2**31 - 1)
    with pytest.raises(ChipfitError, match="layer: sum of kernel dense_shift can reach 2147483648, beyond int32"):
        proof.check("sum", Interval(0, 2**31))
    with pytest.raises(ChipfitError, match="can reach -1, beyond uint32"):
        proof.check("index", Interval(-1, 5), "uint32")


def test_a_parameter_outside_its_range_is_refused() -> None:
    proof = OverflowProof(CALL, [])
    proof.require("shift", np.array([0, 31]), 0, 31)
    with pytest.raises(ChipfitError, match=r"shift of kernel dense_shift is \(0, 32\), not 0 to 31"):
        proof.require("shift", np.array([0, 32]), 0, 31)


@pytest.mark.parametrize("exponent", [-9, -1, 0, 3])
def test_a_rescaled_interval_holds_what_gemmlowp_makes_of_its_ends(exponent: int) -> None:
    from pipeline.arithmetic.fixedpoint import multiply_by_quantized_multiplier

    multiplier = 1518500250
    found = OverflowProof(CALL, []).rescale("acc", Interval(-100_003, 70_001), multiplier, exponent)
    ends = multiply_by_quantized_multiplier(np.array([-100_003, 70_001]), multiplier, exponent)
    assert found.ends == tuple(ends.tolist())
