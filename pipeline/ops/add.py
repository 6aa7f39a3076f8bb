"""Add and Sub of two tensors with broadcasting; a constant per channel becomes an affine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.calls import KernelCall
from pipeline.fixedpoint import common_ratio
from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph
from pipeline.ops.affine import append_affine
from pipeline.ops.broadcast import Binary, check_broadcast, per_channel
from pipeline.ops.samples import Sample, one_node, weights

SUMMARY = "with broadcasting"


@dataclass(frozen=True, kw_only=True)
class Add(Binary):
    """y = a + b, or a - b. Integer: y = (a * scales[0] + b * scales[1] + offset) >> shift, clamped."""

    subtract: bool = False
    scales: tuple[int, int] = (0, 0)

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        total = emit.node("Sub" if self.subtract else "Add", self.inputs[:2])
        emit.clip(total, self.output, self.low, self.high)

    def quantize(self, quantizer: Any) -> None:
        names = [quantizer.operand(n) for n in self.inputs]
        a, b = (quantizer.params(n) for n in names)
        y = quantizer.params(self.output)
        sign = -1.0 if self.subtract else 1.0
        ratios = [a.scale[0] / y.scale[0], sign * b.scale[0] / y.scale[0]]
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

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        a, b = self.operands(inputs, graph)
        acc = a * self.scales[0] + b * self.scales[1]
        return (self.settle(acc),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [self.call(graph, "add", {"a_scale": self.scales[0], "b_scale": self.scales[1]})]


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


ONNX = {"Add": import_add, "Sub": import_add}
NODES = (Add,)


def samples() -> Iterator[Sample]:
    yield one_node("Add", {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4)})
    yield one_node("Sub", {"a": (1, 2, 3), "b": (1, 1, 3)})
    yield one_node("Sub", {"a": (3,), "b": (2, 3)}, label="Sub_broadcast_first")
    yield one_node("Add", {"a": (1, 3, 2, 2)}, {"b": weights(3, 1, 1)}, label="Add_per_channel")
    yield one_node("Add", {"a": (1, 2, 3)}, {"b": weights(1, 2, 3)}, label="Add_constant")
    yield one_node("Sub", {"a": (1, 6)}, {"b": 0.75}, label="Sub_scalar")
