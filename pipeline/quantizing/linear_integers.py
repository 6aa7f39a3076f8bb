"""Float weights and bias into the integers of one linear layer, with a proof that its accumulator cannot overflow.

Every output channel is solved alone, so that no channel changes another's integers. In output steps a channel is

    t(x) = sum_i gain_i * d_i + offset,   gain_i = kernel_i * x.scale / y.scale,   offset = bias / y.scale

with d_i = x_i - x.zero_point, |d_i| <= far. With a weight scale s its integers are q_i = round(kernel_i / s) and
B = round(bias / (s * x.scale)), its multiplier is M = s * x.scale / y.scale, and the chip computes

    y = clamp(round(M * (sum_i q_i * d_i + B)) + y.zero_point)

A clamp moves no two values apart, so y differs from the clamped t(x) by at most, in output steps,

    M / 2 * (taps * far + 1)   weights and bias to the nearest step (less with fewer than eight bits: see `narrow`)
  + 1/2, or 3/4 for `multiplier`   rounding once, or to 1/2 and again to at most 1/4 more
  + |M * sum| * 2**-31 (2**-15 for `wide`)   the multiplier's own rounding.

Where its natural scale (peak / 127) cannot say a channel, it becomes what it is:

* saturated: offset alone outweighs all inputs and the output's range, |offset| - sum_i |gain_i| * far > reach, where
  reach is the farthest that an output is from its zero point. A constant of weight 0 beyond the range: exact.
* coarser: B does not fit 2**30. The scale is doubled until it does, so M <= 2 * |offset| / 2**30, and the first line of
  the bound is taps * far * |offset| / 2**30: taps * 2**-14 of a step for int8 and an offset within its range. Weights
  of 1e-30 become 0, and the channel a constant.
* step: M * sum leaves 32 bits. A bounded multiplier M' < M does: if M' >= reach every sum but 0 saturates under both
  (|M' * sum| >= reach), so that it is exact for these integers. 256 is enough for int8. Where the sum leaves room for
  less, an output is off by at most reach - M' * max(1, reach / M), for |sum| < reach / M' alone.

What is changed with an error says so in `Solved.changed`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.arithmetic.fixedpoint import (
    INT32_MAX,
    INT48_MAX,
    accumulator_bound,
    folded_bias,
    quantize_multiplier,
    rounding_constant,
)
from pipeline.graph.tensor import Array, QuantParams
from pipeline.quantizing.weight_rounding import SATURATING_SHIFT, WeightRounding

_LARGEST_BIAS = 2**30 - 1
_LARGEST_WIDE_BIAS = 2**46
_MARGIN = 2**16
"""Left in 32 bits for an output's zero point."""
_MAX_PRODUCT = INT32_MAX - 4 * _MARGIN
"""For a bounded product; a 15-bit multiplier may be larger than the real one by 2**-15 of it."""
_MAX_EXPONENT, _MAX_WIDE_EXPONENT = 30, 14
"""The largest of a multiplier: what shifts a sum left, and a right shift of at least 1 of a wide product."""


@dataclass(frozen=True)
class ChangedChannels:
    """Channels that their natural scale could not say: how many became what (see this module).

    `largest_error`: output steps by which their output can differ from that of the real weights, rounding aside,
    whatever the input; `worst` is the channel that can.
    """

    constant: int = 0
    step: int = 0
    coarser: int = 0
    largest_error: float = 0.0
    worst: int = 0


@dataclass(frozen=True, eq=False)
class LinearIntegers:
    """`weights` int8 (int16 where a zero point was taken out), `scales` of them, `kind` of requantizer, largest sum."""

    weights: Array
    bias: Array
    scales: Array
    shift: Array
    multiplier: Array | None
    bound: int
    kind: str
    changed: ChangedChannels | None = None


