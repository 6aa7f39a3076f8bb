"""How much signal quantization leaves over its noise: of outputs, and of parts of tensors that go separate ways.

One scale serves a whole tensor: where its parts have unlike ranges the small ones drown, and the whole looks well.
Signal is the power of the float values about the mean of each element, so that answering one constant is no signal.
The float values of an ONNX file that came quantized are those without its rounding; a quantized .tflite has none, and
is not measured.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log10, prod
from typing import Any

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.ops.activation import Activation
from pipeline.ops.concat import Concat
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.linear import Linear
from pipeline.ops.slice import Slice
from pipeline.ops.softmax import Softmax
from pipeline.ops.transpose import Transpose
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import Quantized
from pipeline.quantizing.onnx_runtime import FloatOracle

METHODS = ("mse", "min-max", "percentile")
LOST = 0.0
"""Decibels below which an element says less than its mean does."""
_FEW = 8
"""Samples from which on each element has a mean of its own."""
_ELEMENTS = 64
"""Elements of an output up to which each is looked at, beyond them channels."""
_ROUNDING = 2.0**-22
"""Of the largest magnitude of a tensor: what varies by less is float32's rounding."""


@dataclass(frozen=True)
class Part:
    """Indices `first` to `last` - 1 along `axis` of a stored tensor; all of it without an axis. `said`: for people."""

    tensor: str
    said: str
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


def parts(graph: Graph) -> tuple[Part, ...]:
    """Outputs, what Concat joins, and what Slice (ONNX Split, too) takes out."""
    found = [Part(p.tensor, f"output {p.onnx_name!r}") for p in graph.outputs]
    for node in graph.nodes:
        if isinstance(node, Concat):
            found += _joined(node, graph)
        elif isinstance(node, Slice):
            found.append(Part(node.output, f"the part {node.output!r} of tensor {node.inputs[0]!r}"))
    held = dict.fromkeys(found)
    return tuple(p for p in held if not graph.is_constant(p.tensor))


def _joined(node: Concat, graph: Graph) -> Iterator[Part]:
    ends = [p.onnx_name for p in graph.outputs if p.tensor == node.output]
    whole = f"output {ends[0]!r}" if ends else f"tensor {node.output!r}"
    at = 0
    for name in node.inputs:
        size = graph.tensors[name].shape[node.axis]
        if not graph.is_constant(name):
            yield Part(node.output, f"the part of {whole} that comes from {name!r}", node.axis, at, at + size)
        at += size


def elements(graph: Graph) -> tuple[Part, ...]:
    """Each element of every output of at most 64, else each channel (index of the last stored axis).

    Without those of probabilities (from Softmax or Sigmoid, or joined from such): that of a class which no sample has
    is next to nothing, and so is what is lost of it.
    """
    found: list[Part] = []
    for port in graph.outputs:
        shape = graph.tensors[port.tensor].shape
        if graph.is_constant(port.tensor) or not shape or _probable(graph, port.tensor):
            continue
        if prod(shape) > _ELEMENTS:
            said = [f"channel {i} of output {port.onnx_name!r}" for i in range(shape[-1])]
            found += [Part(port.tensor, name, -1, i, i + 1) for i, name in enumerate(said)]
        elif prod(shape) > 1:
            found += [Part(port.tensor, n, None, i, i + 1, flat=True) for i, n in enumerate(_named(port, shape))]
    return tuple(found)


def _named(port: Port, shape: Sequence[int]) -> list[str]:
    """The elements of an output in stored order, by their indices in the ONNX tensor."""
    order = port.to_onnx(np.arange(prod(shape)).reshape(1, *shape))[0]
    places = [tuple(int(v) for v in np.argwhere(order == i)[0]) for i in range(prod(shape))]
    long = [axis for axis, size in enumerate(order.shape) if size > 1]
    said = [str(p[long[0]]) if len(long) == 1 else str(p) for p in places]
    return [f"element {s} of output {port.onnx_name!r}" for s in said]


