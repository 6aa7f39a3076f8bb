"""Mul of two tensors with broadcasting; Mul and Div by a constant per channel become an affine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tflite

from pipeline.arithmetic.fixedpoint import (
    INT32_MAX,
    common_ratio,
    multiply_by_quantized_multiplier,
    multiply_once,
    quantize_multiplier,
)
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.pairs import MulParams, MulRescaledParams, MulWideParams
from pipeline.graph.tensor import Array
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.activation import Activation
from pipeline.ops.affine import append_affine
from pipeline.ops.shared.broadcast import Binary, check_broadcast, fold_constants, per_channel
from pipeline.ops.shared.rounding import INT16_SATURATION, double_rounding_error, input_values
from pipeline.ops.shared.samples import Sample, one_node, weights

SUMMARY = "with broadcasting; Div by an activation is a table of reciprocals and a product"


@dataclass(frozen=True, kw_only=True)
class Mul(Binary):
    """y = a * b. Integer: y = ((a - zero_points[0]) * (b - zero_points[1]) * scale + offset) >> shift, clamped."""

    zero_points: tuple[int, int] = (0, 0)
    scale: int = 0

    def as_term(self, operands: Sequence[Term]) -> Term:
        return ("Mul", (), *operands)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.clip(emit.node("Mul", self.inputs[:2]), self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        names = [quantizer.operand(n) for n in self.inputs]
        a, b = (quantizer.params(n) for n in names)
        y = quantizer.params(self.output)
        if y.dtype == "int16":
            multiplier, exponent = rescale = quantize_multiplier(a.scale[0] * b.scale[0] / y.scale[0])
            largest_product = (32768 + abs(a.zero_point)) * (32768 + abs(b.zero_point))
            largest_sum, beyond_int32 = (
                largest_product * multiplier + (1 << 30 - exponent) if exponent <= 0 else 0,
                largest_product > INT32_MAX,
            )
            if exponent > 0 or (beyond_int32 and (largest_sum >= 1 << 63 or largest_sum >> 31 - exponent >= 1 << 30)):
                quantizer.refuse(self, "its output is far smaller than the product of its inputs' ranges")
            bottom, top = quantizer.clamp(self)
            quantizer.append(
                (MulWide if beyond_int32 else MulRescaled)(
                    name=self.name, inputs=tuple(names), outputs=self.outputs, rescale=rescale,
                    zero_points=(a.zero_point, b.zero_point, y.zero_point), bottom=bottom, top=top,
                )
            )  # fmt: skip
            return
        # The product of two int8 values less their zero points is below 2**16. The second ratio leaves room
        # for the output's zero point and the rounding constant.
        (scale, _), shift = common_ratio([a.scale[0] * b.scale[0] / y.scale[0], 1 / 256], 1 << 16)
        bottom, top = quantizer.clamp(self)
        quantizer.append(
            replace(
                self,
                inputs=tuple(names),
                zero_points=(a.zero_point, b.zero_point),
                scale=scale,
                offset=(y.zero_point << shift) + (1 << shift >> 1),
                shift=shift,
                bottom=bottom,
                top=top,
            )
        )

    def rounding_slack(self, graph: Graph) -> float:
        values = input_values(self, graph)
        return 0.5 * min(values**2 / 2.0**self.shift, values / max(self.scale, 1))  # beyond that the output saturates

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = self.operands(inputs, graph)
        acc = (a - self.zero_points[0]) * (b - self.zero_points[1]) * self.scale
        return (self.shift_and_clamp(acc),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.output].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        a, b = self.zero_points
        params = MulParams(a_zero_point=a, b_zero_point=b, scale=self.scale, **self.walk(graph), **self.epilogue())
        return [self.call(graph, params)]


@dataclass(frozen=True, kw_only=True)
class MulRescaled(Binary):
    """y = (a - zero_points[0]) * (b - zero_points[1]) by (multiplier, exponent), rounded twice, + zero_points[2].

    Source: TFLite reference_integer_ops::Mul.
    """

    zero_points: tuple[int, int, int] = (0, 0, 0)
    rescale: tuple[int, int] = (0, 0)

    def rounding_slack(self, graph: Graph) -> float:
        return double_rounding_error(self.rescale[1], INT16_SATURATION)

    def arithmetic(self) -> str:
        return "rescaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = self.operands(inputs, graph)
        product = (a - self.zero_points[0]) * (b - self.zero_points[1])
        multiplier, exponent = self.rescale
        y = multiply_by_quantized_multiplier(product, multiplier, exponent) + self.zero_points[2]
        return (np.clip(y, self.bottom, self.top),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.output].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        a, b, y = self.zero_points
        params = MulRescaledParams(
            a_zero_point=a, b_zero_point=b, y_zero_point=y, multiplier=self.rescale[0], exponent=self.rescale[1],
            low=self.bottom, high=self.top, **self.walk(graph),
        )  # fmt: skip
        return [self.call(graph, params)]


@dataclass(frozen=True, kw_only=True)
class MulWide(MulRescaled):
    """The product of MulRescaled, rounded once, ties up, for int16 zero points that take it beyond 32 bits."""

    def rounding_slack(self, graph: Graph) -> float:
        return 2.0**-31 * INT16_SATURATION  # rounded once

    def arithmetic(self) -> str:
        return "once"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = self.operands(inputs, graph)
        product = (a - self.zero_points[0]) * (b - self.zero_points[1])
        y = multiply_once(product, *self.rescale) + self.zero_points[2]
        return (np.clip(y, self.bottom, self.top),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        a, b, y = self.zero_points
        params = MulWideParams(
            a_zero_point=a, b_zero_point=b, y_zero_point=y, multiplier=self.rescale[0], shift=31 - self.rescale[1],
            low=self.bottom, high=self.top, **self.walk(graph),
        )  # fmt: skip
        return [self.call(graph, params)]


def import_tflite_mul(node: TfliteNode) -> None:
    """MUL, whose multiplier is a float32 product and quotient. Source: TFLite MUL Prepare."""
    options = node.options(tflite.MulOptions)
    if fold_constants(node):
        return
    fields = node.activation(options.FusedActivationFunction())
    if not node.quantized:
        node.emit(Mul(name=node.name, inputs=node.inputs[:2], outputs=node.outputs, **fields))
        return
    a, b, y = (np.float32(s) for s in (node.scale(0), node.scale(1), node.output_scale()))
    rescale = quantize_multiplier(float(a * b / y))
    if rescale[1] > 14:
        node.refuse("an output scale far below the product of its inputs' scales")
    node.emit(
        MulRescaled(
            name=node.name,
            inputs=node.inputs[:2],
            outputs=node.outputs,
            zero_points=(node.zero_point(0), node.zero_point(1), node.output_zero_point()),
            rescale=rescale,
            **fields,
        )
    )


def _import_division(node: OnnxNode) -> None:
    """Append a division by an activation: a table of reciprocals, then a product."""
    graph = node.graph
    label = graph.fresh(f"{node.name}.reciprocal")
    x = node.inputs[1]
    if node.is_constant(0) and node.constant(0, "dividend").size == 1:
        value = float(node.constant(0, "dividend").reshape(-1)[0])
        table = Activation(
            name=node.name, inputs=(x,), outputs=node.outputs[:1], function="Divided", parameters={"dividend": value}
        )
        graph.append(table)
        return
    reciprocal = graph.append(Activation(name=label, inputs=(x,), outputs=(label,), function="Reciprocal"))
    graph.append(Mul(name=node.name, inputs=(node.inputs[0], reciprocal), outputs=node.outputs[:1]))


def import_mul(node: OnnxNode) -> None:
    check_broadcast(node, (node.shape(0), node.shape(1)))
    divide = node.op == "Div"
    if divide and not node.is_constant(1):
        _import_division(node)
        return
    for constant, x in ((1, 0), (0, 1)):
        if node.is_constant(constant):
            value = node.constant(constant, "operand").astype(np.float64)
            if divide:
                if not value.all():
                    node.refuse("its divisor has a zero")
                value = 1.0 / value
            axis = per_channel(node, x, value)
            if axis is not None:
                append_affine(node, x, value, np.zeros(1), axis)
                return
            if divide:
                if node.graph.tensors[node.inputs[1]].quant is not None:
                    node.refuse("its quantized divisor must be a scalar or one value per channel")
                factor = node.graph.constant(f"{node.name}.reciprocal", value.astype(np.float32))
                node.graph.append(Mul(name=node.name, inputs=(node.inputs[0], factor), outputs=node.outputs[:1]))
                return
    node.graph.append(Mul(name=node.name, inputs=node.inputs[:2], outputs=node.outputs[:1]))


ONNX = {"Mul": import_mul, "Div": import_mul}
TFLITE = {"MUL": import_tflite_mul}
NODES = (Mul, MulRescaled, MulWide)


def samples() -> Iterator[Sample]:
    yield one_node("Mul", {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4)})
    yield one_node("Mul", {"a": (1, 4, 2, 2), "b": (1, 4, 1, 1)}, low=-0.5, high=3.0)
    yield one_node("Mul", {"a": (1, 2, 3)}, {"b": weights(1, 2, 3)}, label="Mul_constant")
    yield one_node("Mul", {"a": (1, 3, 2, 2)}, {"b": weights(3, 1, 1)}, label="Mul_per_channel")
    yield one_node("Div", {"a": (1, 6)}, {"b": 3.0}, label="Div_scalar")
    yield one_node("Div", {"a": (1, 2, 3)}, {"b": np.abs(weights(1, 2, 3)) + 0.5}, label="Div_constant")
    yield one_node("Div", {"b": (1, 6)}, {"a": 2.0}, label="Div_of_a_scalar", low=0.5, high=3.0)
