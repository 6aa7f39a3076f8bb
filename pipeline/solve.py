"""Float weights and bias into the integers of one linear layer, with a proof that its accumulator cannot overflow."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.fixedpoint import (
    INT32_MAX,
    INT48_MAX,
    accumulator_bound,
    folded_bias,
    largest_shift,
    quantize_multiplier,
    rounding_constant,
    wide_multiplier,
)
from pipeline.ir import Array, QuantParams


@dataclass(frozen=True, eq=False)
class Solved:
    """`weights` int8 (int16 where a zero point was taken out), `scales` of them, `kind` of requantizer, largest sum."""

    weights: Array
    bias: Array
    scales: Array
    shift: Array
    multiplier: Array | None
    bound: int
    kind: str


class Rounding:
    """How float weights (out, taps) and their bias become integers: eight bits, each to its nearest step.

    `peaks`: the largest magnitude of each channel, or of all. `kind`: the requantizer where scales are free.
    """

    kind = "multiplier"

    def __init__(self, kernel: Array, bias: Array, per_channel: bool) -> None:
        self.kernel, self.bias, self.per_channel = kernel, bias, per_channel
        peaks = np.abs(kernel).max(axis=1, initial=0)
        self.peaks: Array = peaks if per_channel else np.full_like(peaks, peaks.max(initial=0))

    def shifts(self, ratio: float, demanded: bool) -> Array:
        """For each channel the shift n whose weight scale is ratio * 2**-n; a negative one cannot be said."""
        return np.array([largest_shift(ratio, float(p)) for p in self.peaks], np.int64)

    def scales(self) -> Array:
        """Each channel's weight scale when it is free."""
        # A channel without weights has no scale of its own: a tiny one would make its bias leave 32 bits, and what then
        # makes it fit would take the other channels' weights along.
        peaks = np.where(self.peaks > 0, self.peaks, self.peaks.max(initial=0))
        scales: Array = np.maximum(peaks, 1e-12) / 127.0
        return scales

    def weights(self, scales: Array) -> Array:
        """int8 (out, taps)."""
        return np.clip(np.rint(self.kernel / scales[:, None]), -127, 127).astype(np.int8)

    def shifted_bias(self, weights: Array, scales: Array) -> Array:
        """The real bias that goes with these weights."""
        return self.bias


def solve(rounding: Rounding, x: QuantParams, y: QuantParams, requantizer: str) -> Solved | None:
    """Integers for y = kernel * x + bias, or None when `shift` is demanded and cannot say it."""
    ratio = y.scale[0] / x.scale[0]
    if requantizer in ("shift", "auto"):
        shifts = rounding.shifts(ratio, requantizer == "shift")
        while shifts.min() >= 0:
            scales = ratio * 2.0**-shifts
            solved = _integers(rounding, x, scales)
            if solved is not None:
                folded = folded_bias(solved[0], solved[1], x.zero_point) + rounding_constant(shifts, y.zero_point)
                bounds = accumulator_bound(solved[0], folded)
                if bounds.max() <= INT32_MAX:
                    return Solved(*solved, scales, shifts.astype(np.int8), None, int(bounds.max()), "shift")
                shifts = shifts - (bounds > INT32_MAX)
            else:
                shifts = shifts - 1
        if requantizer == "shift":
            return None
    scales = rounding.scales()
    while True:
        solved = _integers(rounding, x, scales)
        if solved is not None:
            bounds = accumulator_bound(solved[0], folded_bias(solved[0], solved[1], x.zero_point))
            if bounds.max() <= INT32_MAX:
                break
        scales = scales * 2.0
    pairs = [quantize_multiplier(float(s) / ratio) for s in scales]
    multipliers, shifts = (np.array(v) for v in zip(*pairs, strict=True))
    # A left shift of the accumulator must stay in 32 bits too: coarser weights until it does.
    if (bounds.astype(object) * 2 ** np.maximum(shifts, 0).astype(object)).max() > INT32_MAX:
        return solve(rounding, x, replace(y, scale=(y.scale[0] * 2,)), requantizer)
    return Solved(
        *solved, scales, shifts.astype(np.int8), multipliers.astype(np.int32), int(bounds.max()), rounding.kind
    )


