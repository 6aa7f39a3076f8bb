"""The `NodeQuantizer` that an operator's `quantize` facet calls: parameters in, integer nodes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from pipeline.facts.decisions import LayerDecision
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor
from pipeline.ops.affine import Affine, affine_integers
from pipeline.ops.lookup import BEND, FLIP, LARGEST, Interpolate, Lookup
from pipeline.quantizing.input_statistics import InputStatistics
from pipeline.quantizing.linear_integers import ChangedChannels, LinearIntegers, quantize_linear, quantize_linear_int16
from pipeline.quantizing.locked import LockedRounding, layer_decision, locked_changes
from pipeline.quantizing.low_bit_weights import LowBitRounding
from pipeline.quantizing.weight_rounding import LEAST_SCALE, PrescribedRounding, WeightRounding

_TIE_MARGIN = 1e-9  # rounds a tie the same way whichever way a platform's exp or tanh errs in its last bit
_ONE_DTYPE_HINT = "Give the activations around it one type: in quantize_static one activation_type, without overrides."


@dataclass(frozen=True)
class AccumulatorProof:
    """The proof that a layer's accumulator cannot overflow: `bound` is its largest magnitude, whatever the input."""

    node: str
    bound: int
    requantizer: str
    changed: ChangedChannels | None = None
    """Channels that differ from their weights, if any."""


