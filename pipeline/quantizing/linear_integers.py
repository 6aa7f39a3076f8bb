"""Float weights and bias into the integers of one linear layer, with a proof that its accumulator cannot overflow.

Every output channel is solved alone, so that no channel changes another's integers. In output steps a channel is

    t(x) = sum_i gain_i * d_i + offset,   gain_i = kernel_i * x.scale / y.scale,   offset = bias / y.scale

with d_i = x_i - x.zero_point, |d_i| <= largest_x. With a weight scale s its integers are q_i = round(kernel_i / s) and
B = round(bias / (s * x.scale)), its multiplier is M = s * x.scale / y.scale, and the chip computes

    y = clamp(round(M * (sum_i q_i * d_i + B)) + y.zero_point)

A clamp moves no two values apart, so y differs from the clamped t(x) by at most, in output steps,

    M / 2 * (taps * largest_x + 1)   weights and bias to the nearest step (`low_bit_weights`: less)
  + 1/2, or 3/4 for `multiplier`   rounding once, or to 1/2 and again to at most 1/4 more
  + |M * sum| * 2**-31 (2**-15 for `wide`)   the multiplier's own rounding.

Where its natural scale (peak / 127) cannot represent a channel, it becomes one of:

* saturated: offset alone outweighs all inputs and the output's range, |offset| - sum_i |gain_i| * largest_x >
  largest_y, where largest_y is the farthest that an output is from its zero point. A constant of weight 0 beyond the
  range: exact.
* coarser: B does not fit 2**30. The scale is doubled until it does, so M <= 2 * |offset| / 2**30, and the first line of
  the bound is taps * largest_x * |offset| / 2**30: taps * 2**-14 of a step for int8 and an offset within its range.
  Weights of 1e-30 become 0, and the channel a constant.
* step: M * sum leaves 32 bits. A bounded multiplier M' < M does: if M' >= largest_y every sum but 0 saturates under
  both (|M' * sum| >= largest_y), so that it is exact for these integers. 256 is enough for int8. Where the sum leaves
  room for less, an output is off by at most largest_y - M' * max(1, largest_y / M), for |sum| < largest_y / M' alone.

What is changed with an error is counted in `LinearIntegers.changed`.
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
    """How many channels whose natural scale int8 cannot represent became what (see this module).

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
    """One layer's `weights` (out, taps), `bias`, `scales`, `shift` and `multiplier` (out,): one entry a channel.

    `weights` are int8, or int16 where a zero point was subtracted; `kind` is the requantizer, `bound` the largest sum.
    """

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
    """Integers for y = kernel * x + bias in int8, or None when `shift` is demanded and cannot represent it.

    `auto` takes shifts unless a channel scales its sums up by less than a step: then all scales are free. Where shifts
    fail on step channels alone, the others keep the integers of shifts, whose requantizer becomes a multiplier of the
    same meaning.
    """
    layer = _Layer(rounding, x, y)
    if requantizer != "multiplier" and not rounding.prescribed:
        solved = _by_shift(layer, requantizer == "shift")
        if solved is not None or requantizer == "shift":
            return solved
    return _by_multiplier(layer, rounding.scales(layer.ratio), rounding.kind)


