"""Softmax: exponentials from a table, one integer division per output by shift and subtract."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from pipeline.calls import KernelCall
from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph, Node, QuantParams, Shape
from pipeline.ops.reshape import Reshape
from pipeline.ops.samples import Sample, one_node

SUMMARY = "along any axis"
_ONE = 1 << 15  # exp(0) in the table; sums of up to 2**15 entries stay below 2**31


@dataclass(frozen=True, kw_only=True)
class Softmax(Node):
    """y = exp(x) / sum(exp(x)) along `axis`; output scale 1/256, zero point -128.

    Integer: e[d] = round(2**15 * exp(-d * scale)) for d = max(x) - x, y = floor((256 * e + sum / 2) / sum) - 128.
    """

    axis: int

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Softmax":
        return replace(self, axis=perm[self.axis])

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        emit.node("Softmax", [self.inputs[0]], self.output, axis=self.axis)

    def fixed_output(self) -> QuantParams:
        return QuantParams((1 / 256,), -128)

    def quantize(self, quantizer: Any) -> None:
        scale = quantizer.params(self.inputs[0]).scale[0]
        table = np.rint(_ONE * np.exp(-scale * np.arange(256))).astype(np.uint16)
        name = quantizer.constant(f"{self.name}.exp", table)
        quantizer.append(replace(self, inputs=(self.inputs[0], name)))

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, table = inputs[0].astype(np.int64), inputs[1].astype(np.int64)
        axis = self.axis + 1
        e = table[x.max(axis=axis, keepdims=True) - x]
        total = e.sum(axis=axis, keepdims=True)
        return (np.minimum((256 * e + total // 2) // total - 128, 127),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        shape = graph.tensors[self.output].shape
        return [
            KernelCall(
                kernel="softmax",
                family="softmax",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params={
                    "outer": prod(shape[: self.axis]),
                    "count": shape[self.axis],
                    "inner": prod(shape[self.axis + 1 :]),
                },
                tables={"exponentials": graph.constant(self.inputs[1])},
                in_place=True,
            )
        ]


def import_softmax(node: OnnxNode) -> None:
    """Before opset 13 the axis splits the tensor into a matrix whose rows are normalized. Source: ONNX Softmax."""
    shape = node.shape(0)
    axis = node.axis(int(node.attr("axis", -1 if node.opset >= 13 else 1)), len(shape))
    if shape[axis] > 1 << 15:
        node.refuse(f"{shape[axis]} classes", f"Up to {1 << 15} are supported.")
    graph = node.graph
    if node.opset >= 13 or prod(shape[axis + 1 :]) == 1:
        graph.append(Softmax(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], axis=axis))
        return
    rows = (prod(shape[:axis]), prod(shape[axis:]))
    x, y = graph.fresh(node.inputs[0] + ".rows"), graph.fresh(node.outputs[0] + ".rows")
    graph.append(Reshape(name=f"{node.name}.rows", inputs=node.inputs[:1], outputs=(x,), shape=rows))
    graph.append(Softmax(name=node.name, inputs=(x,), outputs=(y,), axis=1))
    graph.append(Reshape(name=f"{node.name}.back", inputs=(y,), outputs=node.outputs[:1], shape=shape))


ONNX = {"Softmax": import_softmax}
NODES = (Softmax,)


def samples() -> Iterator[Sample]:
    yield one_node("Softmax", {"x": (1, 5)}, low=-4.0, high=4.0)
    yield one_node("Softmax", {"x": (1, 3, 2, 2)}, axis=1)
    yield one_node("Softmax", {"x": (1, 2, 3)}, opset=11)
