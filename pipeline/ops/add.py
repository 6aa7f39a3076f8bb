"""Add and Sub of two tensors with broadcasting; a constant per channel becomes an affine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import frexp

import numpy as np
import tflite

from pipeline.arithmetic.fixedpoint import common_ratio, multiply_by_quantized_multiplier, quantize_multiplier
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.pairs import AddParams, AddRescaledParams
from pipeline.graph.tensor import Array
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.affine import append_affine
from pipeline.ops.shared.broadcast import Binary, check_broadcast, fold_constants, per_channel
from pipeline.ops.shared.rounding import INT16_SATURATION, double_rounding_error, input_values
from pipeline.ops.shared.samples import Sample, one_node, weights

SUMMARY = "with broadcasting"


@dataclass(frozen=True, kw_only=True)
class Add(Binary):
    """y = a + b, or a - b. Integer: y = (a * scales[0] + b * scales[1] + offset) >> shift, clamped."""

    subtract: bool = False
    scales: tuple[int, int] = (0, 0)

    def as_term(self, operands: Sequence[Term]) -> Term:
        return ("Sub" if self.subtract else "Add", (), *operands)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        total = emit.node("Sub" if self.subtract else "Add", self.inputs[:2])
        emit.clip(total, self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        names = [quantizer.operand(n) for n in self.inputs]
        a, b = (quantizer.params(n) for n in names)
        y = quantizer.params(self.output)
        if y.dtype == "int16":
            twice = 2 * max(a.scale[0], b.scale[0])
            pairs = [
                quantize_multiplier(r) for r in (a.scale[0] / twice, b.scale[0] / twice, twice / 2**15 / y.scale[0])
            ]
            if pairs[2][1] > 0:
                quantizer.refuse(self, "its output is far smaller than its inputs")
            bottom, top = quantizer.clamp(self)
            quantizer.append(
                AddRescaled(
                    name=self.name, inputs=tuple(names), outputs=self.outputs, subtract=self.subtract, left=15,
                    zero_points=(a.zero_point, b.zero_point, y.zero_point), rescales=(pairs[0], pairs[1], pairs[2]),
                    bottom=bottom, top=top,
                )
            )  # fmt: skip
            return
        sign = -1.0 if self.subtract else 1.0
        first, second = a.scale[0] / y.scale[0], b.scale[0] / y.scale[0]
        # Where one step of an input leaves the output's range whatever the other is, a larger ratio says no more; it
        # would take the precision of the other's.
        ratios = [min(first, 512 + 256 * second), sign * min(second, 512 + 256 * first)]
        # The third ratio leaves room for the output's zero point and the rounding constant in the offset.
        (left, right, _), shift = common_ratio([*ratios, 1.0], 256)
        bottom, top = quantizer.clamp(self)
        offset = (y.zero_point << shift) + (1 << shift >> 1) - left * a.zero_point - right * b.zero_point
        quantizer.append(
            replace(
                self,
                inputs=tuple(names),
                scales=(left, right),
                offset=offset,
                shift=shift,
                bottom=bottom,
                top=top,
            )
        )

    def rounding_slack(self, graph: Graph) -> float:
        return (input_values(self, graph) + 0.5) / 2.0**self.shift

    def rounding_gain(self, graph: Graph) -> float:
        return max(abs(s) for s in self.scales) / 2.0**self.shift

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = self.operands(inputs, graph)
        acc = a * self.scales[0] + b * self.scales[1]
        return (self.shift_and_clamp(acc),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        a_scale, b_scale = self.scales
        return [self.call(graph, AddParams(a_scale=a_scale, b_scale=b_scale, **self.walk(graph), **self.epilogue()))]


@dataclass(frozen=True, kw_only=True)
class AddRescaled(Binary):
    """y = (a << left) rescaled + (b << left) rescaled, rescaled again: each by (multiplier, exponent), rounded twice.

    `rescales` are those of a, b and y, `zero_points` too. Source: TFLite reference_integer_ops::Add.
    """

    subtract: bool = False
    left: int = 20
    zero_points: tuple[int, int, int] = (0, 0, 0)
    rescales: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0), (0, 0))

    def rounding_slack(self, graph: Graph) -> float:
        *operands, last = self.rescales
        sums = sum(0.5 + double_rounding_error(exponent, 2.0**31) for _, exponent in operands)
        return sums * last[0] * 2.0 ** (last[1] - 31) + double_rounding_error(last[1], INT16_SATURATION)

    def arithmetic(self) -> str:
        return "rescaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = (
            multiply_by_quantized_multiplier((v - z) << self.left, m, e)
            for v, z, (m, e) in zip(self.operands(inputs, graph), self.zero_points, self.rescales, strict=False)
        )
        multiplier, exponent = self.rescales[2]
        total = a - b if self.subtract else a + b
        y = multiply_by_quantized_multiplier(total, multiplier, exponent) + self.zero_points[2]
        return (np.clip(y, self.bottom, self.top),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        (a_zero_point, b_zero_point, y_zero_point), (a, b, y) = self.zero_points, self.rescales
        params = AddRescaledParams(
            left=self.left, sign=-1 if self.subtract else 1,
            a_zero_point=a_zero_point, a_multiplier=a[0], a_exponent=a[1],
            b_zero_point=b_zero_point, b_multiplier=b[0], b_exponent=b[1],
            y_zero_point=y_zero_point, y_multiplier=y[0], y_exponent=y[1],
            low=self.bottom, high=self.top, **self.walk(graph),
        )  # fmt: skip
        return [self.call(graph, params)]


def import_tflite_add(node: TfliteNode) -> None:
    """Inputs are scaled by 2**20 (2**15 for int16) over twice the larger scale. Source: TFLite ADD and SUB Prepare."""
    options = node.options(tflite.SubOptions if node.op == "SUB" else tflite.AddOptions)
    if fold_constants(node):
        return
    fields = node.activation(options.FusedActivationFunction())
    subtract = node.op == "SUB"
    if not node.quantized:
        node.emit(Add(name=node.name, inputs=node.inputs[:2], outputs=node.outputs, subtract=subtract, **fields))
        return
    scales = (node.scale(0), node.scale(1), node.output_scale())
    if node.dtype == "int16" and options.PotScaleInt16() and all(frexp(s)[0] == 0.5 for s in scales):
        node.refuse("int16 with scales that are all powers of two", "Convert the model with a newer converter.")
    left = 15 if node.dtype == "int16" else 20
    a, b, y = node.scale(0), node.scale(1), node.output_scale()
    twice = float(np.float32(2) * np.float32(max(a, b)))
    reals = (a / twice, b / twice, twice / ((1 << left) * y))
    if reals[2] >= 1.0:
        node.refuse("an output scale far below those of its inputs")
    pairs = [quantize_multiplier(r) for r in reals]
    node.emit(
        AddRescaled(
            name=node.name,
            inputs=node.inputs[:2],
            outputs=node.outputs,
            subtract=subtract,
            left=left,
            zero_points=(node.zero_point(0), node.zero_point(1), node.output_zero_point()),
            rescales=(pairs[0], pairs[1], pairs[2]),
            **fields,
        )
    )


def import_add(node: OnnxNode) -> None:
    subtract = node.op == "Sub"
    check_broadcast(node, (node.shape(0), node.shape(1)))
    for constant, x in ((1, 0), (0, 1)):
        if node.is_constant(constant):
            value = node.constant(constant, "operand").astype(np.float64)
            axis = per_channel(node, x, value)
            if axis is not None:
                slope = np.array([-1.0 if subtract and x == 1 else 1.0])
                append_affine(node, x, slope, -value if subtract and constant == 1 else value, axis)
                return
    node.graph.append(Add(name=node.name, inputs=node.inputs[:2], outputs=node.outputs[:1], subtract=subtract))


def import_sum(node: OnnxNode) -> None:
    """Sum and Mean of any number of tensors, two at a time. Source: ONNX Sum, Mean."""
    count = len(node.inputs)
    constants = [node.constant(i, "operand") for i in range(count) if node.is_constant(i)]
    x, *others = [n for i, n in enumerate(node.inputs) if not node.is_constant(i)]
    if constants:
        check_broadcast(node, [c.shape for c in constants])
        total = np.asarray(sum(c.astype(np.float64) for c in constants), np.float32)
        others.append(node.graph.constant(f"{node.name}.constant", total))
    for i, other in enumerate(others, start=1):
        shapes = (node.graph.tensors[x].shape, node.graph.tensors[other].shape)
        check_broadcast(node, shapes)
        label = node.graph.fresh(f"{node.name}.{i}")
        x = node.graph.append(Add(name=label, inputs=(x, other), outputs=(label,)))
    factor = np.array([1.0 / count if node.op == "Mean" else 1.0])
    last = replace(node, inputs=(x,))
    append_affine(last, 0, factor, np.zeros(1), max(last.rank() - 1, 0))


ONNX = {"Add": import_add, "Sub": import_add, "Sum": import_sum, "Mean": import_sum}
TFLITE = {"ADD": import_tflite_add, "SUB": import_tflite_add}
NODES = (Add, AddRescaled)


def samples() -> Iterator[Sample]:
    yield one_node("Add", {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4)})
    yield one_node("Sub", {"a": (1, 2, 3), "b": (1, 1, 3)})
    yield one_node("Sub", {"a": (3,), "b": (2, 3)}, label="Sub_broadcast_first")
    yield one_node("Add", {"a": (1, 3, 2, 2)}, {"b": weights(3, 1, 1)}, label="Add_per_channel")
    yield one_node("Add", {"a": (1, 2, 3)}, {"b": weights(1, 2, 3)}, label="Add_constant")
    yield one_node("Sub", {"a": (1, 6)}, {"b": 0.75}, label="Sub_scalar")
    yield one_node("Sum", {"a": (1, 6), "b": (1, 6), "c": (1, 6)})
    yield one_node("Mean", {"a": (1, 3), "b": (1, 3), "c": (1, 1)})