def quantize_linear_int16(rounding: WeightRounding, x: QuantParams, y: QuantParams) -> LinearIntegers:
    """int8 weights on int16 activations: requantizer `once` where the sums provably fit 32 bits, else `wide`.

    Channels whose multiplier is capped either way, and those that no input moves by half an output step, do not decide.
    """
    layer = _Layer(rounding, x, y)

    def too_large(bounds: Array, scales: Array) -> Array:
        # Below 2**-32 a multiplier is 0.
        real = scales / layer.ratio
        return (bounds > INT48_MAX) | ((real < 2.0**-31) & (bounds * real >= 0.5))

    natural_scales = rounding.scales(layer.ratio)
    integers = layer.fit(natural_scales, _LARGEST_WIDE_BIAS, too_large)
    multipliers, exponents = _multipliers(integers.scales / layer.ratio)
    representable = ~_leaves_int32(integers.bounds, multipliers, exponents) & ~_leaves_int32_shifted(
        integers.bounds, multipliers, exponents
    )
    beyond_32_bits = integers.bounds * (integers.scales / layer.ratio) > _MAX_PRODUCT
    if (representable | beyond_32_bits | layer.constant).all():
        return _by_multiplier(layer, natural_scales, "once", natural_scales, layer.constant & ~representable)
    capped = beyond_32_bits | (exponents > _MAX_WIDE_EXPONENT)
    multipliers, exponents = _cap_multipliers(
        integers.bounds, multipliers, exponents, capped, layer.largest_y, _MAX_WIDE_EXPONENT
    )
    reduced = np.where(multipliers < 0x7FFF0000, (multipliers + (1 << 15)) >> 16, 0x7FFF)
    changed = layer.changed(integers, natural_scales, capped, multipliers * 2.0 ** (exponents - 31.0))
    shifted = (15 - exponents).astype(np.uint8), reduced.astype(np.uint16)
    return LinearIntegers(integers.weights, integers.bias, integers.scales, *shifted, integers.bound, "wide", changed)


def _by_shift(layer: "_Layer", demanded: bool) -> LinearIntegers | None:
    rounding, ratio = layer.rounding, layer.ratio
    shifts = rounding.shifts(ratio, demanded)
    step_channels = shifts <= -SATURATING_SHIFT
    if (shifts < 0)[~step_channels].any() or (demanded and step_channels.any()):
        return None
    natural_scales = np.where(step_channels, rounding.scales(ratio), ratio * 2.0**-shifts)
    integers = layer.fit(natural_scales, _LARGEST_BIAS, lambda bounds, scales: bounds > INT32_MAX, by_shift=True)
    if (integers.scales > ratio)[~step_channels].any():
        return None
    if step_channels.any():
        return _by_multiplier(layer, integers.scales, "once", natural_scales, integers.fixed)
    shifts = np.rint(np.log2(ratio / integers.scales)).astype(np.int8)
    changed = layer.changed(integers, natural_scales, np.zeros_like(step_channels), integers.scales / ratio)
    return LinearIntegers(
        integers.weights,
        integers.bias.astype(np.int32),
        integers.scales,
        shifts,
        None,
        integers.bound,
        "shift",
        changed,
    )


