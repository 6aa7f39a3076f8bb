"""Pooling inside the image: the bytes of a window, and which windows are refused."""

from dataclasses import replace

import pytest

from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.pooling import MaxPoolParams, PoolParams
from pipeline.planning.variants.armv6m.unpadded_pool import _tap_offsets, offer

POOL = PoolParams(
    batch=1, height=6, width=7, channels=3, out_height=2, out_width=3, kernel_height=2, kernel_width=2,
    stride_y=3, stride_x=2, pad_top=0, pad_left=0, dilation_y=2, dilation_x=1,
)  # fmt: skip


def test_taps_are_bytes_from_the_windows_first() -> None:
    assert _tap_offsets(POOL) == [(ky * 2 * 7 + kx) * 3 for ky in (0, 1) for kx in (0, 1)]


@pytest.mark.parametrize(
    "change", [{"pad_top": 1}, {"pad_left": 1}, {"out_height": 3}, {"out_width": 4}, {"dilation_y": 3}]
)
def test_a_window_that_leaves_the_image_is_refused(change: dict[str, int]) -> None:
    assert _tap_offsets(replace(POOL, **change)) is None


def test_a_large_window_is_walked_only_where_its_taps_are_evenly_spaced() -> None:
    row = replace(POOL, out_height=1, out_width=1, kernel_height=1, kernel_width=7, dilation_y=1)
    assert len(_tap_offsets(replace(row, kernel_height=3)) or []) == 21, "whole rows follow one another"
    assert _tap_offsets(replace(row, kernel_height=3, kernel_width=6)) is None


def test_only_one_int8_image_is_done() -> None:
    params = MaxPoolParams(pool=POOL)
    assert offer(KernelCall("max_pool", "p", ("x",), ("y",), params)) is not None
    assert offer(KernelCall("max_pool_s16", "p", ("x",), ("y",), params)) is None
    assert offer(KernelCall("max_pool", "p", ("x",), ("y",), replace(params, pool=replace(POOL, batch=2)))) is None
