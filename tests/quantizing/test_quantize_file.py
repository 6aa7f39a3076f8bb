"""The part of a network with the least signal."""

import pytest

from pipeline.quantizing.quantize_file import Signal, least_signal

ROWS = [Signal("a", "a", 30.0), Signal("b", "b", None), Signal("c", "c", 12.5), Signal("d", "d", 40.0)]


@pytest.mark.parametrize(("limit", "tensor"), [(20.0, "c"), (12.6, "c"), (12.5, None), (5.0, None), (None, None)])
def test_the_least_is_named_where_it_is_below_the_limit(limit: float | None, tensor: str | None) -> None:
    found = least_signal(ROWS, limit)
    assert (found and found.tensor) == tensor


def test_where_nothing_is_lost_there_is_none() -> None:
    assert least_signal([Signal("b", "b", None)], 20.0) is least_signal([], 20.0) is None
