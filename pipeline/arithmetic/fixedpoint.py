"""Fixed-point arithmetic: how a wide accumulator becomes a narrow output, in integers only.

Four requantizers:

* `shift`: one arithmetic right shift per channel, after the rounding constant was added: round half up.
* `multiplier`: a 32-bit fixed-point multiplier and a shift per channel, rounded twice as the reference kernels
  of TensorFlow Lite do (gemmlowp's saturating rounding doubling high multiply, then a rounding divide by a
  power of two that rounds half away from zero).
* `once`: the same multiplier, rounded once, half up: TensorFlow Lite's reference FULLY_CONNECTED.
* `wide`: a 48-bit accumulator by a 15-bit multiplier, rounded once, half up: int16 activations.

All then add the zero point and clamp; ReLU, ReLU6, Clip and HardTanh live in that clamp and cost nothing.
"""

from collections.abc import Sequence
from math import floor, frexp, log2

import numpy as np

from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array

INT32_MAX = 2**31 - 1
INT48_MAX = 2**47 - 1
_LARGEST_SHIFT = 24
LARGEST_GAIN = 512.0
"""Output steps for one step of an int8 input, beyond which more changes nothing: both neighbours of the input nearest
to zero saturate, wherever between two inputs zero is, since 512 is more than twice 255."""


def rounding_shift(value: Array, shift: Array | int) -> Array:
    """floor(value / 2**shift + 1/2) on int64, element by element; a shift of 0 leaves the value."""
    wide = value.astype(np.int64)
    half = np.where(np.asarray(shift) > 0, np.int64(1) << np.maximum(np.asarray(shift, np.int64) - 1, 0), 0)
    return (wide + half) >> np.asarray(shift, np.int64)


def multiply_by_quantized_multiplier(value: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """value * multiplier * 2**(shift - 31), rounded twice; int64 values that fit int32.

    `multiplier` is in [2**30, 2**31), `shift` positive means left. Source: TensorFlow Lite
    `MultiplyByQuantizedMultiplier` built on gemmlowp's `SaturatingRoundingDoublingHighMul` and
    `RoundingDivideByPOT`.
    """
    shift = np.asarray(shift, np.int64)
    wide = value.astype(np.int64) << np.maximum(shift, 0)
    # gemmlowp adds a nudge that depends on the sign and divides towards zero; for a positive multiplier that is
    # floor(product / 2**31 + 1/2) whatever the sign.
    high = (wide * np.asarray(multiplier, np.int64) + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    mask = (np.int64(1) << right) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + (remainder > threshold)


def multiply_once(value: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """floor(value * multiplier * 2**(shift - 31) + 1/2): int64 arrays that hold int32 values.

    Source: TensorFlow Lite `MultiplyByQuantizedMultiplier` with single rounding.
    """
    total = 31 - np.asarray(shift, np.int64)
    product = value.astype(np.int64) * np.asarray(multiplier, np.int64)
    return (product + (np.int64(1) << (total - 1))) >> total


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real ~ multiplier * 2**(shift - 31), multiplier in [2**30, 2**31).

    Source: TensorFlow Lite `QuantizeMultiplier`. `real` must be positive and below 2**30.
    """
    mantissa, exponent = frexp(real)
    multiplier = floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, exponent = multiplier // 2, exponent + 1
    if exponent < -31:
        return 0, 0
    return multiplier, exponent


def common_ratio(ratios: Sequence[float], bound: int) -> tuple[list[int], int]:
    """Integers m and one shift k with m[i] / 2**k ~ ratios[i], such that sum(|m|) * bound < 2**30.

    For operators whose accumulator is a few scaled int8 values (add, average): 32-bit arithmetic, no long
    multiply. `bound` is the largest magnitude that any input takes. Ratios whose sum leaves 32 bits become
    smaller together: the largest, then about 2**30 / bound, still saturates an int8 output by itself.
    """
    total = max(sum(abs(r) for r in ratios) * bound, 2.0**-20)
    reduction = min(1.0, 2.0**30 / total)
    shift = min(_LARGEST_SHIFT, max(0, floor(log2(2**30 / total)) - 1))
    return [round(r * reduction * 2**shift) for r in ratios], shift


def largest_shift(ratio: float, largest: float) -> int:
    """The largest n with largest / (ratio * 2**-n) <= 127, at most 24: the finest scale of weights up to `largest`.

    Used by `quantize` of the dense operator.
    """
    if largest <= 0.0:
        return _LARGEST_SHIFT // 2
    n = floor(log2(127.0 * ratio / largest) + 1e-12)
    return min(n, _LARGEST_SHIFT)


def multiply_wide(value: Array, multiplier: Array, shift: Array) -> Array:
    """(value * multiplier + 2**(shift - 1)) >> shift for |value| < 2**47, multiplier below 2**15, shift 1 to 46.

    Source: TensorFlow Lite `MultiplyByQuantizedMultiplier` of a 64-bit value.
    """
    shift = shift.astype(np.int64)
    return (value.astype(np.int64) * multiplier.astype(np.int64) + (np.int64(1) << (shift - 1))) >> shift


def wide_multiplier(real: float) -> tuple[int, int] | None:
    """(multiplier, shift) of the `wide` requantizer for `real`; None when it is out of range."""
    multiplier, exponent = quantize_multiplier(real)
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    shift = 15 - exponent
    return (reduced, shift) if 1 <= shift <= 46 else None


REQUANTIZERS = {"multiplier": multiply_by_quantized_multiplier, "once": multiply_once, "wide": multiply_wide}


def apply_rescale(acc: Array, rescale: Rescale, shift: Array, multiplier: Array | None) -> Array:
    """Outputs of the requantizer `rescale` for accumulators (..., channels): int64 of the same shape, clamped."""
    largest = INT48_MAX if rescale.kind == "wide" else INT32_MAX
    assert acc.size == 0 or np.abs(acc).max() <= largest, "an accumulator is too large: the proof is wrong"
    scaled = rounding_shift(acc, shift) if multiplier is None else REQUANTIZERS[rescale.kind](acc, multiplier, shift)
    return np.clip(scaled + rescale.zero_point, rescale.low, rescale.high)


def folded_bias(weights: Array, bias: Array, zero_point: int) -> Array:
    """Bias that lets an inner loop multiply raw inputs: bias - zero_point * sum(w), int64 (channels,).

    `weights` (channels, taps) int8 (int16 with a zero point taken out), `bias` (channels,) int32.
    """
    folded: Array = bias.astype(np.int64) - zero_point * weights.astype(np.int64).sum(axis=1)
    return folded


def rounding_constant(shift: Array, zero_point: int) -> Array:
    """Constant that the requantizer `shift` adds to the bias: half a step, and the zero point before the shift."""
    shift = shift.astype(np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    constant: Array = half + (np.int64(zero_point) << shift)
    return constant


def accumulator_bound(weights: Array, folded: Array, largest: int = 128) -> Array:
    """Upper bound on |accumulator| of each output channel, after any number of terms in any order: int64 (channels,).

    A partial sum is at most |folded| + sum |w| * largest, the largest magnitude of an input: 128 for int8.
    """
    bound: Array = np.abs(folded) + largest * np.abs(weights.astype(np.int64)).sum(axis=1)
    return bound


def accumulator_range(weights: Array, folded: Array) -> tuple[Array, Array]:
    """Least and largest accumulator of each output channel over all int8 inputs, bias included: int64 (channels,)."""
    wide = weights.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    return folded - 128 * positive + 127 * negative, folded + 127 * positive - 128 * negative