def quantize_linear(
    rounding: WeightRounding, x: QuantParams, y: QuantParams, requantizer: str
) -> LinearIntegers | None:
    """Integers for y = kernel * x + bias in int8, or None when `shift` is demanded and cannot say it.

    `auto` takes shifts unless a channel scales its sums up by less than a step: then all scales are free. Where steps
    alone are what shifts cannot say, the others keep the integers of shifts, whose requantizer becomes a multiplier
    of the same meaning.
    """
    layer = _Layer(rounding, x, y)
    if requantizer != "multiplier" and not rounding.prescribed:
        solved = _by_shift(layer, requantizer == "shift")
        if solved is not None or requantizer == "shift":
            return solved
    return _by_multiplier(layer, rounding.scales(layer.ratio), rounding.kind)


def quantize_linear_int16(rounding: WeightRounding, x: QuantParams, y: QuantParams) -> LinearIntegers:
    """int8 weights on int16 activations: requantizer `once` where the sums provably fit 32 bits, else `wide`.

    A channel whose multiplier either has to bound, or that no input moves by half an output step, has no say in that.
    """
    layer = _Layer(rounding, x, y)

    def too_large(bounds: Array, scales: Array) -> Array:
        # Below 2**-32 a multiplier is 0.
        real = scales / layer.ratio
        return (bounds > INT48_MAX) | ((real < 2.0**-31) & (bounds * real >= 0.5))

    wanted = rounding.scales(layer.ratio)
    made = layer.fit(wanted, _LARGEST_WIDE_BIAS, too_large)
    multipliers, exponents = _multipliers(made.scales / layer.ratio)
    said = ~_leaves_int32(made.bounds, multipliers, exponents) & ~_leaves_int32_shifted(
        made.bounds, multipliers, exponents
    )
    far = made.bounds * (made.scales / layer.ratio) > _MAX_PRODUCT
    if (said | far | layer.constant).all():
        return _by_multiplier(layer, wanted, "once", wanted, layer.constant & ~said)
    capped = far | (exponents > _MAX_WIDE_EXPONENT)
    multipliers, exponents = _cap_multipliers(
        made.bounds, multipliers, exponents, capped, layer.reach, _MAX_WIDE_EXPONENT
    )
    reduced = np.where(multipliers < 0x7FFF0000, (multipliers + (1 << 15)) >> 16, 0x7FFF)
    changed = layer.changed(made, wanted, capped, multipliers * 2.0 ** (exponents - 31.0))
    shifted = (15 - exponents).astype(np.uint8), reduced.astype(np.uint16)
    return LinearIntegers(made.weights, made.bias, made.scales, *shifted, made.bound, "wide", changed)


def _by_shift(layer: "_Layer", demanded: bool) -> LinearIntegers | None:
    rounding, ratio = layer.rounding, layer.ratio
    shifts = rounding.shifts(ratio, demanded)
    steps = shifts <= -SATURATING_SHIFT
    if (shifts < 0)[~steps].any() or (demanded and steps.any()):
        return None
    wanted = np.where(steps, rounding.scales(ratio), ratio * 2.0**-shifts)
    made = layer.fit(wanted, _LARGEST_BIAS, lambda bounds, scales: bounds > INT32_MAX, by_shift=True)
    if (made.scales > ratio)[~steps].any():
        return None
    if steps.any():
        return _by_multiplier(layer, made.scales, "once", wanted, made.fixed)
    shifts = np.rint(np.log2(ratio / made.scales)).astype(np.int8)
    changed = layer.changed(made, wanted, np.zeros_like(steps), made.scales / ratio)
    return LinearIntegers(
        made.weights, made.bias.astype(np.int32), made.scales, shifts, None, made.bound, "shift", changed
    )