def _probable(graph: Graph, tensor: str) -> bool:
    node = next((n for n in graph.nodes if tensor in n.outputs), None)
    if isinstance(node, Reshape | Transpose | Concat):
        return any(_probable(graph, name) for name in graph.activations(node))
    return isinstance(node, Softmax) or (isinstance(node, Activation) and node.function in ("Sigmoid", "HardSigmoid"))


@dataclass(eq=False)
class _Sums:
    """Of each element of a tensor; values count from those of the first sample, so that an offset takes no digits."""

    first: Array
    count: int
    total: Array
    squares: Array
    noise: Array
    peak: float


class Meter:
    """Adds up signal and noise of every element, sample by sample, and tells those of parts."""

    def __init__(self, wanted: Sequence[Part], single: Sequence[Part] = ()) -> None:
        """`single`: elements (see there) of the tensors of `wanted`."""
        self.wanted: dict[str, list[Part]] = {}
        for part in dict.fromkeys(wanted):
            self.wanted.setdefault(part.tensor, []).append(part)
        self._single = single
        self._sums: dict[str, _Sums] = {}

    def add(self, tensor: str, real: Array, error: Array) -> None:
        """One sample of one tensor, (*stored shape) float64 each."""
        if tensor not in self.wanted:
            return
        none = np.zeros(real.shape)
        sums = self._sums.setdefault(tensor, _Sums(real.copy(), 0, none, none.copy(), none.copy(), 0.0))
        moved = real - sums.first
        sums.count += 1
        sums.total += moved
        sums.squares += moved**2
        sums.noise += error**2
        sums.peak = max(sums.peak, float(np.abs(real).max(initial=0)))

    def decibels(self, part: Part) -> float | None:
        """None where the float values do not vary; infinite without noise.

        With fewer than 8 samples all elements of a part have one mean.
        """
        sums = self._sums.get(part.tensor)
        if sums is None:
            return None
        power = part.of(np.maximum(sums.squares - sums.total**2 / sums.count, 0))
        signal, noise = float(power.sum()), float(part.of(sums.noise).sum())
        if sums.count < _FEW:
            means = part.of(sums.first + sums.total / sums.count)
            signal += sums.count * float(((means - means.mean()) ** 2).sum())
        if signal <= sums.count * power.size * (_ROUNDING * sums.peak) ** 2:
            return None
        return inf if not noise else 10 * log10(signal / noise)

    def document(self) -> list[dict[str, Any]]:
        """Every part that was measured, as quantize.json has it; null stands for no noise at all.

        Then, of each output, the element with the least signal, where noise is more than that: of logits none is
        (25 dB and more for networks that keep their accuracy), so that no label is asked.
        """
        rows = []
        for part in (p for several in self.wanted.values() for p in several):
            found = self.decibels(part)
            if found is not None:
                shown = None if found == inf else round(found, 2)
                rows.append({"tensor": part.tensor, "part": part.said, "signal_db": shown})
        least: dict[str, tuple[float, Part]] = {}
        for part in self._single:
            sums, found = self._sums.get(part.tensor), self.decibels(part)
            if sums is not None and sums.count >= _FEW and found is not None and found < LOST:
                least[part.tensor] = min((found, part), least.get(part.tensor, (inf, part)), key=lambda x: x[0])
        rows += [
            {"tensor": p.tensor, "part": p.said, "signal_db": round(v, 2), "limit_db": LOST} for v, p in least.values()
        ]
        return rows


Attempt = Callable[[Graph, Policy, Samples], Quantized]