def _by_multiplier(
    layer: "_Layer", scales: Array, kind: str, natural_scales: Array | None = None, fixed: Array | None = None
) -> LinearIntegers:
    """Integers for the requantizer `kind`, multiplier or once, at `scales`, which began as `natural_scales`.

    `fixed`: channels that are constants.
    """

    def too_large(bounds: Array, scales: Array) -> Array:
        return _leaves_int32(bounds, *_multipliers(scales / layer.ratio))

    ours = not layer.rounding.prescribed and layer.y.dtype == "int8"
    integers = layer.fit(scales, _LARGEST_BIAS if ours else INT32_MAX, too_large, fixed)
    multipliers, exponents = _multipliers(integers.scales / layer.ratio)
    capped = _leaves_int32_shifted(integers.bounds, multipliers, exponents)
    multipliers, exponents = _cap_multipliers(
        integers.bounds, multipliers, exponents, capped, layer.largest_y, _MAX_EXPONENT
    )
    changed = layer.changed(
        integers, scales if natural_scales is None else natural_scales, capped, multipliers * 2.0 ** (exponents - 31.0)
    )
    shifted = exponents.astype(np.int8), multipliers.astype(np.int32)
    return LinearIntegers(
        integers.weights, integers.bias.astype(np.int32), integers.scales, *shifted, integers.bound, kind, changed
    )


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
    bounds: Array, multipliers: Array, exponents: Array, capped: Array, largest_y: int, max_exponent: int
) -> tuple[Array, Array]:
    """(multipliers, exponents), those of the `capped` channels as large as 32 bits and `max_exponent` allow.

    256 where that is enough for the range: it saturates as well as any larger one, and takes the fewest bits.
    """
    multipliers, exponents = multipliers.copy(), exponents.copy()
    for c in np.flatnonzero(capped):
        room = _MAX_PRODUCT // max(int(bounds[c]), 1)
        fits = min(room.bit_length() - 1, max_exponent) if room else -(int(bounds[c]) // _MAX_PRODUCT).bit_length()
        saturates = largest_y <= 1 << SATURATING_SHIFT < 1 << max(fits, 0)
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
        self.largest_x = max(high - x.zero_point, x.zero_point - low)
        self.largest_y = max(top - y.zero_point, y.zero_point - bottom)
        self.range = top - bottom
        self.offset: Array = rounding.bias / y.scale[0]
        largest_change: Array = np.abs(rounding.kernel).sum(axis=1) * (self.largest_x / self.ratio)
        # The sums above are as exact as float64: far within the margin.
        self.saturated = np.abs(self.offset) * (1 - 1e-9) - largest_change > self.largest_y + 1
        """Channels whose output is the same end of the range for any input."""
        unmoved = largest_change < 0.5 if y.dtype == "int16" else largest_change == 0
        self.constant: Array = self.saturated | unmoved
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
        # In float32, as QuantizeLinear divides, where that can hold both.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            steps = np.rint(self.rounding.bias.astype(np.float32) / np.float32(self.y.scale[0])).astype(np.float64)
        steps = np.where(np.isfinite(steps), steps, np.rint(self.rounding.bias / self.y.scale[0]))
        constants = np.clip(steps, -2.0 * self.range, 2.0 * self.range)
        while True:
            scales = np.where(fixed, self.ratio, scales)
            weights = self.rounding.weights(scales)
            weights[fixed] = 0
            real = np.rint(self.rounding.shifted_bias(weights, scales) / (scales * self.x.scale[0]))
            real = np.where(fixed, constants, real)
            excess = np.abs(real) / largest_bias
            too_coarse = excess > 1
            if not too_coarse.any():
                bias = real.astype(np.int64)
                bounds = self._bounds(weights, bias, scales, by_shift)
                too_coarse = too_large(bounds, scales)
                if not too_coarse.any():
                    return _Integers(weights, bias, scales, bounds, fixed)
            fixed = fixed | (too_coarse & self.constant)
            scales = scales * 2.0 ** np.where(too_coarse, np.maximum(np.frexp(excess)[1], 1), 0)

    def _bounds(self, weights: Array, bias: Array, scales: Array, by_shift: bool) -> Array:
        folded = folded_bias(weights, bias, self.x.zero_point)
        if by_shift:
            shifts = np.maximum(np.rint(np.log2(self.ratio / scales)), 0).astype(np.int64)
            folded = folded + rounding_constant(shifts, self.y.zero_point)
        return accumulator_bound(weights, folded, -self.x.limits[0])

    def changed(
        self, integers: _Integers, natural_scales: Array, capped: Array, multipliers: Array
    ) -> ChangedChannels | None:
        """What became of the channels; None when all keep their `natural_scales` and multipliers."""
        coarser = integers.scales != natural_scales
        if not (coarser | capped).any():
            return None
        real_multipliers = integers.scales / self.ratio
        error = np.abs(self.rounding.kernel - integers.weights * integers.scales[:, None]).sum(axis=1) * (
            self.largest_x / self.ratio
        )
        # The bias of a constant is its output.
        error = error + np.where(integers.fixed, 0.0, np.abs(self.offset - integers.bias * real_multipliers))
        error = np.where(coarser, error, 0.0)
        # Without inputs a step is its bias, which may lie between two sums.
        constant_output = np.clip(integers.bias * multipliers, -self.largest_y, self.largest_y)
        constant_error = np.abs(np.clip(self.offset, -self.largest_y, self.largest_y) - constant_output)
        capped_error = np.maximum(
            self.largest_y - np.maximum(multipliers, self.largest_y * multipliers / real_multipliers), 0.0
        )
        error = error + np.where(capped, np.maximum(constant_error, capped_error), 0.0)
        errors = np.where(self.saturated, 0.0, np.minimum(error, self.range))
        without_weights = ~integers.weights.any(axis=1)
        return ChangedChannels(
            constant=int(((coarser | capped) & without_weights).sum()),
            step=int((capped & ~without_weights).sum()),
            coarser=int((coarser & ~without_weights & ~capped).sum()),
            largest_error=float(errors.max()),
            worst=int(errors.argmax()),
        )
