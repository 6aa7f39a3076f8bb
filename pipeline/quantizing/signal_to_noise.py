"""How much signal quantization leaves over its noise: of outputs, and of parts of tensors that go separate ways.

One scale serves a whole tensor: where its parts have unlike ranges the small ones drown, and the whole looks well.
Signal is the power of the float values about the mean of each element, so that answering one constant is no signal.
The float values of an ONNX file that came quantized are those without its rounding; a quantized .tflite has none, and
is not measured.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, log10, prod

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.ops.concat import Concat
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.linear import Linear
from pipeline.ops.slice import Slice
from pipeline.ops.transpose import Transpose
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import Quantized
from pipeline.quantizing.onnx_runtime import FloatSession
from pipeline.quantizing.quantize_file import Attempt, Signal

METHODS = ("mse", "min-max", "percentile")
LOST_DB = 0.0
"""Decibels below which an element carries less than its mean does."""
_MIN_SAMPLES = 8
"""Least number of samples for which each element has a mean of its own."""
_MAX_ELEMENTS = 64
"""Outputs of at most so many elements are measured element by element, larger ones by channel."""
_FLOAT32_ROUNDING = 2.0**-22
"""Part of the largest magnitude of a tensor: what varies by less is float32's rounding."""


@dataclass(frozen=True)
class TensorPart:
    """Indices `first` to `last` - 1 along `axis` of a stored tensor; all of it without an axis.

    `description` names the part in reports.
    """

    tensor: str
    description: str
    axis: int | None = None
    first: int = 0
    last: int = 0
    flat: bool = False
    """Whether the indices count elements in row-major order."""

    def of(self, values: Array) -> Array:
        """The part of one sample, (*stored shape)."""
        if self.flat:
            return values.reshape(-1)[self.first : self.last]
        return values if self.axis is None else values.take(range(self.first, self.last), self.axis)


def tensor_parts(graph: Graph) -> tuple[TensorPart, ...]:
    """The parts to measure: outputs, inputs of each Concat, and what Slice (ONNX Split, too) takes out."""
    parts = [TensorPart(p.tensor, f"output {p.onnx_name!r}") for p in graph.outputs]
    for node in graph.nodes:
        if isinstance(node, Concat):
            parts += _concatenated_parts(node, graph)
        elif isinstance(node, Slice):
            parts.append(TensorPart(node.output, f"the part {node.output!r} of tensor {node.inputs[0]!r}"))
    unique = dict.fromkeys(parts)
    return tuple(p for p in unique if not graph.is_constant(p.tensor))


def _concatenated_parts(node: Concat, graph: Graph) -> Iterator[TensorPart]:
    outputs = [p.onnx_name for p in graph.outputs if p.tensor == node.output]
    whole = f"output {outputs[0]!r}" if outputs else f"tensor {node.output!r}"
    start = 0
    for name in node.inputs:
        size = graph.tensors[name].shape[node.axis]
        if not graph.is_constant(name):
            yield TensorPart(
                node.output, f"the part of {whole} that comes from {name!r}", node.axis, start, start + size
            )
        start += size


def output_elements(graph: Graph) -> tuple[TensorPart, ...]:
    """Each element of every output of at most 64, else each channel (index of the last stored axis).

    Without those of probabilities (from Softmax or Sigmoid, or joined from such): that of a class which no sample has
    is next to nothing, and so is what is lost of it.
    """
    elements: list[TensorPart] = []
    for port in graph.outputs:
        shape = graph.tensors[port.tensor].shape
        if graph.is_constant(port.tensor) or not shape or _is_probability(graph, port.tensor):
            continue
        if prod(shape) > _MAX_ELEMENTS:
            names = [f"channel {i} of output {port.onnx_name!r}" for i in range(shape[-1])]
            elements += [TensorPart(port.tensor, name, -1, i, i + 1) for i, name in enumerate(names)]
        elif prod(shape) > 1:
            elements += [
                TensorPart(port.tensor, n, None, i, i + 1, flat=True) for i, n in enumerate(_element_names(port, shape))
            ]
    return tuple(elements)


