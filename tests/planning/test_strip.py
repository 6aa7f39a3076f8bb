"""A depthwise strip: every tap of every output finds its own column, whatever the stride, padding and dilation."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from conftest import some
from samples_of_calls import depthwise

from pipeline.planning.variants.armv6m.strip import Strip, strip_of

SHAPES = [
    # width, kernel, stride, padding, dilation
    (7, 3, 1, 1, 1), (11, 3, 2, 1, 1), (13, 2, 3, 1, 1), (20, 3, 1, 2, 2), (21, 3, 2, 3, 3), (6, 5, 1, 2, 1),
]  # fmt: skip


def strip(width: int, kernel: int, stride: int, pad: int, dilation: int) -> Strip:
    p = depthwise(np.ones((kernel, kernel, 2)), 9, width, pad, stride)
    reach = (kernel - 1) * dilation + 1
    sizes = {"out_height": (9 + 2 * pad - reach) // stride + 1, "out_width": (width + 2 * pad - reach) // stride + 1}
    found = strip_of(replace(p, dilation_y=dilation, dilation_x=dilation, **sizes))
    assert found is not None
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_tap_reads_its_column_or_padding(shape: tuple[int, int, int, int, int]) -> None:
    width, kernel, stride, pad, dilation = shape
    found = strip(*shape)
    line = [-1] * found.line  # -1: padding
    for count, first, word in some(found.phases()):
        for k in range(count):
            assert line[word + k] == -1, "two columns in one word"
            line[word + k] = first + k * stride
    assert sorted(c for c in line if c >= 0) == sorted({c for c in line if c >= 0})
    for x, kx in some(product(range(found.out_width), range(kernel))):
        column = x * stride + kx * dilation - pad
        assert line[found.tap_offsets()[kx] + x] == (column if 0 <= column < width else -1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_the_image_are_those_under_the_outputs(shape: tuple[int, int, int, int, int]) -> None:
    _, kernel, stride, _, dilation = shape
    found = strip(*shape)
    for rows in range(1, 4):
        read = {r * stride + ky * dilation for r in range(rows) for ky in range(kernel)}
        assert found.source_rows(rows) == max(read) + 1
    offsets = np.array(found.tap_offsets()).reshape(kernel, kernel)
    assert (np.diff(offsets[:, 0]) == dilation * found.line).all() and found.extra == found.source_rows(1) - stride


def test_strips_are_of_nearly_equal_height_and_fit_the_stack() -> None:
    tall = strip_of(depthwise(np.ones((3, 3, 1)), 100, 40, 1))
    assert tall is not None and tall.source_rows(tall.rows) * tall.line <= 704
    count = -(-tall.out_height // tall.rows)
    assert tall.rows - (tall.out_height - tall.rows * (count - 1)) < count
    assert strip_of(depthwise(np.ones((3, 3, 1)), 9, 256, 1)) is None, "a row is too long"
