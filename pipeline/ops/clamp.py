"""Relu, Clip, HardTanh, ReLU6: a clamp, fused into whatever comes before; alone it becomes a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ClampedNode, Graph
from pipeline.graph.tensor import Array, Shape
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "folded into the requantization before it; standing alone, a 256-byte table"


@dataclass(frozen=True, kw_only=True)
class Clamp(ClampedNode):
    """y = min(max(x, low), high)."""

    follows_layout: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    table_bytes: ClassVar[int] = 256

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def as_term(self, operands: Sequence[Term]) -> Term:
        return operands[0]

    def selected_from(self, graph: Graph) -> Sequence[Array]:
        return ()

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.clip(self.inputs[0], self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        if x.dtype == y.dtype == "int16":
            quantizer.append_rescale(self.name, self.inputs[0], x, self.output, y, quantizer.clamp(self))
            return
        quantizer.append_function(self, lambda x: x.clip(self.low, self.high))


def import_relu(node: OnnxNode) -> None:
    node.graph.append(Clamp(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], low=0.0))


def import_clip(node: OnnxNode) -> None:
    low = node.attr_or_input("min", 1, -inf)
    high = node.attr_or_input("max", 2, inf)
    low, high = (float(v[0]) if isinstance(v, list) else float(v) for v in (low, high))
    if low == inf or high == -inf:
        node.refuse("bounds that leave no finite value", "Export the model again.")
    if low > high:
        node.refuse(f"its lower bound {low:g} is above its upper bound {high:g}")
    node.graph.append(Clamp(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], low=low, high=high))


ONNX = {"Relu": import_relu, "Clip": import_clip}
NODES = (Clamp,)


def samples() -> Iterator[Sample]:
    yield one_node("Relu", {"x": (1, 7)})
    yield one_node("Clip", {"x": (1, 2, 3, 4)}, {"min": -1.0, "max": 1.0})
    yield one_node("Clip", {"x": (1, 5)}, opset=7, min=0.0, max=6.0)
