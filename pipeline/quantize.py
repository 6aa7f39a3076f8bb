"""Float graph in, integer graph out: one scale per activation, int8 weights, int32 bias, proven accumulators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.builder import GraphBuilder
from pipeline.calibrate import Observed, Policy, choose, merged
from pipeline.errors import ChipfitError
from pipeline.fixedpoint import (
    INT32_MAX,
    Rescale,
    accumulator_bound,
    folded_bias,
    largest_shift,
    quantize_multiplier,
    rounding_constant,
)
from pipeline.ir import Array, ClampedNode, Graph, Node, QuantParams, Tensor
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.lookup import Lookup

_NUDGE = 1e-9  # rounds a tie the same way whichever way a platform's exp or tanh errs in its last bit


@dataclass(frozen=True)
class Proof:
    """That a layer's accumulator cannot overflow: the largest magnitude it can reach, whatever the input."""

    node: str
    bound: int
    requantizer: str


@dataclass(frozen=True, eq=False)
class Quantized:
    """The integer graph, the parameters of every float activation, the quantized constants, and the proofs."""

    graph: Graph
    params: Mapping[str, QuantParams]
    constants: Mapping[str, Tensor]
    proofs: tuple[Proof, ...]


def quantize(
    graph: Graph, observed: Mapping[str, Observed], policy: Policy, *, per_channel: bool, requantizer: str
) -> Quantized:
    """Post-training quantization.

    `requantizer` is `shift` or `multiplier`, or `auto`: shift wherever it can say the layer's scale. Raises
    ChipfitError when `shift` is demanded and a layer's output is scaled up.
    """
    params = activation_params(graph, observed, policy)
    quantizer = Quantizer(graph, params, per_channel, requantizer)
    for node in graph.nodes:
        node.quantize(quantizer)
    integer = quantizer.out.build(graph.inputs, graph.outputs, graph.opset)
    integer.verify(integer=True)
    return Quantized(integer, params, quantizer.constants, tuple(quantizer.proofs))


def proofs(graph: Graph) -> tuple[Proof, ...]:
    """The accumulator bound of every linear layer of an integer graph."""
    made = []
    for node in graph.nodes:
        if isinstance(node, Conv | Dense) and node.rescale is not None:
            x = graph.tensors[node.inputs[0]]
            assert x.quant is not None
            weights = graph.constant(node.weights)
            weights = weights.reshape(len(weights), -1)
            folded = folded_bias(weights, graph.constant(node.bias), x.quant.zero_point)
            made.append(Proof(node.name, int(accumulator_bound(weights, folded).max(initial=0)), node.rescale.kind))
    return tuple(made)


def activation_params(graph: Graph, observed: Mapping[str, Observed], policy: Policy) -> dict[str, QuantParams]:
    """One scale and zero point for every float activation; tied tensors share theirs."""
    leader = {n: n for n in observed}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in graph.nodes:
        for a, b in node.ties():
            if a in leader and b in leader:
                leader[find(b)] = find(a)
    groups: dict[str, list[str]] = {}
    for name in observed:
        groups.setdefault(find(name), []).append(name)
    fixed = {find(n.output): f for n in graph.nodes if n.output in leader and (f := n.fixed_output()) is not None}
    params: dict[str, QuantParams] = {}
    for root, members in groups.items():
        shared = fixed.get(root) or choose(merged([observed[m] for m in members]), policy)
        params |= dict.fromkeys(members, shared)
    return params


