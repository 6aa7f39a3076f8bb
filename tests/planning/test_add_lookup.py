"""Additions by table: all 65,536 pairs of bytes, against the operator's formula."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.pairs import AddParams
from pipeline.planning.variants.armv6m.add_lookup import offer

UNIT = (0, 0, 0, 0, 0, 1)
PARAMS = AddParams(
    dims=(1, 1, 1, 1, 1, 10), a_strides=UNIT, b_strides=UNIT, a_scale=1000, b_scale=-777, offset=12345, shift=11,
    low=-128, high=127,
)  # fmt: skip


def call(params: AddParams, kernel: str = "add") -> KernelCall:
    return KernelCall(kernel, "sum", ("a", "b"), ("y",), params)


@pytest.mark.parametrize(
    "params", [PARAMS, replace(PARAMS, low=0, high=90), replace(PARAMS, a_scale=3, b_scale=5, offset=100, shift=2)]
)
def test_every_pair_of_bytes_gives_the_sum_of_the_operator(params: AddParams) -> None:
    routine = offer(call(params))
    assert routine is not None
    shift = next(int(line.split(", ")[1]) for line in routine.lines if line.startswith("add_lookup_one"))
    values = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)  # tables are read by bytes without a sign
    a, b = (routine.tables[t].astype(np.int64) for t in "ab")
    total = a[:, None] + b[None, :]
    assert np.abs(total).max() < 2**31
    got = params.high - np.clip(total >> shift, 0, params.high - params.low)
    exact = values[:, None] * params.a_scale + values[None, :] * params.b_scale + params.offset
    assert (got == np.clip(exact >> params.shift, params.low, params.high)).all()


def test_four_values_are_one_turn_and_the_rest_follows() -> None:
    routine = offer(call(PARAMS))
    assert routine is not None and routine.reads == 20
    assert sum(line.startswith("add_lookup_one") for line in routine.lines) == 4 + 2
    assert routine.executed.accesses >= 10 * (2 + 2 + 1), "two bytes, two words, one store for each value"


def test_broadcasts_and_int16_are_left_to_c() -> None:
    assert offer(call(replace(PARAMS, b_strides=(0, 0, 0, 0, 0, 0)))) is None
    assert offer(call(replace(PARAMS, dims=(1, 1, 1, 1, 2, 5)))) is None
    assert offer(call(PARAMS, "add_s16")) is None
