"""What an operator's `quantize` facet speaks to: parameters in, integer nodes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor
from pipeline.ops.affine import Affine, solve_affine
from pipeline.ops.lookup import BEND, FLIP, LARGEST, Interpolate, Lookup
from pipeline.quantizing.input_statistics import Moments
from pipeline.quantizing.linear_integers import Changed, Solved, solve, solve_wide
from pipeline.quantizing.low_bit_weights import Narrow
from pipeline.quantizing.weight_rounding import LEAST_SCALE, Prescribed, Rounding

_NUDGE = 1e-9  # rounds a tie the same way whichever way a platform's exp or tanh errs in its last bit
_ONE_TYPE = "Give the activations around it one type: in quantize_static one activation_type, without overrides."


@dataclass(frozen=True)
class Proof:
    """That a layer's accumulator cannot overflow: the largest magnitude it can reach, whatever the input."""

    node: str
    bound: int
    requantizer: str
    changed: Changed | None = None
    """Channels that are not what their weights would make of them."""


class Quantizer:
    """Collects the integer graph, the quantized constants and the proofs."""

    def __init__(
        self,
        graph: Graph,
        params: Mapping[str, QuantParams],
        per_channel: bool,
        requantizer: str,
        spans: Mapping[str, tuple[float, float]],
        widths: Widths,
        seen: Mapping[str, Moments],
    ) -> None:
        """`spans`: the values that tensors were seen to take, `seen`: the inputs of layers; where observed."""
        self.graph, self.per_channel, self.requantizer, self.spans = graph, per_channel, requantizer, spans
        self.widths, self.seen = widths, seen
        self.out = GraphBuilder(graph.name)
        self.constants: dict[str, Tensor] = {}
        self.proofs: list[Proof] = []
        self._params = dict(params)
        self._prescribed = {t.quant for t in graph.tensors.values() if t.data is None}
        self.inputs = [self._input(p) for p in graph.inputs]

    def _input(self, port: Port) -> Port:
        tensor, quant = self.graph.tensors[port.tensor], self.params(port.tensor)
        if not port.unsigned:
            self.out.add(replace(tensor, dtype=quant.dtype, quant=quant))
            return port
        stored = self._unsigned(port, tensor)
        self._flip(stored, tensor.name, quant)
        return replace(port, tensor=stored)

    def outputs(self) -> list[Port]:
        """The output ports, once every node is there."""
        made = []
        for port in self.graph.outputs:
            if port.unsigned:
                stored = self._unsigned(port, self.out.tensors[port.tensor])
                self._flip(port.tensor, stored, self.out.tensors[stored].quant)
                port = replace(port, tensor=stored)
            made.append(port)
        return made

    def _unsigned(self, port: Port, tensor: Tensor) -> str:
        """The uint8 twin of a port's int8 tensor."""
        quant = self.params(port.tensor)
        raw = replace(quant, zero_point=quant.zero_point + 128, dtype="uint8")
        name = self.fresh(f"{tensor.name}.uint8")  # an input that is an output has two
        return self.out.add(Tensor(name, tensor.shape, "uint8", None, raw))

    def _flip(self, x: str, y: str, quant: QuantParams | None) -> None:
        table = self.constant(f"{y}.flip", FLIP)
        node = Lookup(name=f"{y}.flip", inputs=(x, table), outputs=(y,))
        if y in self.out.tensors:
            self.out.nodes.append(node)
        else:
            self.out.append(node, "int8", quant)

    def refuse(self, node: Node, why: str, hint: str = "") -> NoReturn:
        """Say that a layer cannot become integers."""
        raise ChipfitError(f"layer {node.name!r} ({type(node).__name__}): {why}", hint=hint)

    def params(self, name: str) -> QuantParams:
        return self._params[name]

    def fresh(self, hint: str) -> str:
        """A name of which the integer graph has no other."""
        return self.out.fresh(hint)

    def constant(self, hint: str, data: Array) -> str:
        return self.out.constant(hint, data)

    def append(self, node: Node, params: QuantParams | None = None, *, dtype: str = "int8") -> str:
        """Append a node whose output has `params`, or those chosen for it; `dtype` is for an output without any."""
        params = params or self._params.get(node.output)
        return self.out.append(node, params.dtype if params else dtype, params)

    def keep(self, node: Node) -> None:
        """An operator that only moves values: the same node on integers, at the scale of what it moves."""
        source = self.out.tensors[node.inputs[0]]
        target = self._params.get(node.output)
        if source.quant is None or target is None or source.quant == target:
            self.out.append(node, source.dtype, source.quant)
            return
        made = self.fresh(f"{node.output}.moved")
        self.out.append(node.renamed({node.output: made}), source.dtype, source.quant)
        self.requantize(made, source.quant, node.output, target)

    def clamp(self, node: ClampedNode, params: QuantParams | None = None) -> tuple[int, int]:
        """The node's clamp as integers of its output, within its type."""
        params = params or self.params(node.output)
        with np.errstate(over="ignore"):
            bounds = np.array([node.low, node.high]).astype(np.float32)
        low, high = params.quantize(bounds).tolist()
        return low, high

    def table(self, node: Node, function: Callable[[Array], Array]) -> None:
        """`node` as a lookup of `function` (float64 to float64): every int8 value, or lines between 513 of int16."""
        x = node.inputs[0]
        self._lookup(node.name, x, self.params(x), node.output, function, self.params(node.output))

    def requantized(self, name: str, target: QuantParams) -> str:
        """`name` (activation or constant) with exactly the parameters `target`."""
        if self.graph.is_constant(name):
            data = target.quantize(self.graph.constant(name))
            return self.out.constant(f"{name}.{target.dtype}", data, target)
        if self.params(name) == target:
            return name
        made = self.fresh(f"{name}.requantized")
        self.requantize(name, self.params(name), made, target)
        return made

    def requantize(self, x: str, source: QuantParams, y: str, target: QuantParams) -> None:
        """The same real values with other parameters."""
        if source.dtype == target.dtype == "int16":
            self.scaled(y, x, source, y, target, target.limits)
            return
        self._lookup(y, x, source, y, lambda v: v, target)

    def scaled(
        self, label: str, x: str, source: QuantParams, y: str, target: QuantParams, limits: tuple[int, int]
    ) -> None:
        """The same real values with other parameters, clamped to `limits`: int16, without the error of a table."""
        solved = solve_affine(np.array([source.scale[0] / target.scale[0]]), np.zeros(1), source, target)
        if solved is None:
            raise ChipfitError(f"layer {label!r}: its scales are too far apart")
        scale, offset, shift = solved
        names = (self.constant(f"{label}.scale", scale), self.constant(f"{label}.offset", offset))
        node = Affine(
            name=label, inputs=(x, *names), outputs=(y,), axis=0, shift=shift, bottom=limits[0], top=limits[1]
        )
        self.out.append(node, target.dtype, target)

    def _lookup(
        self, label: str, x: str, source: QuantParams, y: str, function: Callable[[Array], Array], target: QuantParams
    ) -> None:
        if source.dtype != target.dtype:
            raise ChipfitError(f"layer {label!r} goes from {source.dtype} to {target.dtype}", hint=_ONE_TYPE)
        small = source.dtype == "int8"
        integers = np.arange(-128, 128) if small else np.arange(-32768, 32769, 128)
        held = source.dequantize(integers)
        prescribed = target in self._prescribed
        if prescribed:
            held = held.astype(np.float32).astype(np.float64)  # as DequantizeLinear says it
        real = np.nan_to_num(function(held), posinf=np.inf, neginf=-np.inf)
        rounded = np.floor(real / target.scale[0] + target.zero_point + 0.5 + _NUDGE)
        if prescribed:  # as QuantizeLinear rounds, half to even
            rounded = np.rint(real.astype(np.float32) / np.float32(target.scale[0])) + target.zero_point
        if small:
            name = self.constant(f"{label}.table", np.clip(rounded, *target.limits).astype(target.dtype))
            self.out.append(Lookup(name=label, inputs=(x, name), outputs=(y,)), target.dtype, target)
            return
        table = np.clip(rounded, -LARGEST, LARGEST).astype(np.int32)
        if not _follows(table, function, source, target, self.spans.get(x)):
            raise ChipfitError(
                f"layer {label!r}: its function bends too sharply for straight lines between 513 values",
                hint="Use activations: int8 for this network.",
            )
        name = self.constant(f"{label}.table", table)
        self.out.append(Interpolate(name=label, inputs=(x, name), outputs=(y,)), target.dtype, target)

    def operand(self, name: str) -> str:
        """An operand of a two-input operator: a constant becomes integers with a scale of its own."""
        if not self.graph.is_constant(name):
            return name
        data, pinned = self.graph.constant(name), self.graph.tensors[name].quant
        dtype = next((p.dtype for p in self._params.values()), "int8")
        peak = 127.0 if dtype == "int8" else 32767.0
        largest = float(np.abs(data).max(initial=0)) or 1.0
        quant = QuantParams((max(largest / peak, LEAST_SCALE),), 0, None, dtype)
        if pinned is not None and pinned.axis is None:
            quant = pinned if pinned.dtype == dtype else _recentred(pinned, data, dtype) or quant
        made = self.out.constant(f"{name}.{quant.dtype}", quant.quantize(data), quant)
        self.constants[name] = self.out.tensors[made]
        self._params[made] = quant
        return made

    def linear(self, node: ClampedNode) -> tuple[tuple[str, ...], Rescale]:
        """The integer inputs and the requantizer of a node whose inputs are (x, weights (out, ...), bias (out,))."""
        x, kernel_name, bias_name = node.inputs
        kernel = self.graph.constant(kernel_name).astype(np.float64)
        solved = self._solved(node, kernel.reshape(len(kernel), -1))
        y = self.params(node.output)
        # Only a channel without weights has a scale that float32 cannot say.
        scales = np.clip(solved.scales, LEAST_SCALE, 2.0**127).tolist()
        weights = self.out.constant(
            kernel_name,
            solved.weights.reshape(kernel.shape),
            QuantParams(tuple(scales), 0, 0, solved.weights.dtype.name),
        )
        steps = tuple((solved.scales * self.params(x).scale[0]).tolist())
        bias = self.out.constant(bias_name, solved.bias, QuantParams(steps, 0, 0, solved.bias.dtype.name))
        self.constants[kernel_name] = self.out.tensors[weights]
        self.constants[bias_name] = self.out.tensors[bias]
        shift = self.constant(f"{node.name}.shift", solved.shift)
        multiplier = None
        if solved.multiplier is not None:
            multiplier = self.constant(f"{node.name}.multiplier", solved.multiplier)
        low, high = self.clamp(node)
        rescale = Rescale(shift, multiplier, y.zero_point, low, high, solved.kind)
        self.proofs.append(Proof(node.name, solved.bound, rescale.kind, solved.changed))
        return (x, weights, bias, shift, *(() if multiplier is None else (multiplier,))), rescale

    def _solved(self, node: ClampedNode, kernel: Array) -> Solved:
        source, kernel_name, bias_name = node.inputs
        bias = self.graph.constant(bias_name).astype(np.float64)
        x, y = self.params(source), self.params(node.output)
        pinned = self.graph.tensors[kernel_name].quant
        if x.dtype != y.dtype:
            self.refuse(node, f"goes from {x.dtype} to {y.dtype}", _ONE_TYPE)
        bits = self.widths.bits(node.name)
        rounding = Rounding(kernel, bias, self.per_channel)
        if pinned is not None:
            rounding = Prescribed(kernel, bias, pinned)
        elif bits < 8:
            rounding = Narrow(kernel, bias, self.per_channel, bits, self.seen.get(node.name))
        solved = solve_wide(rounding, x, y) if x.dtype == "int16" else solve(rounding, x, y, self.requantizer)
        if solved is None:
            raise ChipfitError(
                f"layer {node.name!r} multiplies its input up by more than a shift can say",
                hint="Write quantization.requantize: auto or multiplier.",
            )
        if x.dtype == solved.weights.dtype == "int16":
            lowest, highest = int(solved.weights.min()), int(solved.weights.max())
            self.refuse(
                node,
                f"its weights less their zero points are {lowest} to {highest}; int16 activations take int8 weights",
                "In quantize_static write weight_type=QuantType.QInt8 and extra_options={'WeightSymmetric': True}.",
            )
        changed = solved.changed
        if pinned is not None and changed is not None and changed.largest_error >= 1:
            raise ChipfitError(
                f"layer {node.name!r}, output channel {changed.worst}: 32 bits cannot hold its sums at the scales of "
                f"the model file; at others it would be off by up to {changed.largest_error:.3g} output steps",
                hint="Quantize it again with a larger weight scale for that channel, or a larger output scale.",
            )
        return solved