def _integers(rounding: Rounding, x: QuantParams, scales: Array) -> tuple[Array, Array] | None:
    """int8 weights and int32 bias for these weight scales; None when the bias does not fit 32 bits."""
    weights = rounding.weights(scales)
    wide = np.rint(rounding.shifted_bias(weights, scales) / (scales * x.scale[0]))
    if np.abs(wide).max(initial=0) > INT32_MAX // 2:
        return None
    return weights, wide.astype(np.int32)


def solve_pinned(kernel: Array, bias: Array, x: QuantParams, y: QuantParams, pinned: QuantParams) -> Solved | None:
    """The integers that the model file itself prescribes for its weights; None when a sum could leave 32 bits.

    y = round(sum * scale) once, half up: at most the ties differ from ONNX, which rounds them to even.
    """
    scales = np.broadcast_to(np.asarray(pinned.scale, np.float64), len(kernel))
    weights = np.rint(kernel / scales[:, None]).astype(np.int64)
    weights = weights.astype(np.int8 if weights.min() >= -128 and weights.max() <= 127 else np.int16)
    wide = np.clip(np.rint(bias / (scales * x.scale[0])), -INT32_MAX, INT32_MAX).astype(np.int64)
    bounds = accumulator_bound(weights, folded_bias(weights, wide, x.zero_point))
    pairs = [quantize_multiplier(float(s) * x.scale[0] / y.scale[0]) for s in scales]
    multipliers, shifts = (np.array(v) for v in zip(*pairs, strict=True))
    if (bounds.astype(object) * 2 ** np.maximum(shifts, 0).astype(object)).max(initial=0) > INT32_MAX:
        return None
    shifted = shifts.astype(np.int8), multipliers.astype(np.int32)
    return Solved(weights, wide.astype(np.int32), scales, *shifted, int(bounds.max()), "once")


def solve_wide(rounding: Rounding, x: QuantParams, y: QuantParams, pinned: QuantParams | None) -> Solved | None:
    """int8 weights on int16 activations: requantizer `once` where the sum provably fits 32 bits, else `wide`.

    None when a scale is too far off.
    """
    if pinned is not None:
        scales = np.broadcast_to(np.asarray(pinned.scale, np.float64), len(rounding.kernel))
    else:
        scales = rounding.scales()
    # A bias far larger than the weights can say: coarser weights until its integer fits.
    for _ in range(64):
        weights = rounding.weights(scales)
        wide = np.rint(rounding.shifted_bias(weights, scales) / (scales * x.scale[0]))
        pairs = [wide_multiplier(float(s) * x.scale[0] / y.scale[0]) for s in scales]
        if np.abs(wide).max(initial=0) < 2.0**46 and None not in pairs:
            break
        if pinned is not None:
            return None
        scales = scales * 2.0
    else:
        return None
    integers = wide.astype(np.int64)
    bounds = accumulator_bound(weights, folded_bias(weights, integers, x.zero_point), 32768)
    bound = int(bounds.max(initial=0))
    narrow = [quantize_multiplier(float(s) * x.scale[0] / y.scale[0]) for s in scales]
    shifts = np.array([e for _, e in narrow])
    if (bounds.astype(object) * 2 ** np.maximum(shifts, 0).astype(object)).max(initial=0) <= INT32_MAX:
        multipliers = np.array([m for m, _ in narrow], np.int32)
        return Solved(weights, integers.astype(np.int32), scales, shifts.astype(np.int8), multipliers, bound, "once")
    if bound > INT48_MAX:
        return None
    multipliers, shifts = (np.array(v) for v in zip(*(p for p in pairs if p), strict=True))
    shifted = shifts.astype(np.uint8), multipliers.astype(np.uint16)
    return Solved(weights, integers, scales, *shifted, bound, "wide")