def _element_names(port: Port, shape: Sequence[int]) -> list[str]:
    """The elements of an output in stored order, by their indices in the ONNX tensor."""
    order = port.to_onnx(np.arange(prod(shape)).reshape(1, *shape))[0]
    indices = [tuple(int(v) for v in np.argwhere(order == i)[0]) for i in range(prod(shape))]
    axes = [axis for axis, size in enumerate(order.shape) if size > 1]
    names = [str(p[axes[0]]) if len(axes) == 1 else str(p) for p in indices]
    return [f"element {s} of output {port.onnx_name!r}" for s in names]


def _is_probability(graph: Graph, tensor: str) -> bool:
    node = next((n for n in graph.nodes if tensor in n.outputs), None)
    if isinstance(node, Reshape | Transpose | Concat):
        return any(_is_probability(graph, name) for name in graph.activations(node))
    return node is not None and node.is_probability


@dataclass(eq=False)
class _ElementSums:
    """Sums over samples for each element; values less those of the first sample, so that an offset takes no digits."""

    first: Array
    count: int
    total: Array
    squares: Array
    noise: Array
    peak: float


class SignalMeter:
    """Signal and noise of every element, added up sample by sample, and their ratio for parts of tensors."""

    def __init__(self, parts: Sequence[TensorPart], single: Sequence[TensorPart] = ()) -> None:
        """`single`: elements (see there) of the tensors of `parts`."""
        self.parts: dict[str, list[TensorPart]] = {}
        for part in dict.fromkeys(parts):
            self.parts.setdefault(part.tensor, []).append(part)
        self._single = single
        self._sums: dict[str, _ElementSums] = {}

    def add(self, tensor: str, real: Array, error: Array) -> None:
        """Add one sample of one tensor: values and errors, (*stored shape) float64."""
        if tensor not in self.parts:
            return
        zeros = np.zeros(real.shape)
        sums = self._sums.setdefault(tensor, _ElementSums(real.copy(), 0, zeros, zeros.copy(), zeros.copy(), 0.0))
        offsets = real - sums.first
        sums.count += 1
        sums.total += offsets
        sums.squares += offsets**2
        sums.noise += error**2
        sums.peak = max(sums.peak, float(np.abs(real).max(initial=0)))

    def decibels(self, part: TensorPart) -> float | None:
        """The signal-to-noise ratio of a part; None where the float values do not vary, infinite without noise.

        With fewer than 8 samples all elements of a part have one mean.
        """
        sums = self._sums.get(part.tensor)
        if sums is None:
            return None
        power = part.of(np.maximum(sums.squares - sums.total**2 / sums.count, 0))
        signal, noise = float(power.sum()), float(part.of(sums.noise).sum())
        if sums.count < _MIN_SAMPLES:
            means = part.of(sums.first + sums.total / sums.count)
            signal += sums.count * float(((means - means.mean()) ** 2).sum())
        if signal <= sums.count * power.size * (_FLOAT32_ROUNDING * sums.peak) ** 2:
            return None
        return inf if not noise else 10 * log10(signal / noise)

    def signals(self) -> tuple[Signal, ...]:
        """Every part that was measured, as quantize.json has it; null stands for no noise at all.

        Then, of each output, the element with the least signal, where noise is more than that: of logits none is
        (25 dB and more for networks that keep their accuracy), so that no label is asked.
        """
        rows = []
        for part in (p for several in self.parts.values() for p in several):
            decibels = self.decibels(part)
            if decibels is not None:
                shown = None if decibels == inf else round(decibels, 2)
                rows.append(Signal(part.tensor, part.description, shown))
        least: dict[str, tuple[float, TensorPart]] = {}
        for part in self._single:
            sums, decibels = self._sums.get(part.tensor), self.decibels(part)
            if sums is not None and sums.count >= _MIN_SAMPLES and decibels is not None and decibels < LOST_DB:
                least[part.tensor] = min((decibels, part), least.get(part.tensor, (inf, part)), key=lambda x: x[0])
        rows += [Signal(p.tensor, p.description, round(v, 2), LOST_DB) for v, p in least.values()]
        return tuple(rows)