class Quantizer:
    """Collects the integer graph, the quantized constants and the proofs."""

    def __init__(
        self,
        graph: Graph,
        params: Mapping[str, QuantParams],
        *,
        per_channel: bool,
        requantizer: str,
        ranges: Mapping[str, tuple[float, float]],
        widths: Widths,
        input_statistics: Mapping[str, InputStatistics],
        locked: Mapping[str, LayerDecision] | None = None,
    ) -> None:
        """`ranges`: least and largest calibration value by tensor; `input_statistics`: of layers, by name.

        `locked`: what to take, by layer, instead of deciding it.
        """
        self.graph, self.per_channel, self.requantizer, self.ranges = graph, per_channel, requantizer, ranges
        self.widths, self.input_statistics = widths, input_statistics
        self.out = GraphBuilder(graph.name)
        self.constants: dict[str, Tensor] = {}
        self.proofs: list[AccumulatorProof] = []
        self.locked = locked
        self.decisions: dict[str, LayerDecision] = {}
        self._params = dict(params)
        self._prescribed = {t.quant for t in graph.tensors.values() if t.data is None}
        self.inputs = [self._input(p) for p in graph.inputs]

    def _input(self, port: Port) -> Port:
        tensor, quant = self.graph.tensors[port.tensor], self.params(port.tensor)
        if not port.unsigned:
            self.out.add(replace(tensor, dtype=quant.dtype, quant=quant))
            return port
        twin = self._uint8_twin(port, tensor)
        self._flip_sign_bit(twin, tensor.name, quant)
        return replace(port, tensor=twin)

    def outputs(self) -> list[Port]:
        """The output ports; to be asked once every node is appended."""
        ports = []
        for port in self.graph.outputs:
            if port.unsigned:
                twin = self._uint8_twin(port, self.out.tensors[port.tensor])
                self._flip_sign_bit(port.tensor, twin, self.out.tensors[twin].quant)
                port = replace(port, tensor=twin)
            ports.append(port)
        return ports

    def _uint8_twin(self, port: Port, tensor: Tensor) -> str:
        """Add the uint8 twin of a port's int8 tensor; its name."""
        quant = self.params(port.tensor)
        raw = replace(quant, zero_point=quant.zero_point + 128, dtype="uint8")
        name = self.fresh(f"{tensor.name}.uint8")  # an input that is an output has two
        return self.out.add(Tensor(name, tensor.shape, "uint8", None, raw))

    def _flip_sign_bit(self, x: str, y: str, quant: QuantParams | None) -> None:
        table = self.constant(f"{y}.flip", FLIP)
        node = Lookup(name=f"{y}.flip", inputs=(x, table), outputs=(y,))
        if y in self.out.tensors:
            self.out.nodes.append(node)
        else:
            self.out.append(node, "int8", quant)

    def refuse(self, node: Node, why: str, hint: str = "") -> NoReturn:
        """Raise ChipfitError: the layer cannot become integers."""
        raise ChipfitError(f"layer {node.name!r} ({type(node).__name__}): {why}", hint=hint)

    def params(self, name: str) -> QuantParams:
        return self._params[name]

    def fresh(self, hint: str) -> str:
        """A name that no other tensor of the integer graph has."""
        return self.out.fresh(hint)

    def constant(self, hint: str, data: Array) -> str:
        return self.out.constant(hint, data)

    def append(self, node: Node, params: QuantParams | None = None, *, dtype: str = "int8") -> str:
        """Append a node whose output has `params`, or those chosen for it; `dtype` is for an output without any."""
        params = params or self._params.get(node.output)
        return self.out.append(node, params.dtype if params else dtype, params)

    def pass_through(self, node: Node) -> None:
        """Append an operator that only moves values: the same node on integers, at the scale of what it moves."""
        source = self.out.tensors[node.inputs[0]]
        target = self._params.get(node.output)
        if source.quant is None or target is None or source.quant == target:
            self.out.append(node, source.dtype, source.quant)
            return
        unscaled = self.fresh(f"{node.output}.moved")
        self.out.append(node.renamed({node.output: unscaled}), source.dtype, source.quant)
        self.requantize(unscaled, source.quant, node.output, target)

    def clamp(self, node: ClampedNode, params: QuantParams | None = None) -> tuple[int, int]:
        """The node's clamp as integers of its output, within its type."""
        params = params or self.params(node.output)
        with np.errstate(over="ignore"):
            bounds = np.array([node.low, node.high]).astype(np.float32)
        low, high = params.quantize(bounds).tolist()
        return low, high

    def append_function(self, node: Node, function: Callable[[Array], Array]) -> None:
        """Append `node` as a table of `function` (float64 to float64): all of int8, or lines between 513 of int16."""
        x = node.inputs[0]
        self._append_lookup(node.name, x, self.params(x), node.output, function, self.params(node.output))

    def with_params(self, name: str, target: QuantParams) -> str:
        """The name of `name` (activation or constant) with exactly the parameters `target`; appends what that takes."""
        if self.graph.is_constant(name):
            data = target.quantize(self.graph.constant(name))
            return self.out.constant(f"{name}.{target.dtype}", data, target)
        if self.params(name) == target:
            return name
        requantized = self.fresh(f"{name}.requantized")
        self.requantize(name, self.params(name), requantized, target)
        return requantized

    def requantize(self, x: str, source: QuantParams, y: str, target: QuantParams) -> None:
        """Append what gives the real values of `x` other parameters."""
        if source.dtype == target.dtype == "int16":
            self.append_rescale(y, x, source, y, target, target.limits)
            return
        self._append_lookup(y, x, source, y, lambda v: v, target)

    def append_rescale(
        self, label: str, x: str, source: QuantParams, y: str, target: QuantParams, limits: tuple[int, int]
    ) -> None:
        """Append what gives int16 `x` other parameters and clamps it to `limits`, without the error of a table."""
        integers = affine_integers(np.array([source.scale[0] / target.scale[0]]), np.zeros(1), source, target)
        if integers is None:
            raise ChipfitError(f"layer {label!r}: its scales are too far apart")
        scale, offset, shift = integers
        names = (self.constant(f"{label}.scale", scale), self.constant(f"{label}.offset", offset))
        node = Affine(
            name=label, inputs=(x, *names), outputs=(y,), axis=0, shift=shift, bottom=limits[0], top=limits[1]
        )
        self.out.append(node, target.dtype, target)

    def _append_lookup(
        self, label: str, x: str, source: QuantParams, y: str, function: Callable[[Array], Array], target: QuantParams
    ) -> None:
        if source.dtype != target.dtype:
            raise ChipfitError(f"layer {label!r} goes from {source.dtype} to {target.dtype}", hint=_ONE_DTYPE_HINT)
        is_int8 = source.dtype == "int8"
        integers = np.arange(-128, 128) if is_int8 else np.arange(-32768, 32769, 128)
        inputs = source.dequantize(integers)
        prescribed = target in self._prescribed
        if prescribed:
            inputs = inputs.astype(np.float32).astype(np.float64)  # as DequantizeLinear says it
        outputs = np.nan_to_num(function(inputs), posinf=np.inf, neginf=-np.inf)
        rounded = np.floor(outputs / target.scale[0] + target.zero_point + 0.5 + _TIE_MARGIN)
        if prescribed:  # as QuantizeLinear rounds, half to even
            rounded = np.rint(outputs.astype(np.float32) / np.float32(target.scale[0])) + target.zero_point
        if is_int8:
            name = self.constant(f"{label}.table", np.clip(rounded, *target.limits).astype(target.dtype))
            self.out.append(Lookup(name=label, inputs=(x, name), outputs=(y,)), target.dtype, target)
            return
        table = np.clip(rounded, -LARGEST, LARGEST).astype(np.int32)
        if not _lines_follow(table, function, source, target, self.ranges.get(x)):
            raise ChipfitError(
                f"layer {label!r}: its function bends too sharply for straight lines between 513 values",
                hint="Use activations: int8 for this network.",
            )
        name = self.constant(f"{label}.table", table)
        self.out.append(Interpolate(name=label, inputs=(x, name), outputs=(y,)), target.dtype, target)

    def operand(self, name: str) -> str:
        """The name of an operand of a two-input operator: a constant becomes integers with a scale of its own."""
        if not self.graph.is_constant(name):
            return name
        data, prescribed = self.graph.constant(name), self.graph.tensors[name].quant
        dtype = next((p.dtype for p in self._params.values()), "int8")
        peak = 127.0 if dtype == "int8" else 32767.0
        largest = float(np.abs(data).max(initial=0)) or 1.0
        quant = QuantParams((max(largest / peak, LEAST_SCALE),), 0, None, dtype)
        if prescribed is not None and prescribed.axis is None:
            quant = prescribed if prescribed.dtype == dtype else _recentered(prescribed, data, dtype) or quant
        constant = self.out.constant(f"{name}.{quant.dtype}", quant.quantize(data), quant)
        self.constants[name] = self.out.tensors[constant]
        self._params[constant] = quant
        return constant

    def linear(self, node: ClampedNode) -> tuple[tuple[str, ...], Rescale]:
        """The integer inputs and the requantizer of a node whose inputs are (x, weights (out, ...), bias (out,))."""
        x, kernel_name, bias_name = node.inputs
        kernel = self.graph.constant(kernel_name).astype(np.float64)
        integers = self._linear_integers(node, kernel.reshape(len(kernel), -1))
        y = self.params(node.output)
        # Only a channel without weights has a scale that float32 cannot say.
        scales = np.clip(integers.scales, LEAST_SCALE, 2.0**127).tolist()
        weights = self.out.constant(
            kernel_name,
            integers.weights.reshape(kernel.shape),
            QuantParams(tuple(scales), 0, 0, integers.weights.dtype.name),
        )
        steps = tuple((integers.scales * self.params(x).scale[0]).tolist())
        bias = self.out.constant(bias_name, integers.bias, QuantParams(steps, 0, 0, integers.bias.dtype.name))
        self.constants[kernel_name] = self.out.tensors[weights]
        self.constants[bias_name] = self.out.tensors[bias]
        shift = self.constant(f"{node.name}.shift", integers.shift)
        multiplier = None
        if integers.multiplier is not None:
            multiplier = self.constant(f"{node.name}.multiplier", integers.multiplier)
        low, high = self.clamp(node)
        rescale = Rescale(shift, multiplier, y.zero_point, low, high, integers.kind)
        self.proofs.append(AccumulatorProof(node.name, integers.bound, rescale.kind, integers.changed))
        return (x, weights, bias, shift, *(() if multiplier is None else (multiplier,))), rescale

    def _decision(self, layer: str) -> LayerDecision:
        decision = (self.locked or {}).get(layer)
        if decision is None:
            raise ChipfitError(f"the lock has no layer {layer!r}")
        return decision

    def _linear_integers(self, node: ClampedNode, kernel: Array) -> LinearIntegers:
        source, kernel_name, bias_name = node.inputs
        bias = self.graph.constant(bias_name).astype(np.float64)
        x, y = self.params(source), self.params(node.output)
        prescribed = self.graph.tensors[kernel_name].quant
        if x.dtype != y.dtype:
            self.refuse(node, f"goes from {x.dtype} to {y.dtype}", _ONE_DTYPE_HINT)
        bits = self.widths.bits(node.name)
        rounding = WeightRounding(kernel, bias, self.per_channel)
        if prescribed is not None:
            rounding = PrescribedRounding(kernel, bias, prescribed)
        elif bits < 8 and self.locked is None:
            rounding = LowBitRounding(kernel, bias, self.per_channel, bits, self.input_statistics.get(node.name))
        elif bits < 8:
            rounding = LockedRounding(kernel, bias, bits, self._decision(node.name), node.name, x)
        integers = (
            quantize_linear_int16(rounding, x, y)
            if x.dtype == "int16"
            else quantize_linear(rounding, x, y, self.requantizer)
        )
        if integers is None:
            raise ChipfitError(
                f"layer {node.name!r} multiplies its input up by more than a shift can say",
                hint="Write quantization.requantize: auto or multiplier.",
            )
        if isinstance(rounding, LockedRounding):
            integers = locked_changes(integers, rounding.decision)
        if prescribed is None:
            self.decisions[node.name] = layer_decision(integers, kernel, bits if bits < 8 else None)
        if x.dtype == integers.weights.dtype == "int16":
            lowest, highest = int(integers.weights.min()), int(integers.weights.max())
            self.refuse(
                node,
                f"its weights less their zero points are {lowest} to {highest}; int16 activations take int8 weights",
                "In quantize_static write weight_type=QuantType.QInt8 and extra_options={'WeightSymmetric': True}.",
            )
        changed = integers.changed
        if prescribed is not None and changed is not None and changed.largest_error >= 1:
            raise ChipfitError(
                f"layer {node.name!r}, output channel {changed.worst}: 32 bits cannot hold its sums at the scales of "
                f"the model file; at others it would be off by up to {changed.largest_error:.3g} output steps",
                hint="Quantize it again with a larger weight scale for that channel, or a larger output scale.",
            )
        return integers


