"""How the float weights of one linear layer become integers: the scale of each channel, and how weights are rounded."""

import numpy as np

from pipeline.arithmetic.fixedpoint import largest_shift
from pipeline.graph.tensor import Array, QuantParams

LEAST_SCALE = 2.0**-126
"""The least normal float32."""
SATURATING_SHIFT = 8
"""2**SATURATING_SHIFT output steps are beyond any int8 range, whatever its zero point."""
_ZERO_WEIGHTS_SHIFT = 12
"""A channel without weights has a multiplier of 2**-12: its constant is as good as rounded once."""


class WeightRounding:
    """How float weights (out, taps) and their bias become integers: eight bits, each to its nearest step.

    `peaks`: the largest magnitude of each channel, or of all. `kind`: the requantizer where scales are free.
    """

    kind = "multiplier"
    prescribed = False

    def __init__(self, kernel: Array, bias: Array, per_channel: bool) -> None:
        self.kernel, self.bias, self.per_channel = kernel, bias, per_channel
        peaks = np.abs(kernel).max(axis=1, initial=0)
        self.peaks: Array = peaks if per_channel else np.full_like(peaks, peaks.max(initial=0))

    def shifts(self, ratio: float, demanded: bool) -> Array:
        """For each channel the shift n whose weight scale is ratio * 2**-n; a negative one cannot be represented."""
        return np.array([largest_shift(ratio, float(p)) for p in self.peaks], np.int64)

    def scales(self, ratio: float) -> Array:
        """Each channel's weight scale when it is free; `ratio` is that of the output over that of the input."""
        return np.where(self.peaks > 0, np.maximum(self.peaks / 127.0, LEAST_SCALE), zero_weights_scale(ratio))

    def weights(self, scales: Array) -> Array:
        """The integers at `scales` (out,): int8 (out, taps)."""
        return np.clip(np.rint(self.kernel / scales[:, None]), -127, 127).astype(np.int8)

    def shifted_bias(self, weights: Array, scales: Array) -> Array:
        """The real bias that goes with these weights."""
        return self.bias


class PrescribedRounding(WeightRounding):
    """The scales, and with them the integers, that the model file prescribes.

    y = round(sum * scale) once, half up: at most the ties differ from ONNX, which rounds them to even.
    """

    kind = "once"
    prescribed = True

    def __init__(self, kernel: Array, bias: Array, params: QuantParams) -> None:
        super().__init__(kernel, bias, True)
        self.prescribed_scales = np.broadcast_to(np.asarray(params.scale, np.float64), len(kernel))

    def scales(self, ratio: float) -> Array:
        return self.prescribed_scales

    def weights(self, scales: Array) -> Array:
        """The file's integers: int8, or int16 where its weights have a zero point of their own."""
        weights = np.rint(self.kernel / scales[:, None])
        fits_int8 = weights.min(initial=0) >= -128 and weights.max(initial=0) <= 127
        return weights.astype(np.int8 if fits_int8 else np.int16)


def zero_weights_scale(ratio: float) -> float:
    """The weight scale of a channel without weights."""
    return max(ratio * 2.0**-_ZERO_WEIGHTS_SHIFT, LEAST_SCALE)