Quantize = Callable[[Graph, Policy, Samples], Quantized]


def alternatives(
    part: TensorPart, graph: Graph, policy: Policy, quantize: Quantize, typical: Samples, probes: Samples
) -> tuple[Attempt, ...]:
    """Other ways to quantize the network, and the decibels that `part` then has.

    `graph` is the float graph, `quantize` quantizes one with a policy and calibration data.
    """
    changes: dict[str, tuple[Graph, Policy, tuple[int, Array] | None]] = {}  # with divisors of an input's channels
    if policy.dtype == "int8":
        changes["quantization: {activations: int16}"] = graph, replace(policy, dtype="int16"), None
    for method in METHODS:
        if method != policy.method:
            changes[f"quantization: {{calibration: {method}}}"] = graph, replace(policy, method=method), None
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, probes.inputs, strict=True)}
    floats = FloatSession(float_model(graph, [part.tensor])).stacked(feeds, [part.tensor])[part.tensor]
    for index, port in enumerate(graph.inputs):
        divisors = _divisors(graph, index, typical)
        if divisors is not None:
            description = (
                f"each channel of input {port.onnx_name!r} divided by its largest magnitude before the network"
            )
            changes[description] = _divide_channels(graph, index, divisors), policy, (index, divisors)
    rows = []
    for description, (changed, changed_policy, divided) in changes.items():
        inputs = [
            s if divided is None else _scale_channels(s, graph, divided[0], 1 / divided[1]) for s in (typical, probes)
        ]
        try:
            result = quantize(changed, changed_policy, inputs[0])
        except ChipfitError:
            continue
        decibels = _signal_after(part, result, inputs[1], floats)
        if decibels is not None:
            rows.append(Attempt(description, None if decibels == inf else round(decibels, 2)))
    return tuple(rows)


def _signal_after(part: TensorPart, result: Quantized, probes: Samples, floats: Array) -> float | None:
    meter, integers = SignalMeter([part]), result.graph.integers(probes.inputs)
    for i in range(probes.count):
        integer_values: dict[str, Array] = {}
        result.graph.run([a[i : i + 1] for a in integers], integer_values.__setitem__)
        if part.tensor not in integer_values:
            return None
        real = floats[i].astype(np.float64)
        meter.add(part.tensor, real, result.params[part.tensor].dequantize(integer_values[part.tensor][0]) - real)
    return meter.decibels(part)


def _divisors(graph: Graph, index: int, typical: Samples) -> Array | None:
    """The largest magnitude of each channel of an input that only linear layers read; None where none would help."""
    port = graph.inputs[index]
    readers = graph.consumers()[port.tensor]
    linear = all(
        isinstance(n, Linear) and graph.tensors[n.weights].shape[-1] == _channels(graph, index) for n in readers
    )
    if not readers or not linear or _channels(graph, index) == 1:
        return None
    stored = np.abs(port.to_stored(typical.inputs[index]))
    largest: Array = stored.reshape(-1, stored.shape[-1]).max(axis=0).astype(np.float64)
    return np.where(largest > 0, largest, 1.0)


def _channels(graph: Graph, index: int) -> int:
    return graph.tensors[graph.inputs[index].tensor].shape[-1]


def _divide_channels(graph: Graph, index: int, divisors: Array) -> Graph:
    """The same network for an input whose channels are divided: the weights that meet them are multiplied."""
    tensors: dict[str, Tensor] = dict(graph.tensors)
    for node in graph.consumers()[graph.inputs[index].tensor]:
        weights = graph.constant(node.inputs[1])
        tensors[node.inputs[1]] = Tensor.constant(node.inputs[1], (weights * divisors).astype(np.float32))
    return replace(graph, tensors=tensors)


def _scale_channels(samples: Samples, graph: Graph, index: int, factors: Array) -> Samples:
    port = graph.inputs[index]
    scaled = port.to_onnx((port.to_stored(samples.inputs[index]) * factors).astype(np.float32))
    inputs = tuple(scaled if i == index else a for i, a in enumerate(samples.inputs))
    return Samples(inputs, samples.labels)