def _by_multiplier(
    layer: "_Layer", scales: Array, kind: str, wanted: Array | None = None, fixed: Array | None = None
) -> LinearIntegers:
    """`kind` is multiplier or once. `fixed`: channels that are constants, `wanted`: what the scales began with."""

    def too_large(bounds: Array, scales: Array) -> Array:
        return _leaves_int32(bounds, *_multipliers(scales / layer.ratio))

    free = not layer.rounding.prescribed and layer.y.dtype == "int8"
    made = layer.fit(scales, _LARGEST_BIAS if free else INT32_MAX, too_large, fixed)
    multipliers, exponents = _multipliers(made.scales / layer.ratio)
    capped = _leaves_int32_shifted(made.bounds, multipliers, exponents)
    multipliers, exponents = _cap_multipliers(made.bounds, multipliers, exponents, capped, layer.reach, _MAX_EXPONENT)
    changed = layer.changed(made, scales if wanted is None else wanted, capped, multipliers * 2.0 ** (exponents - 31.0))
    shifted = exponents.astype(np.int8), multipliers.astype(np.int32)
    return LinearIntegers(made.weights, made.bias.astype(np.int32), made.scales, *shifted, made.bound, kind, changed)


def _multipliers(real: Array) -> tuple[Array, Array]:
    """(multipliers, exponents), int64: real ~ multiplier * 2**(exponent - 31)."""
    pairs = np.array([quantize_multiplier(float(r)) for r in real], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _leaves_int32(bounds: Array, multipliers: Array, exponents: Array) -> Array:
    """Whether a sum leaves 32 bits, or its product with half of what a right shift divides by added."""
    half = (np.int64(1) << np.maximum(-exponents, 0)) >> 1
    return (bounds > INT32_MAX) | ((np.minimum(bounds, INT32_MAX) * multipliers >> 31) + half + _MARGIN > INT32_MAX)


def _leaves_int32_shifted(bounds: Array, multipliers: Array, exponents: Array) -> Array:
    """Whether a sum that was shifted left leaves 32 bits, or its product with an output's zero point added does."""
    left = np.ldexp(bounds.astype(np.float64), np.maximum(exponents, 0))  # exact, or far beyond 32 bits
    too_far = (left > INT32_MAX) | (left * multipliers * 2.0**-31 > INT32_MAX - _MARGIN)
    return (exponents > _MAX_EXPONENT) | ((exponents > 0) & too_far)


def _cap_multipliers(
    bounds: Array, multipliers: Array, exponents: Array, capped: Array, reach: int, most: int
) -> tuple[Array, Array]:
    """(multipliers, exponents): of the `capped` channels those as large as 32 bits and exponents up to `most` allow.

    256 where that is enough for the range: it saturates as well as any larger one, and takes the fewest bits.
    """
    multipliers, exponents = multipliers.copy(), exponents.copy()
    for c in np.flatnonzero(capped):
        room = _MAX_PRODUCT // max(int(bounds[c]), 1)
        fits = min(room.bit_length() - 1, most) if room else -(int(bounds[c]) // _MAX_PRODUCT).bit_length()
        saturates = reach <= 1 << SATURATING_SHIFT < 1 << max(fits, 0)
        multipliers[c], exponents[c] = (1 << 30, SATURATING_SHIFT + 1) if saturates else (INT32_MAX, fits)
    return multipliers, exponents


@dataclass(frozen=True, eq=False)
class _Integers:
    """Integers of a layer: `bias` int64, `bounds` of each channel's sum, `fixed` where it became a constant."""

    weights: Array
    bias: Array
    scales: Array
    bounds: Array
    fixed: Array

    @property
    def bound(self) -> int:
        return int(self.bounds.max(initial=0))


class _Layer:
    """One layer in output steps: see this module."""

    def __init__(self, rounding: WeightRounding, x: QuantParams, y: QuantParams) -> None:
        self.rounding, self.x, self.y = rounding, x, y
        self.ratio = y.scale[0] / x.scale[0]
        (low, high), (bottom, top) = x.limits, y.limits
        self.far = max(high - x.zero_point, x.zero_point - low)
        self.reach = max(top - y.zero_point, y.zero_point - bottom)
        self.range = top - bottom
        self.offset: Array = rounding.bias / y.scale[0]
        moved: Array = np.abs(rounding.kernel).sum(axis=1) * (self.far / self.ratio)
        # The sums above are as exact as float64: far within the margin.
        self.saturated = np.abs(self.offset) * (1 - 1e-9) - moved > self.reach + 1
        """Channels whose output is the same end of the range for any input."""
        still = moved < 0.5 if y.dtype == "int16" else moved == 0
        self.constant: Array = self.saturated | still
        """Those, and channels without weights; for int16 also those that no input moves by half a step."""

    def fit(
        self,
        scales: Array,
        largest_bias: int,
        too_large: Callable[[Array, Array], Array],
        fixed: Array | None = None,
        by_shift: bool = False,
    ) -> _Integers:
        """The integers at these scales; where a bias or a sum does not fit, those at 2, 4, 8... times the scale.

        `too_large(bounds, scales)`. `by_shift`: sums contain the rounding constant. Constants that do not fit become
        weights of 0 at multiplier 1, as those of `fixed` are already.
        """
        fixed = np.zeros(len(scales), bool) if fixed is None else fixed
        # In float32, as QuantizeLinear divides.
        with np.errstate(over="ignore"):
            steps = np.rint(self.rounding.bias.astype(np.float32) / np.float32(self.y.scale[0]))
        constants = np.clip(steps.astype(np.float64), -2.0 * self.range, 2.0 * self.range)
        while True:
            scales = np.where(fixed, self.ratio, scales)
            weights = self.rounding.weights(scales)
            weights[fixed] = 0
            real = np.rint(self.rounding.shifted_bias(weights, scales) / (scales * self.x.scale[0]))
            real = np.where(fixed, constants, real)
            excess = np.abs(real) / largest_bias
            large = excess > 1
            if not large.any():
                bias = real.astype(np.int64)
                bounds = self._bounds(weights, bias, scales, by_shift)
                large = too_large(bounds, scales)
                if not large.any():
                    return _Integers(weights, bias, scales, bounds, fixed)
            fixed = fixed | (large & self.constant)
            scales = scales * 2.0 ** np.where(large, np.maximum(np.frexp(excess)[1], 1), 0)

    def _bounds(self, weights: Array, bias: Array, scales: Array, by_shift: bool) -> Array:
        folded = folded_bias(weights, bias, self.x.zero_point)
        if by_shift:
            shifts = np.maximum(np.rint(np.log2(self.ratio / scales)), 0).astype(np.int64)
            folded = folded + rounding_constant(shifts, self.y.zero_point)
        return accumulator_bound(weights, folded, -self.x.limits[0])

    def changed(self, made: _Integers, wanted: Array, capped: Array, multipliers: Array) -> ChangedChannels | None:
        """What became of the channels; None when all are said at the `wanted` scales by multipliers of their own."""
        coarser = made.scales != wanted
        if not (coarser | capped).any():
            return None
        real = made.scales / self.ratio
        lost = np.abs(self.rounding.kernel - made.weights * made.scales[:, None]).sum(axis=1) * (self.far / self.ratio)
        # The bias of a constant is its output.
        lost = lost + np.where(made.fixed, 0.0, np.abs(self.offset - made.bias * real))
        lost = np.where(coarser, lost, 0.0)
        # Without inputs a step is its bias, which may lie between two sums.
        said = np.clip(made.bias * multipliers, -self.reach, self.reach)
        missed = np.abs(np.clip(self.offset, -self.reach, self.reach) - said)
        bounded = np.maximum(self.reach - np.maximum(multipliers, self.reach * multipliers / real), 0.0)
        lost = lost + np.where(capped, np.maximum(missed, bounded), 0.0)
        errors = np.where(self.saturated, 0.0, np.minimum(lost, self.range))
        flat = ~made.weights.any(axis=1)
        return ChangedChannels(
            constant=int(((coarser | capped) & flat).sum()),
            step=int((capped & ~flat).sum()),
            coarser=int((coarser & ~flat & ~capped).sum()),
            largest_error=float(errors.max()),
            worst=int(errors.argmax()),
        )