class Quantizer:
    """What an operator's `quantize` facet speaks to: parameters in, integer nodes out."""

    def __init__(self, graph: Graph, params: Mapping[str, QuantParams], per_channel: bool, requantizer: str) -> None:
        self.graph, self.per_channel, self.requantizer = graph, per_channel, requantizer
        self.out = GraphBuilder(graph.name)
        self.constants: dict[str, Tensor] = {}
        self.proofs: list[Proof] = []
        self._params = dict(params)
        for port in graph.inputs:
            tensor = graph.tensors[port.tensor]
            self.out.add(replace(tensor, dtype="int8", quant=params[port.tensor]))

    def params(self, name: str) -> QuantParams:
        return self._params[name]

    def constant(self, hint: str, data: Array) -> str:
        return self.out.constant(hint, data)

    def append(self, node: Node, dtype: str = "int8") -> str:
        return self.out.append(node, dtype, self._params.get(node.output))

    def keep(self, node: Node) -> None:
        """An operator that only moves values: the same node on integers."""
        self.append(node, self.out.tensors[node.inputs[0]].dtype)

    def clamp(self, node: ClampedNode) -> tuple[int, int]:
        """The node's clamp as integers of its output, within int8."""
        params = self.params(node.output)
        low, high = (
            int(np.clip(np.rint(b / params.scale[0]) + params.zero_point, -128, 127)) for b in (node.low, node.high)
        )
        return low, high

    def table(self, node: Node, function: Callable[[Array], Array]) -> None:
        """`node` as a lookup of `function` (float64 to float64) at every int8 value."""
        self._lookup(node.name, node.inputs[0], node.output, function, self.params(node.output))

    def requantized(self, name: str, target: QuantParams) -> str:
        """`name` (activation or constant) with exactly the parameters `target`."""
        if self.graph.is_constant(name):
            data = target.quantize(self.graph.constant(name)).astype(np.int8)
            return self.out.constant(f"{name}.int8", data, target)
        if self.params(name) == target:
            return name
        made = self.out.fresh(f"{name}.requantized")
        return self._lookup(made, name, made, lambda x: x, target)

    def _lookup(self, label: str, x: str, y: str, function: Callable[[Array], Array], target: QuantParams) -> str:
        real = function(self.params(x).dequantize(np.arange(-128, 128)))
        integer = np.floor(real / target.scale[0] + target.zero_point + 0.5 + _NUDGE)
        table = self.constant(f"{label}.table", np.clip(integer, -128, 127).astype(np.int8))
        return self.out.append(Lookup(name=label, inputs=(x, table), outputs=(y,)), "int8", target)

    def operand(self, name: str) -> str:
        """An operand of a two-input operator: a constant becomes int8 with a scale of its own."""
        if not self.graph.is_constant(name):
            return name
        data = self.graph.constant(name)
        quant = QuantParams((max(float(np.abs(data).max(initial=0)), 1e-8) / 127.0,), 0)
        made = self.out.constant(f"{name}.int8", quant.quantize(data).astype(np.int8), quant)
        self.constants[name] = self.out.tensors[made]
        self._params[made] = quant
        return made

    def linear(self, node: Conv | Dense) -> None:
        """A convolution or dense layer: weights, bias and requantizer."""
        kernel = self.graph.constant(node.weights).astype(np.float64)
        bias = self.graph.constant(node.bias).astype(np.float64)
        x, y = self.params(node.inputs[0]), self.params(node.output)
        solved = _solve(kernel.reshape(len(kernel), -1), bias, x, y, self.per_channel, self.requantizer)
        if solved is None:
            raise ChipfitError(
                f"layer {node.name!r} multiplies its input up by more than a shift can say",
                hint="Write quantization.requantize: auto or multiplier.",
            )
        axis = QuantParams(tuple(float(s) for s in solved.scales), 0, 0)
        weights = self.out.constant(node.weights, solved.weights.reshape(kernel.shape), axis)
        accumulated = QuantParams(tuple(float(s * x.scale[0]) for s in solved.scales), 0, 0)
        biased = self.out.constant(node.bias, solved.bias, accumulated)
        self.constants[node.weights] = self.out.tensors[weights]
        self.constants[node.bias] = self.out.tensors[biased]
        shift = self.constant(f"{node.name}.shift", solved.shift)
        multiplier = None
        if solved.multiplier is not None:
            multiplier = self.constant(f"{node.name}.multiplier", solved.multiplier)
        low, high = self.clamp(node)
        rescale = Rescale(shift, multiplier, y.zero_point, low, high)
        extra = (shift,) if multiplier is None else (shift, multiplier)
        self.append(replace(node, inputs=(node.inputs[0], weights, biased, *extra), rescale=rescale))
        self.proofs.append(Proof(node.name, solved.bound, rescale.kind))


@dataclass(frozen=True, eq=False)
class _Solved:
    weights: Array
    bias: Array
    scales: Array
    shift: Array
    multiplier: Array | None
    bound: int


def _solve(
    kernel: Array, bias: Array, x: QuantParams, y: QuantParams, per_channel: bool, requantizer: str
) -> _Solved | None:
    """Integers for y = kernel (out, taps) * x + bias, or None when `shift` is demanded and cannot say it."""
    peaks = np.abs(kernel).max(axis=1, initial=0)
    peaks = peaks if per_channel else np.full_like(peaks, peaks.max(initial=0))
    ratio = y.scale[0] / x.scale[0]
    if requantizer in ("shift", "auto"):
        shifts = np.array([largest_shift(ratio, float(p)) for p in peaks], np.int64)
        while shifts.min() >= 0:
            scales = ratio * 2.0**-shifts
            solved = _integers(kernel, bias, x, scales)
            if solved is not None:
                folded = folded_bias(solved[0], solved[1], x.zero_point) + rounding_constant(shifts, y.zero_point)
                bounds = accumulator_bound(solved[0], folded)
                if bounds.max() <= INT32_MAX:
                    return _Solved(*solved, scales, shifts.astype(np.int8), None, int(bounds.max()))
                shifts = shifts - (bounds > INT32_MAX)
            else:
                shifts = shifts - 1
        if requantizer == "shift":
            return None
    scales = np.maximum(peaks, 1e-12) / 127.0
    while True:
        solved = _integers(kernel, bias, x, scales)
        if solved is not None:
            bounds = accumulator_bound(solved[0], folded_bias(solved[0], solved[1], x.zero_point))
            if bounds.max() <= INT32_MAX:
                break
        scales = scales * 2.0
    pairs = [quantize_multiplier(float(s) / ratio) for s in scales]
    multipliers, shifts = (np.array(v) for v in zip(*pairs, strict=True))
    # A left shift of the accumulator must stay in 32 bits too: coarser weights until it does.
    if (bounds.astype(object) * 2 ** np.maximum(shifts, 0).astype(object)).max() > INT32_MAX:
        return _solve(kernel, bias, x, replace(y, scale=(y.scale[0] * 2,)), per_channel, requantizer)
    return _Solved(*solved, scales, shifts.astype(np.int8), multipliers.astype(np.int32), int(bounds.max()))


def _integers(kernel: Array, bias: Array, x: QuantParams, scales: Array) -> tuple[Array, Array] | None:
    """int8 weights and int32 bias for these weight scales; None when the bias does not fit 32 bits."""
    weights = np.clip(np.rint(kernel / scales[:, None]), -127, 127).astype(np.int8)
    wide = np.rint(bias / (scales * x.scale[0]))
    if np.abs(wide).max(initial=0) > INT32_MAX // 2:
        return None
    return weights, wide.astype(np.int32)
