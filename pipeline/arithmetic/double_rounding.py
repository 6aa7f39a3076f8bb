"""A fixed-point multiplier that rounds every sum of a layer as a product of doubles does.

LiteRT's reference FULLY_CONNECTED computes round(double(sum) * ratio), ties away from zero. The requantizer `once` adds
half and shifts, ties up. Both are steps: an output rises where the sum passes a threshold, and two functions that have
the same thresholds are equal. So the nearest multiplier is taken with whose thresholds all are the double's; a tie of
a negative sum needs one that is a little larger.
"""

import numpy as np

from pipeline.arithmetic.fixedpoint import quantize_multiplier
from pipeline.graph.tensor import Array

_TRIED = (0, 1, -1, 2, -2, 3, -3)


def nearest_multiplier(ratio: float, bound: int, low: int, high: int) -> tuple[int, int]:
    """(multiplier, shift) of the requantizer `once` with the same thresholds as a product of doubles with `ratio`.

    Sums lie in [-bound, bound], outputs less their zero point in [low, high]. Where no multiplier has all thresholds,
    that with the fewest sums on the wrong side of one.
    """
    multiplier, shift = quantize_multiplier(ratio)
    # The output rises from n to n + 1 at a tie n + 1/2; only ties that some sum reaches count.
    largest = int(bound * ratio) + 2
    ties = np.arange(max(low, -largest), min(high, largest)) + 0.5
    if not multiplier or not len(ties):
        return multiplier, shift
    wanted = _clip(_double_thresholds(ratio, ties), bound)

    def wrong(candidate: int) -> int:
        return int(np.abs(_clip(_fixed_point_thresholds(candidate, 31 - shift, ties), bound) - wanted).sum())

    best, least = multiplier, wrong(multiplier)
    for step in _TRIED[1:] if least else ():
        candidate = multiplier + step
        if 1 << 30 <= candidate < 1 << 31 and (count := wrong(candidate)) < least:
            best, least = candidate, count
    return best, shift


def _clip(thresholds: Array, bound: int) -> Array:
    return np.clip(thresholds, -bound, bound + 1)


def _double_thresholds(ratio: float, ties: Array) -> Array:
    """The least integer whose product with `ratio`, in float64, rounds above each tie: int64."""
    near = np.floor(ties / ratio)[:, None] + np.arange(-1, 4)
    product = near * ratio
    above = np.where(ties[:, None] > 0, product >= ties[:, None], product > ties[:, None])
    return np.take_along_axis(near, above.argmax(axis=1)[:, None], 1)[:, 0].astype(np.int64)


def _fixed_point_thresholds(multiplier: int, shift: int, ties: Array) -> Array:
    """The least integer a with a * multiplier + 2**(shift - 1) >= (tie + 1/2) * 2**shift."""
    doubled = (2 * ties).astype(np.int64)
    wide = doubled if shift + int(np.abs(doubled).max()).bit_length() < 63 else doubled.astype(object)
    least: Array = (-((-wide * 2 ** (shift - 1)) // multiplier)).astype(np.int64)
    return least
