"""Axes that hold every value between round numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judging.report.chart_axis import Axis, is_wide, linear_axis, logarithmic_axis

POSITIVE = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=9)


def assert_holds(axis: Axis, values: list[float]) -> None:
    assert axis.low < axis.high and 2 <= len(axis.ticks) <= 14
    assert min(map(axis.share, values)) >= -1e-6 and max(map(axis.share, values)) <= 1 + 1e-6
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert min(map(axis.share, axis.ticks)) >= -1e-6 and max(map(axis.share, axis.ticks)) <= 1 + 1e-6


@given(POSITIVE)
def test_a_logarithmic_axis_holds_whatever_is_above_zero(values: list[float]) -> None:
    assert_holds(logarithmic_axis(values), values)


@given(POSITIVE)
def test_a_linear_axis_holds_all_values(values: list[float]) -> None:
    assert_holds(linear_axis(values), values)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_an_axis_of_percent_ends_at_one_hundred(values: list[float]) -> None:
    axis = linear_axis(values, most=100)
    assert_holds(axis, values)
    assert axis.ticks[-1] <= 100


def test_ticks_are_round() -> None:
    assert linear_axis([6.8, 11.9]).ticks == (6, 7, 8, 9, 10, 11, 12)
    assert linear_axis([98.44], most=100).ticks[-1] <= 100
    assert logarithmic_axis([82.6, 3100]).ticks == (50, 100, 200, 500, 1000, 2000, 5000)
    assert logarithmic_axis([3, 4e4]).ticks == (10, 100, 1000, 10000)
    assert logarithmic_axis([3, 4e4]).share(50000) == pytest.approx(1)


def test_values_far_apart_need_a_logarithmic_axis() -> None:
    assert is_wide([1, 21]) and not is_wide([1, 20]) and not is_wide([0, 500])
