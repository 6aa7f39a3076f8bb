"""PRelu with a slope per channel; with a single slope it is a LeakyRelu and becomes a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, prod
from typing import ClassVar

import numpy as np

from pipeline.arithmetic.fixedpoint import (
    LARGEST_GAIN,
    common_ratio,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.rows import PreluParams, PreluRescaledParams
from pipeline.graph.tensor import Array, Shape
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.activation import Activation
from pipeline.ops.shared.broadcast import per_channel
from pipeline.ops.shared.rounding import input_values
from pipeline.ops.shared.samples import Sample, one_node, weights

SUMMARY = "one slope, or one per channel"


@dataclass(frozen=True, kw_only=True)
class PRelu(Node):
    """x, slope (channels,) along `axis`; y = x where x >= 0, else x * slope.

    Integer: d = x - zero_point; y = (max(d, 0) * scale + min(d, 0) * slope + offset) >> shift, clamped to int8.
    """

    follows_layout: ClassVar[bool] = True

    axis: int
    zero_point: int = 0
    scale: int = 0
    offset: int = 0
    shift: int = 0

    @property
    def in_place(self) -> bool:
        return True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "PRelu":
        return replace(self, axis=perm[self.axis])

    def _spread(self, values: Array, rank: int) -> Array:
        return values.reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def as_term(self, operands: Sequence[Term]) -> Term:
        return ("LeakyRelu", (("alpha", operands[1][1]),), operands[0])

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        rank = len(graph.tensors[self.inputs[0]].shape)
        slope = emit.floats(self._spread(graph.constant(self.inputs[1]), rank))
        emit.node("PRelu", [self.inputs[0], slope], self.output)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        slope = quantizer.graph.constant(self.inputs[1]).astype(np.float64)
        ratio = x.scale[0] / y.scale[0]
        gains = slope * ratio
        if y.dtype == "int8":  # one step of the input saturates the output with any larger one
            ratio, gains = min(ratio, LARGEST_GAIN), np.clip(gains, -LARGEST_GAIN, LARGEST_GAIN)
        steepest = max(ratio, float(np.abs(gains).max(initial=0)))
        if steepest > 2.0**14:
            quantizer.refuse(self, "its output is far smaller than its input")
        _, shift = common_ratio([steepest, 1.0], 256 if y.dtype == "int8" else 32768)
        quantizer.append(
            replace(
                self,
                inputs=(
                    self.inputs[0],
                    quantizer.constant(self.inputs[1], np.rint(gains * 2.0**shift).astype(np.int32)),
                ),
                zero_point=x.zero_point,
                scale=round(ratio * 2**shift),
                offset=(y.zero_point << shift) + (1 << shift >> 1),
                shift=shift,
            )
        )

    def rounding_slack(self, graph: Graph) -> float:
        return 0.5 * input_values(self, graph) / 2.0**self.shift

    def arithmetic(self) -> str:
        return "scaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, slope = inputs
        d = x.astype(np.int64) - self.zero_point
        below = np.minimum(d, 0) * self._spread(slope.astype(np.int64), x.ndim - 1)
        acc = np.maximum(d, 0) * self.scale + below + self.offset
        return (np.clip(acc >> self.shift, *_limits(self, graph)),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.output].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        shape = graph.tensors[self.output].shape
        low, high = _limits(self, graph)
        return [
            KernelCall(
                kernel="prelu" + suffix(graph.tensors[self.output].dtype),
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=PreluParams(
                    slope=graph.constant(self.inputs[1]),
                    outer=prod(shape[: self.axis]),
                    channels=shape[self.axis],
                    inner=prod(shape[self.axis + 1 :]),
                    zero_point=self.zero_point,
                    scale=self.scale,
                    offset=self.offset,
                    shift=self.shift,
                    low=low,
                    high=high,
                ),
                macs=self.macs(graph),
                in_place=True,
            )
        ]


def _limits(node: Node, graph: Graph) -> tuple[int, int]:
    info = np.iinfo(graph.tensors[node.output].dtype)
    return int(info.min), int(info.max)


@dataclass(frozen=True, kw_only=True)
class PReluRescaled(PRelu):
    """d by rescales[0] where d >= 0, else d * slope by rescales[1], rounded twice, + output_zero_point.

    Source: TFLite reference_ops::Prelu.
    """

    rescales: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    output_zero_point: int = 0

    def rounding_slack(self, graph: Graph) -> float:
        return inf

    def arithmetic(self) -> str:
        return "rescaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, slope = inputs
        d = x.astype(np.int64) - self.zero_point
        below = d * self._spread(slope.astype(np.int64), x.ndim - 1)
        above, under = (
            multiply_by_quantized_multiplier(v, m, e) for v, (m, e) in zip((d, below), self.rescales, strict=True)
        )
        return (np.clip(np.where(d >= 0, above, under) + self.output_zero_point, -128, 127),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        shape = graph.tensors[self.output].shape
        above, below = self.rescales
        params = PreluRescaledParams(
            slope=graph.constant(self.inputs[1]),
            outer=prod(shape[: self.axis]),
            channels=shape[self.axis],
            inner=prod(shape[self.axis + 1 :]),
            x_zero_point=self.zero_point,
            y_zero_point=self.output_zero_point,
            above_multiplier=above[0],
            above_exponent=above[1],
            below_multiplier=below[0],
            below_exponent=below[1],
        )
        return [
            KernelCall(
                kernel="prelu_rescaled",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=params,
                macs=self.macs(graph),
                in_place=True,
            )
        ]


def import_tflite_prelu(node: TfliteNode) -> None:
    slope = node.constant(1, "slope")
    axis = per_channel(node, 0, slope)
    if axis is None:
        node.refuse(f"a slope of shape {slope.shape}; expected one value, or one per channel")
    channels = node.shape(0)[axis]
    slopes = np.broadcast_to(slope.reshape(-1), channels)
    if not node.quantized:
        name = node.graph.constant(f"{node.inputs[1]}.slope", slopes.astype(np.float32))
        node.emit(PRelu(name=node.name, inputs=(node.inputs[0], name), outputs=node.outputs, axis=axis))
        return
    if node.dtype != "int8":
        node.refuse(f"type {node.dtype}", "int8 and uint8 are supported.")
    x, a, y = (np.float32(s) for s in (node.scale(0), node.scale(1), node.output_scale()))
    rescales = (quantize_multiplier(float(x / y)), quantize_multiplier(float(x * a / y)))
    if max(rescales[0][1], rescales[1][1]) > 14:
        node.refuse("an output scale far below its input's")
    name = node.graph.constant(f"{node.inputs[1]}.slope", slopes.astype(np.int16) - np.int16(node.zero_point(1)))
    node.emit(
        PReluRescaled(
            name=node.name,
            inputs=(node.inputs[0], name),
            outputs=node.outputs,
            axis=axis,
            zero_point=node.zero_point(0),
            rescales=rescales,
            output_zero_point=node.output_zero_point(),
        )
    )


def import_prelu(node: OnnxNode) -> None:
    slope = node.constant(1, "slope")
    if slope.size == 1:
        node.graph.append(
            Activation(
                name=node.name,
                inputs=node.inputs[:1],
                outputs=node.outputs[:1],
                function="LeakyRelu",
                parameters={"alpha": float(slope.reshape(-1)[0])},
            )
        )
        return
    axis = per_channel(node, 0, slope)
    if axis is None and slope.ndim == 1 and node.rank() > 1 and slope.size == node.shape(0)[1]:
        axis = 1
    if axis is None:
        node.refuse(f"a slope of shape {slope.shape}; expected one value, or one per channel")
    name = node.graph.constant(node.inputs[1] + ".slope", slope.reshape(-1).astype(np.float32))
    node.graph.append(PRelu(name=node.name, inputs=(node.inputs[0], name), outputs=node.outputs[:1], axis=axis))


ONNX = {"PRelu": import_prelu}
TFLITE = {"PRELU": import_tflite_prelu}
NODES = (PRelu, PReluRescaled)


def samples() -> Iterator[Sample]:
    yield one_node("PRelu", {"x": (1, 3, 2, 2)}, {"s": weights(3, 1, 1)}, label="PRelu_per_channel")
    yield one_node("PRelu", {"x": (1, 8)}, {"s": weights(8)}, label="PRelu_per_feature")
    yield one_node("PRelu", {"x": (1, 8)}, {"s": weights(1)}, label="PRelu_single")
