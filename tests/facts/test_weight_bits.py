"""Bits of weights: ranges, and the fewest that hold given integers."""

import numpy as np
import pytest

from pipeline.facts.weight_bits import BITS, Widths, bits_needed, largest_weight


def test_names_of_the_yaml_are_eight_down_to_two_bits() -> None:
    assert {n: BITS[n] for n in ("int8", "int4", "int2", "ternary")} == {"int8": 8, "int4": 4, "int2": 2, "ternary": 2}
    assert sorted(set(BITS.values())) == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_range_is_symmetric_and_needs_its_bits(bits: int) -> None:
    top = largest_weight(bits)
    assert top == {2: 1, 3: 3, 4: 7, 5: 15, 6: 31, 7: 63, 8: 127}[bits]
    assert bits_needed(np.array([-top, top])) == bits


@pytest.mark.parametrize("values", [[0], [], [-1], [1], [-2, 1], [-128], [127], [-129], [5000], [-5, 3], [7, -8]])
def test_the_fewest_bits_are_those_whose_twos_complement_holds_all(values: list[int]) -> None:
    least, most = min(values, default=0), max(values, default=0)
    holding = [n for n in range(1, 9) if -(2 ** (n - 1)) <= least and most < 2 ** (n - 1)]
    assert bits_needed(np.array(values, np.int64)) == min(holding, default=8)


def test_a_layer_may_have_its_own_and_the_least_is_the_narrowest() -> None:
    widths = Widths(4, {"first": 8, "last": 2})
    assert [widths.bits(n) for n in ("first", "middle", "last")] == [8, 4, 2]
    assert (widths.least, Widths().least) == (2, 8)