def _recentered(quant: QuantParams, data: Array, dtype: str) -> QuantParams | None:
    """The same steps with a zero point that brings `data` into `dtype`: integers less their zero point may be wider."""
    integers, recentered = quant.quantize(data).astype(np.int64) - quant.zero_point, replace(quant, dtype=dtype)
    least, most = (
        recentered.limits[0] - int(integers.min(initial=0)),
        recentered.limits[1] - int(integers.max(initial=0)),
    )
    return replace(recentered, zero_point=int(np.clip(0, least, most))) if least <= most else None


def _lines_follow(
    table: Array,
    function: Callable[[Array], Array],
    source: QuantParams,
    target: QuantParams,
    value_range: tuple[float, float] | None,
) -> bool:
    """Whether straight lines between the table's values stay within BEND steps of the function, where x was seen."""
    x = np.arange(-32768, 32768)
    real = source.dequantize(x)
    index = x + 32768
    interpolated = np.clip(
        table[index >> 7] + (table[(index >> 7) + 1] - table[index >> 7]) * (index & 127) / 128, *target.limits
    )
    exact = np.nan_to_num(function(real), posinf=np.inf, neginf=-np.inf) / target.scale[0] + target.zero_point
    differences = np.abs(np.clip(exact, *target.limits) - interpolated)
    return bool(
        differences[(real >= value_range[0]) & (real <= value_range[1])].max(initial=0) <= BEND
        if value_range
        else differences.max() <= BEND
    )
