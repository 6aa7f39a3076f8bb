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

    Whatever the order of additions, a partial sum of integers is at most sum |w| times the span of x's type; float32
    holds every integer up to 2**24, float64 up to 2**53. Raises ValueError where that is not enough.
    """
    info = np.iinfo(x.dtype)
    rows = np.abs(kernel.reshape(len(kernel), -1).astype(np.float64)).sum(axis=1)
    bound = float(rows.max(initial=0)) * (int(info.max) - int(info.min))
    if bound >= 2**53:
        raise ValueError("sums of products that no float holds exactly")
    return np.dtype(np.float32 if bound < 2**24 else np.float64)


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of `count` things of `size` elements, each of about CHUNK elements."""
    step = max(1, CHUNK // max(size, 1))
    return (slice(at, at + step) for at in range(0, count, step))


def products(x: Array, zero_point: int, kernel: Array) -> Array:
    """x (..., in) less its zero point times kernel (out, in): (..., out), exact floats."""
    kind = exact_type(kernel, x)
    made: Array = (x.astype(kind) - kind.type(zero_point)) @ kernel.T.astype(kind)
    return made


def correlation(window: Window, x: Array, zero_point: int, kernel: Array, groups: int) -> Array:
    """Images x (n, h, w, c) less their zero point, padded with zeros, under kernel (out, kh, kw, c / groups).

    (n, oh, ow, out), exact floats.
    """
    kind, (out, *_, per_group) = exact_type(kernel, x), kernel.shape
    images: Array = x.astype(kind) - kind.type(zero_point)
    if per_group == 1 and groups > 1:
        return _depthwise(window, images, kernel.astype(kind), groups)
    patches = window.patches(images, fill=0.0)
    n, oh, ow = patches.shape[:3]
    if groups == 1:
        columns = patches.reshape(n * oh * ow, -1)
        made: Array = columns @ kernel.reshape(out, -1).T.astype(kind)
        return made.reshape(n, oh, ow, out)
    parts = patches.reshape(n * oh * ow, -1, groups, per_group).transpose(2, 0, 1, 3).reshape(groups, n * oh * ow, -1)
    rows = kernel.reshape(groups, out // groups, -1).astype(kind).transpose(0, 2, 1)
    return (parts @ rows).transpose(1, 0, 2).reshape(n, oh, ow, out)


def _depthwise(window: Window, images: Array, kernel: Array, groups: int) -> Array:
    """One input channel for each output: a sum over taps, each a product of whole images."""
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


def work(window: Window, shape: tuple[int, ...]) -> int:
    """Elements of one image's patches."""
    return prod(window.output(*shape[:2])) * prod(window.kernel) * shape[2]