def tried(
    part: Part, graph: Graph, policy: Policy, attempt: Attempt, typical: Samples, probes: Samples
) -> list[dict[str, Any]]:
    """What else the network could be quantized with, and the decibels that `part` then has.

    `graph` is the float graph, `attempt` quantizes one with a policy and calibration data.
    """
    others: dict[str, tuple[Graph, Policy, tuple[int, Array] | None]] = {}  # with divisors of an input's channels
    if policy.dtype == "int8":
        others["quantization: {activations: int16}"] = graph, replace(policy, dtype="int16"), None
    for method in METHODS:
        if method != policy.method:
            others[f"quantization: {{calibration: {method}}}"] = graph, replace(policy, method=method), None
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, probes.inputs, strict=True)}
    floats = FloatOracle(float_model(graph, [part.tensor])).stacked(feeds, [part.tensor])[part.tensor]
    for at, port in enumerate(graph.inputs):
        divisors = _divisors(graph, at, typical)
        if divisors is not None:
            said = f"each channel of input {port.onnx_name!r} divided by its largest magnitude before the network"
            others[said] = _divided(graph, at, divisors), policy, (at, divisors)
    rows = []
    for said, (changed, how, divided) in others.items():
        given = [s if divided is None else _scaled(s, graph, divided[0], 1 / divided[1]) for s in (typical, probes)]
        try:
            made = attempt(changed, how, given[0])
        except ChipfitError:
            continue
        found = _reached(part, made, given[1], floats)
        if found is not None:
            rows.append({"what": said, "signal_db": None if found == inf else round(found, 2)})
    return rows


def _reached(part: Part, made: Quantized, probes: Samples, floats: Array) -> float | None:
    meter, integers = Meter([part]), made.graph.integers(probes.inputs)
    for i in range(probes.count):
        kept: dict[str, Array] = {}
        made.graph.run([a[i : i + 1] for a in integers], kept.__setitem__)
        if part.tensor not in kept:
            return None
        real = floats[i].astype(np.float64)
        meter.add(part.tensor, real, made.params[part.tensor].dequantize(kept[part.tensor][0]) - real)
    return meter.decibels(part)


def _divisors(graph: Graph, at: int, typical: Samples) -> Array | None:
    """The largest magnitude of each channel of an input that only linear layers read; None where none would help."""
    port = graph.inputs[at]
    readers = graph.consumers()[port.tensor]
    whole = all(isinstance(n, Linear) and graph.tensors[n.weights].shape[-1] == _channels(graph, at) for n in readers)
    if not readers or not whole or _channels(graph, at) == 1:
        return None
    stored = np.abs(port.to_stored(typical.inputs[at]))
    largest: Array = stored.reshape(-1, stored.shape[-1]).max(axis=0).astype(np.float64)
    return np.where(largest > 0, largest, 1.0)


def _channels(graph: Graph, at: int) -> int:
    return graph.tensors[graph.inputs[at].tensor].shape[-1]


def _divided(graph: Graph, at: int, divisors: Array) -> Graph:
    """The same network for an input whose channels are divided: the weights that meet them are multiplied."""
    tensors: dict[str, Tensor] = dict(graph.tensors)
    for node in graph.consumers()[graph.inputs[at].tensor]:
        weights = graph.constant(node.inputs[1])
        tensors[node.inputs[1]] = Tensor.constant(node.inputs[1], (weights * divisors).astype(np.float32))
    return replace(graph, tensors=tensors)


def _scaled(samples: Samples, graph: Graph, at: int, factors: Array) -> Samples:
    port = graph.inputs[at]
    moved = port.to_onnx((port.to_stored(samples.inputs[at]) * factors).astype(np.float32))
    inputs = tuple(moved if i == at else a for i, a in enumerate(samples.inputs))
    return Samples(inputs, samples.labels)


def worst(rows: Sequence[Mapping[str, Any]], limit: float | None) -> Mapping[str, Any] | None:
    """The part with the least signal, when that is below `limit` decibels."""
    known = [r for r in rows if r["signal_db"] is not None]
    least = min(known, key=lambda r: float(r["signal_db"]), default=None)
    return None if least is None or limit is None or least["signal_db"] >= limit else least
