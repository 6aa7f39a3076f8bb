"""Thresholds of a requantizer: the accumulators at which its output steps, and one multiplication with the same ones.

Every requantizer is a monotone function of its accumulator with at most 255 steps. So any cheaper formula that steps at
the same accumulators is the same function, whatever it rounds on the way: the thresholds are the proof.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic.fixedpoint import apply_rescale
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array

_WORD_BITS = 32
_OUT_BITS = 9  # bits of an output's byte and its offset together: at most 255 + 255


@dataclass(frozen=True, eq=False)
class SingleMultiply:
    """A requantizer of one multiplication: output = (n * high + (n * low >> split) + offset) >> shift.

    There n = clamp(accumulator, bottom, top) - bottom; the arithmetic is unsigned with 32 bits. Fields are int64
    arrays (channels,), `split` and `shift` serve all channels. The low byte of the result is the output as int8.
    Where `dips` is true, `dip` is subtracted before the shift when n is below `pivot`: what is rounded twice, the
    second time away from zero, steps later below zero than above.
    """

    bottom: Array
    top: Array
    high: Array
    low: Array
    offset: Array
    pivot: Array
    dip: Array
    split: int
    shift: int

    @property
    def dips(self) -> bool:
        return bool(self.dip.any())


def single_multiply(
    rescale: Rescale, shift: Array, multiplier: Array, limits: tuple[Array, Array]
) -> SingleMultiply | None:
    """The single multiplication equal to `rescale` for every channel; None where 32 bits do not suffice.

    `limits` holds the least and the largest value of each channel's accumulator, (channels,) each.
    """
    slope = multiplier * 2.0 ** (shift.astype(np.float64) - 31)
    return single_multiply_like(lambda acc: apply_rescale(acc, rescale, shift, multiplier), slope, limits, -shift)


def single_multiply_like(
    function: Callable[[Array], Array], slope: Array, limits: tuple[Array, Array], second: Array
) -> SingleMultiply | None:
    """The single multiplication equal to `function`; None where 32 bits do not suffice.

    `function` is any monotone one from accumulators (..., channels) to int8 values, of about the slope `slope`
    (channels,). `limits` holds the least and the largest accumulator of each channel. `second`: by how many bits the
    second rounding of two shifts; 0 where there is none.
    """
    least, steps, where = thresholds(function, limits)
    last = np.maximum(steps - 1, 0)[:, None]
    top = np.where(steps > 0, np.take_along_axis(where, last, 1)[:, 0], 0)
    bottom = np.where(steps > 0, where[:, 0] - 1, 0)
    split = min(31, _WORD_BITS - int((top - bottom).max(initial=0)).bit_length())
    if split < 1:
        return None
    total = split + _WORD_BITS - _OUT_BITS
    at = np.where(np.arange(where.shape[1]) < steps[:, None], where - bottom[:, None], -1)
    ideal = np.floor(np.minimum(slope * 2.0**total, 2.0**62)).astype(np.int64)
    right = np.clip(second.astype(np.int64), 0, total)
    later = (np.int64(1) << (total - right)) * (right > 0)
    for dip in (np.zeros_like(later), later >> split << split):
        best, low, high = _widest_offsets(at, steps, top - bottom, ideal, total, -bottom, dip)
        # Any offset between the two has the same thresholds; what the code adds is a multiple of 2**split.
        offset = -((-low) >> split)
        if ((offset << split) <= high).all():
            mask = (np.int64(1) << split) - 1
            added = offset + ((least & 255) << (total - split))
            return SingleMultiply(
                bottom, top, best >> split, best & mask, added, -bottom, dip >> split, split, total - split
            )
    return None


def thresholds(function: Callable[[Array], Array], limits: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """(least output, steps, where): `where[c, j]` is the least accumulator with output least[c] + j + 1.

    Accumulators outside `limits` are not counted, and entries from steps[c] on mean nothing.
    """
    least = function(limits[0])
    steps = function(limits[1]) - least
    wanted = least[None, :] + 1 + np.arange(max(1, int(steps.max(initial=0))))[:, None]
    low, high = (np.broadcast_to(r, wanted.shape).copy() for r in limits)
    # The output is below `wanted` at `low` and reaches it at `high`, if at all.
    while (high - low).max(initial=0) > 1:
        middle = (low + high) >> 1
        reached = function(middle) >= wanted
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return least, steps, high.T


def _widest_offsets(
    at: Array, steps: Array, width: Array, ideal: Array, total: int, pivot: Array, dip: Array
) -> tuple[Array, Array, Array]:
    """The slope (channels,) with the widest range [low, high] of offsets that keep every step, and that range.

    Step j (from 1) at `at` needs at * slope + offset >= j * 2**total and (at - 1) * slope + offset below it, each less
    the dip where it applies; `ideal` is about the slope. The width of the range is a concave function of the
    slope: ternary search.
    """
    known = at >= 0
    level = (np.arange(1, at.shape[1] + 1, dtype=np.int64) << total)[None, :]
    at_least = level + np.where(at < pivot[:, None], dip[:, None], 0)
    below = level + np.where(at <= pivot[:, None], dip[:, None], 0)
    ceiling, least = (steps + 1) << total, np.where(pivot > 0, dip, 0)

    def offsets(slope: Array) -> tuple[Array, Array]:
        low = np.where(known, at_least - at * slope[:, None], 0).max(axis=1, initial=0)
        high = np.where(known, below - (at - 1) * slope[:, None], ceiling[:, None]).min(axis=1) - 1
        return np.maximum(low, least), np.minimum(high, ceiling - width * slope - 1)

    most = np.where(width > 0, (ceiling - 1) // np.maximum(width, 1), 0)
    right = np.minimum(ideal + ideal // 64, most)
    left = np.minimum(ideal - ideal // 64, right)
    while (right - left).max(initial=0) > 2:
        third = np.maximum((right - left) // 3, 1)
        a, b = np.minimum(left + third, right), np.maximum(right - third, left)
        (low_a, high_a), (low_b, high_b) = offsets(a), offsets(b)
        better, done = high_a - low_a < high_b - low_b, right - left <= 2
        left, right = np.where(better & ~done, a, left), np.where(~better & ~done, b, right)
    best, (low, high) = left, offsets(left)
    for candidate in (np.minimum(left + 1, right), right):
        other_low, other_high = offsets(candidate)
        better = other_high - other_low > high - low
        best, low, high = (np.where(better, n, o) for n, o in ((candidate, best), (other_low, low), (other_high, high)))
    return best, low, high


def apply_single_multiply(accumulator: Array, multiply: SingleMultiply) -> Array:
    """int8 outputs of `multiply` for int64 accumulators (..., channels)."""
    n = np.clip(accumulator, multiply.bottom, multiply.top) - multiply.bottom
    product = n * multiply.high + ((n * multiply.low) >> multiply.split)
    total = product + multiply.offset - np.where(n < multiply.pivot, multiply.dip, 0)
    return (total >> multiply.shift).astype(np.uint8).view(np.int8)
