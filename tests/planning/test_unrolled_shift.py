"""Digits of weights: their sum is the weight, and no fewer would do."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from samples_of_calls import dense, linear_call

from pipeline.planning.variants.armv6m.unrolled_shift import _NEGATIVE, non_adjacent_form, offer


@cache
def fewest(weight: int) -> int:
    """By trying: an even weight has as many digits as its half, an odd one a digit more than its nearest even ones."""
    if weight in (0, 1, -1):
        return abs(weight)
    return fewest(weight // 2) if weight % 2 == 0 else 1 + min(fewest((weight + d) // 2) for d in (-1, 1))


@pytest.mark.parametrize("weight", range(-128, 128))
def test_digits_add_up_to_the_weight_and_are_the_fewest(weight: int) -> None:
    digits = non_adjacent_form(weight)
    assert sum((-1 if d & _NEGATIVE else 1) << (d % _NEGATIVE) for d in digits) == weight
    assert len(digits) == fewest(weight)
    shifts = [d % _NEGATIVE for d in digits]
    assert min((b - a for a, b in pairwise(shifts)), default=2) >= 2, "none is next to another"


def test_a_layer_names_each_input_that_has_a_weight_with_its_digits() -> None:
    routine = offer(linear_call(dense(np.array([[0, 7, 0, -4]]))))
    assert routine is not None
    terms = [line for line in routine.lines if line.startswith("unrolled_shift_term")]
    assert terms == [f"unrolled_shift_term 1, {_NEGATIVE}, 3", f"unrolled_shift_term 3, {2 + _NEGATIVE}"]
