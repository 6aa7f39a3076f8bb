"""Mean and covariance of the inputs of linear layers on calibration data: how much an error of each weight matters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import frexp, ldexp

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.data import Samples
from pipeline.quantizing.onnx_runtime import FloatSession

_SAMPLES = 256
_MAX_ROWS = 1 << 15
_MAX_COVARIANCE_TAPS = 1024
"""Taps above which only the variances are kept: their covariances would take more memory than the network."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """Statistics of what one output's taps read: `mean` (groups, taps), `covariance` (groups, taps, taps).

    Of layers with many taps `covariance` holds the variances alone: (groups, taps).
    """

    mean: Array
    covariance: Array


def measure_inputs(
    graph: Graph, samples: Samples, layers: Sequence[Linear], progress: Callable[[int, int], None]
) -> dict[str, InputStatistics]:
    """The statistics of each layer's inputs by its name, over a few hundred samples of the float graph.

    `progress(done, total)`.
    """
    samples = samples.take(_SAMPLES)
    ports = {p.tensor for p in graph.inputs}
    computed = sorted({n.inputs[0] for n in layers} - ports)
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, samples.inputs, strict=True)}
    rows_per_sample = -(-_MAX_ROWS // samples.count)
    sums = {n.name: _PowerSums() for n in layers}
    session = FloatSession(float_model(graph, computed))
    for done, outputs in enumerate(session.run(feeds, computed or None), start=1):
        for node in layers:
            name = node.inputs[0]
            taps = node.read(feeds[name][done - 1] if name in ports else outputs[name], graph)
            sums[node.name].add(taps[:, :: -(-taps.shape[1] // rows_per_sample)])
        progress(done, samples.count)
    return {n: s.statistics() for n, s in sums.items()}


class _PowerSums:
    def __init__(self) -> None:
        self.count = 0
        self.first: Array = np.zeros(())
        self.second: Array = np.zeros(())

    def add(self, rows: Array) -> None:
        self.count += rows.shape[1]
        self.first = self.first + rows.sum(axis=1)
        full = rows.shape[2] <= _MAX_COVARIANCE_TAPS
        self.second = self.second + (rows.transpose(0, 2, 1) @ rows if full else (rows**2).sum(axis=1))

    def statistics(self) -> InputStatistics:
        mean, second = self.first / self.count, self.second / self.count
        square = mean[:, :, None] * mean[:, None, :] if second.ndim == 3 else mean**2
        return InputStatistics(_rounded_to_12_bits(mean), _rounded_to_12_bits(second - square))


def _rounded_to_12_bits(values: Array) -> Array:
    """Rounded to 12 bits of each group's largest: float sums differ in the last bits between machines."""
    axes = tuple(range(1, values.ndim))
    largest = np.abs(values).max(axis=axes, keepdims=True, initial=0)
    step = np.vectorize(lambda v: ldexp(1.0, frexp(v)[1] - 12))(largest)
    rounded: Array = np.rint(values / step) * step
    return rounded
