"""Linear layers with monstrous channels, and what must be true of them once their scales are solved."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from pipeline.arithmetic.fixedpoint import (
    INT32_MAX,
    INT48_MAX,
    accumulator_bound,
    apply_rescale,
    folded_bias,
    rounding_constant,
)
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, QuantParams
from pipeline.quantizing.linear_integers import LinearIntegers

REQUANTIZERS = ("auto", "shift", "multiplier")
MONSTERS = {
    "dead": (1e-8, 3.0), "nearly dead": (1e-6, 3.0), "folded away": (1e-30, 0.4), "dead, negative": (1e-12, -2.0),
    "zero": (0.0, 2.0), "zero, far": (0.0, 1e20), "step": (1e8, 0.0), "step with a bias": (1e8, -3e7),
    "step, far": (1e8, 1e20), "saturated": (1.0, 1e12), "dead and far": (1e-20, -1e12), "huge": (1e30, 1e30),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layer:
    kernel: Array
    bias: Array
    x: QuantParams
    y: QuantParams

    def inputs(self, rng: np.random.Generator) -> Array:
        """Random ones, the ends, none, and what pushes every channel farthest."""
        low, high = self.x.limits
        taps = self.kernel.shape[1]
        far = np.where(self.kernel > 0, high, low)
        even = [np.full((1, taps), v) for v in (low, high, self.x.zero_point, self.x.zero_point + 1)]
        samples = np.concatenate([*even, far, low + high - far, rng.integers(low, high + 1, (40, taps))])
        return np.clip(samples, low, high)

    def steps(self, x: Array) -> Array:
        """t(x) of the module's docstring."""
        gain = self.kernel * (self.x.scale[0] / self.y.scale[0])
        return (x - self.x.zero_point).astype(np.float64) @ gain.T + self.bias / self.y.scale[0]


@st.composite
def layers(draw: st.DrawFn, dtype: str = "int8") -> Layer:
    """Channels of any size beside each other, in any unit, with a bias within the range or anywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    taps = draw(st.sampled_from([1, 2, 9, 40, 300]))
    unit = 10.0 ** draw(st.integers(-25, 25))
    kinds = draw(st.lists(st.sampled_from(["plain", *MONSTERS]), min_size=2, max_size=5))
    zero = (lambda: draw(st.integers(-128, 127))) if dtype == "int8" else lambda: 0
    x = QuantParams((10.0 ** draw(st.integers(-12, 12)) * unit,), zero(), None, dtype)
    y = QuantParams((x.scale[0] * 10.0 ** draw(st.integers(-3, 3)),), zero(), None, dtype)
    kernel = rng.standard_normal((len(kinds), taps))
    bias = rng.standard_normal(len(kinds)) * 100 * y.scale[0]
    for c, kind in enumerate(kinds):
        if kind != "plain":
            factor, offset = MONSTERS[kind]
            kernel[c] *= factor
            bias[c] = offset * 30 * y.scale[0]
    return Layer(kernel, bias, x, y)


def run(solved: LinearIntegers, layer: Layer, x: Array, shifted: bool = False) -> tuple[Array, Array]:
    """(sums, outputs) by the specification."""
    sums = (x - layer.x.zero_point).astype(np.int64) @ solved.weights.T.astype(np.int64) + solved.bias
    low, high = layer.y.limits
    rescale = Rescale("", "", layer.y.zero_point, low, high, solved.kind)
    return sums, apply_rescale(sums, rescale, solved.shift, solved.multiplier)


def assert_fits(solved: LinearIntegers, layer: Layer, prescribed: bool = False) -> None:
    """What C does with any sum stays in its type."""
    largest = -layer.x.limits[0]
    folded = folded_bias(solved.weights, solved.bias, layer.x.zero_point)
    if solved.kind == "shift":
        folded = folded + rounding_constant(solved.shift, layer.y.zero_point)
    bounds = accumulator_bound(solved.weights, folded, largest).astype(object)
    assert bounds.max() == solved.bound <= (INT48_MAX if solved.kind == "wide" else INT32_MAX)
    assert len(solved.bias) == len(solved.scales) == len(solved.shift)
    if layer.x.dtype == "int8" and not prescribed:
        assert np.abs(solved.bias.astype(np.int64)).max() < 2**30
    if solved.kind == "shift":
        assert solved.shift.min() >= 0 and solved.shift.max() <= 24
        return
    assert solved.multiplier is not None
    multipliers, shifts = (v.astype(object) for v in (solved.multiplier, solved.shift))
    for bound, multiplier, shift in zip(bounds, multipliers, shifts, strict=True):
        if solved.kind == "wide":
            assert 1 <= shift <= 46 and 0 <= multiplier < 2**15
            assert (bound * multiplier >> shift) + 2**15 <= INT32_MAX
            continue
        assert -31 <= shift <= 30 and (multiplier == 0 or 2**30 <= multiplier < 2**31)
        assert bound << max(shift, 0) <= INT32_MAX
        product = ((bound << max(shift, 0)) * multiplier >> 31) + ((1 << max(-shift, 0)) >> 1)
        assert product + 2**15 <= INT32_MAX


def assert_within_the_bound(solved: LinearIntegers, layer: Layer, x: Array) -> None:
    taps = layer.kernel.shape[1]
    ratio = layer.y.scale[0] / layer.x.scale[0]
    far = max(layer.x.limits[1] - layer.x.zero_point, layer.x.zero_point - layer.x.limits[0])
    offset = np.abs(layer.bias) / layer.y.scale[0]
    natural = np.abs(layer.kernel).max(axis=1) / 127 / ratio
    # A power of two is up to twice the natural scale, and at least 2**-24.
    natural = np.maximum(2 * natural, 2.0**-24) if solved.kind in ("shift", "once") else natural
    room = 2.0**29 if solved.kind != "wide" else 2.0**45
    weights = np.maximum(natural, np.maximum(offset / room, 2.0**-28)) / 2 * (taps * far + 1)
    _, got = run(solved, layer, x)
    t = layer.steps(x)
    moved = np.abs(layer.kernel).sum(axis=1) * far / ratio + offset
    own = 2.0**-14 if solved.kind == "wide" else 2.0**-30
    bound = weights + 0.75 + own * np.abs(t) + 1e-12 * moved
    if layer.x.dtype == "int16":  # a channel that no input moves by half a step
        bound = np.maximum(bound, 1.0)
    low, high = layer.y.limits
    least, most = (np.clip(v + layer.y.zero_point, low, high) for v in (t - bound, t + bound))
    assert (least <= got).all() and (got <= most).all()