def _recentred(quant: QuantParams, data: Array, dtype: str) -> QuantParams | None:
    """The same steps with a zero point that brings `data` into `dtype`: integers less their zero point may be wider."""
    integers, made = quant.quantize(data).astype(np.int64) - quant.zero_point, replace(quant, dtype=dtype)
    least, most = made.limits[0] - int(integers.min(initial=0)), made.limits[1] - int(integers.max(initial=0))
    return replace(made, zero_point=int(np.clip(0, least, most))) if least <= most else None


def _follows(
    table: Array,
    function: Callable[[Array], Array],
    source: QuantParams,
    target: QuantParams,
    span: tuple[float, float] | None,
) -> bool:
    """Whether straight lines between the table's values stay within BEND steps of the function, where x was seen."""
    x = np.arange(-32768, 32768)
    real = source.dequantize(x)
    at = x + 32768
    line = np.clip(table[at >> 7] + (table[(at >> 7) + 1] - table[at >> 7]) * (at & 127) / 128, *target.limits)
    exact = np.nan_to_num(function(real), posinf=np.inf, neginf=-np.inf) / target.scale[0] + target.zero_point
    off = np.abs(np.clip(exact, *target.limits) - line)
    return bool(off[(real >= span[0]) & (real <= span[1])].max(initial=0) <= BEND if span else off.max() <= BEND)
