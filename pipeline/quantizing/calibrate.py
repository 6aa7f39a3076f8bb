"""From the values that activations take on calibration data to the ranges that int8 will span."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, frexp, ldexp

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, QuantParams
from pipeline.quantizing.data import Samples
from pipeline.quantizing.onnx_runtime import FloatSession

BINS = 2048
_RANGE_STEPS = 64
_HISTOGRAM_VALUES = 1 << 17


@dataclass(frozen=True, eq=False)
class Histogram:
    """Values of one tensor on calibration data: extremes, and `counts` (BINS,) of values about `centers` (BINS,)."""

    low: float
    high: float
    counts: Array
    centers: Array

    @classmethod
    def of(cls, values: Array) -> "Histogram":
        """From any array of floats."""
        low, high = float(values.min()), float(values.max())
        # Bins narrower than float64 can tell apart would be none.
        high_edge = max(high, low + max(abs(low), abs(high)) * 1e-6) if high > low else _upper_edge_of_one_value(low)
        counts, edges = np.histogram(values.astype(np.float64), BINS, (low, high_edge))
        return cls(low, high, counts.astype(np.float64), (edges[:-1] + edges[1:]) / 2)


@dataclass(frozen=True)
class Policy:
    """How ranges are chosen: `method` is min-max, percentile or mse; int16 is always symmetric."""

    method: str
    percentile: float = 99.99
    symmetric: bool = False
    dtype: str = "int8"

    def params(self, low: float, high: float) -> QuantParams:
        """Parameters whose range covers [low, high] and 0, where 0 is exact."""
        low, high = min(low, 0.0), max(high, 0.0)
        if low == high:  # nothing but zeros: any scale represents them, and this one leaves room beside others
            return QuantParams((1.0,), 0, None, self.dtype)
        if self.dtype != "int8" or self.symmetric:
            largest = np.iinfo(self.dtype).max
            return QuantParams((rounded_up_scale(max(-low, high) / largest),), 0, None, self.dtype)
        scale = rounded_up_scale((high - low) / 255.0)
        return QuantParams((scale,), int(np.clip(np.floor(-128.0 - low / scale + 0.5 + 1e-9), -128, 127)))


def observe(
    graph: Graph, samples: Samples, progress: Callable[[int, int], None], names: Sequence[str] = ()
) -> dict[str, Histogram]:
    """The histogram of each of `names` (all float activations unless given) over every sample of the float graph.

    `progress(done, total)`.
    """
    names = names or [n for n, t in graph.tensors.items() if t.data is None and t.dtype == "float32"]
    computed = [n for n in names if all(n != p.tensor for p in graph.inputs)]
    session = FloatSession(float_model(graph, computed))
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, samples.inputs, strict=True)}
    values: dict[str, list[Array]] = {n: [] for n in names}
    extremes: dict[str, list[float]] = {n: [np.inf, -np.inf] for n in names}
    for done, outputs in enumerate(session.run(feeds, computed), start=1):
        for name in names:
            value = outputs[name] if name in outputs else feeds[name][done - 1]
            if not np.isfinite(value).all():
                raise ChipfitError(f"tensor {name!r} is not finite on calibration sample {done - 1}")
            extremes[name] = [min(extremes[name][0], value.min()), max(extremes[name][1], value.max())]
            # Enough values for a histogram of every tensor, in memory that does not grow with the data.
            stride = max(1, ceil(value.size * samples.count / _HISTOGRAM_VALUES))
            # A copy: a view would keep all of the values alive.
            values[name].append(value.reshape(-1)[(done % stride) :: stride].copy())
        progress(done, samples.count)
    return {n: Histogram.of(np.concatenate([*values[n], np.array(extremes[n], np.float32)])) for n in names}


def merge_histograms(parts: Sequence[Histogram]) -> Histogram:
    """One observation for tensors that must share a scale."""
    if len(parts) == 1:
        return parts[0]
    low, high = min(p.low for p in parts), max(p.high for p in parts)
    edges = np.linspace(low, high if high > low else _upper_edge_of_one_value(low), BINS + 1)
    counts = sum(np.histogram(p.centers, edges, weights=p.counts)[0] for p in parts)
    return Histogram(low, high, np.asarray(counts), (edges[:-1] + edges[1:]) / 2)


def _upper_edge_of_one_value(value: float) -> float:
    """The upper edge of the bins of a tensor that holds one value only."""
    return value + (abs(value) * 1e-6 or 1.0)


def choose_params(observed: Histogram, policy: Policy) -> QuantParams:
    """Scale and zero point for int8 activations by the policy's method."""
    if policy.method == "min-max":
        return policy.params(observed.low, observed.high)
    if policy.method == "percentile":
        share = np.cumsum(observed.counts) / observed.counts.sum()
        tail = (100.0 - policy.percentile) / 100.0
        low = float(observed.centers[np.searchsorted(share, tail)])
        high = float(observed.centers[min(int(np.searchsorted(share, 1.0 - tail)), BINS - 1)])
        low, high = (observed.low, observed.high) if low >= high else (low, high)
        return policy.params(low, high)
    return _least_squares(observed, policy)


def _least_squares(observed: Histogram, policy: Policy) -> QuantParams:
    """The range, cut back step by step from each end, whose int8 rounding and saturation err least in square."""
    best, low, high = policy.params(observed.low, observed.high), observed.low, observed.high
    symmetric = policy.symmetric or policy.dtype != "int8"
    least = _squared_error(observed, best)
    for cut_low in (True, False):
        start_low, start_high = low, high
        for step in range(1, _RANGE_STEPS):
            factor = 1.0 - step / _RANGE_STEPS
            lo, hi = (start_low * factor, start_high) if cut_low else (start_low, start_high * factor)
            if symmetric:
                lo, hi = observed.low * factor, observed.high * factor
            params = policy.params(lo, hi)
            error = _squared_error(observed, params)
            if error < least * (1 - 1e-9):
                least, best, low, high = error, params, lo, hi
        if symmetric:
            break
    return best


def _squared_error(observed: Histogram, params: QuantParams) -> float:
    rounded = params.dequantize(params.quantize(observed.centers))
    return float((observed.counts * (rounded - observed.centers) ** 2).sum())


def rounded_up_scale(scale: float) -> float:
    """`scale` rounded up to 12 significant bits.

    Float reductions differ in the last bits between processors; a scale with a short mantissa does not, so
    the same data give the same integers on every machine.
    """
    mantissa, exponent = frexp(scale)
    return ldexp(ceil(mantissa * 4096.0 - 1e-3), exponent - 12)
