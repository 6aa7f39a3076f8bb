"""Sums of products of integers by floating-point BLAS, exactly, in memory that does not grow with the samples."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from pipeline.graph.tensor import Array
from pipeline.ops.shared.window import Window

CHUNK = 1 << 19
"""Elements that one step works on: few enough to stay in a processor's cache."""


def exact_type(kernel: Array, x: Array) -> "np.dtype[np.floating[Any]]":
    """A type in which every sum of products of x less its zero point with a row of `kernel` (out, ...) is exact.

    Whatever the order of additions, a partial sum of integers is at most sum |w| times the largest difference within
    x's type; float32 holds every integer up to 2**24, float64 up to 2**53. Raises ValueError where that is not enough.
    """
    info = np.iinfo(x.dtype)
    rows = np.abs(kernel.reshape(len(kernel), -1).astype(np.float64)).sum(axis=1)
    bound = float(rows.max(initial=0)) * (int(info.max) - int(info.min))
    if bound >= 2**53:
        raise ValueError("sums of products that no float holds exactly")
    return np.dtype(np.float32 if bound < 2**24 else np.float64)


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` arrays of `size` elements, each slice of about CHUNK elements."""
    step = max(1, CHUNK // max(size, 1))
    return (slice(start, start + step) for start in range(0, count, step))


def matrix_product(x: Array, zero_point: int, kernel: Array) -> Array:
    """The product of x (..., in) less its zero point and kernel (out, in): (..., out), exact floats."""
    dtype = exact_type(kernel, x)
    product: Array = (x.astype(dtype) - dtype.type(zero_point)) @ kernel.T.astype(dtype)
    return product


def correlation(window: Window, x: Array, zero_point: int, kernel: Array, groups: int) -> Array:
    """The correlation of images x (n, h, w, c) less their zero point with kernel (out, kh, kw, c / groups).

    Padding is zeros. (n, oh, ow, out), exact floats.
    """
    dtype, (out, *_, per_group) = exact_type(kernel, x), kernel.shape
    images: Array = x.astype(dtype) - dtype.type(zero_point)
    if per_group == 1 and groups > 1:
        return _depthwise(window, images, kernel.astype(dtype), groups)
    patches = window.patches(images, fill=0.0)
    n, oh, ow = patches.shape[:3]
    if groups == 1:
        columns = patches.reshape(n * oh * ow, -1)
        product: Array = columns @ kernel.reshape(out, -1).T.astype(dtype)
        return product.reshape(n, oh, ow, out)
    grouped_columns = (
        patches.reshape(n * oh * ow, -1, groups, per_group).transpose(2, 0, 1, 3).reshape(groups, n * oh * ow, -1)
    )
    rows = kernel.reshape(groups, out // groups, -1).astype(dtype).transpose(0, 2, 1)
    return (grouped_columns @ rows).transpose(1, 0, 2).reshape(n, oh, ow, out)


def _depthwise(window: Window, images: Array, kernel: Array, groups: int) -> Array:
    """The correlation with one input channel for each output: a sum over taps, each a product of whole images."""
    top, left, bottom, right = window.pads
    padded = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height, width = window.output(*images.shape[1:3])
    out = len(kernel)
    total = np.zeros((len(images), height, width, groups, out // groups), images.dtype)
    for y in range(window.kernel[0]):
        for x in range(window.kernel[1]):
            begin = (y * window.dilations[0], x * window.dilations[1])
            rows, columns = (
                slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begin, (height, width), window.strides, strict=True)
            )
            total += padded[:, rows, columns, :, None] * kernel[:, y, x, 0].reshape(groups, -1)
    return total.reshape(len(images), height, width, out)


def patch_elements(window: Window, shape: tuple[int, ...]) -> int:
    """The number of elements of one image's patches."""
    return prod(window.output(*shape[:2])) * prod(window.kernel) * shape[2]
