"""ReduceMax, ReduceMin, GlobalMaxPool; and ONNX's other reductions, each a sum with functions around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.rows import ReduceExtremumParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.activation import Activation
from pipeline.ops.mean import Mean, block_of, import_reduction
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "over axes that lie side by side in memory"


@dataclass(frozen=True, kw_only=True)
class ReduceExtremum(Node):
    """x -> x with every axis of `axes` reduced to its largest (or smallest) entry."""

    commutes_with_clamp: ClassVar[bool] = True

    axes: tuple[int, ...]
    largest: bool

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(1 if i in self.axes else d for i, d in enumerate(inputs[0])),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "ReduceExtremum":
        return replace(self, axes=tuple(sorted(perm[a] for a in self.axes)))

    def problem(self, graph: Graph) -> str | None:
        shape = graph.tensors[self.inputs[0]].shape
        if block_of(shape, self.axes) is None:
            return f"its axes {list(self.axes)} of the channels-last shape {list(shape)} do not lie side by side"
        return None

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        op = "ReduceMax" if self.largest else "ReduceMin"
        emit.node(op, [self.inputs[0], emit.integers(self.axes)], self.output, keepdims=1)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        axes = tuple(a + 1 for a in self.axes)
        return ((inputs[0].max if self.largest else inputs[0].min)(axis=axes, keepdims=True),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        block = block_of(graph.tensors[self.inputs[0]].shape, self.axes)
        assert block is not None
        outer, count, inner = block
        return [
            KernelCall(
                kernel="reduce_extremum" + suffix(graph.tensors[self.output].dtype),
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=ReduceExtremumParams(outer=outer, reduced=count, inner=inner, sign=1 if self.largest else -1),
            )
        ]


def import_reduce_extremum(node: OnnxNode) -> None:
    import_reduction(
        node,
        lambda x, y, axes: ReduceExtremum(
            name=node.name, inputs=(x,), outputs=(y,), axes=axes, largest=node.op != "ReduceMin"
        ),
    )


# Before the sum, and behind it.
_AROUND: dict[str, tuple[str, str]] = {
    "ReduceSum": ("", ""),
    "ReduceL1": ("Abs", ""),
    "ReduceL2": ("Square", "Sqrt"),
    "ReduceSumSquare": ("Square", ""),
    "ReduceLogSum": ("", "Log"),
}


def import_sum(node: OnnxNode) -> None:
    """ReduceSum and its like: the sum of |x|, of squares, ..., and then its root or logarithm. Source: ONNX."""
    before, behind = _AROUND[node.op]
    x = _function(node, before, node.inputs[0]) if before else node.inputs[0]
    inner = replace(node, inputs=(x, *node.inputs[1:]))
    if behind:
        raw = node.graph.fresh(f"{node.outputs[0]}.sum")
        inner = replace(inner, outputs=(raw,))
    import_reduction(inner, lambda a, y, axes: Mean(name=node.name, inputs=(a,), outputs=(y,), axes=axes, total=True))
    if behind:
        node.graph.append(
            Activation(name=f"{node.name}.{behind}", inputs=(raw,), outputs=node.outputs[:1], function=behind)
        )


def _function(node: OnnxNode, function: str, x: str) -> str:
    label = node.graph.fresh(f"{node.name}.{function}")
    return node.graph.append(Activation(name=label, inputs=(x,), outputs=(label,), function=function))


ONNX = {
    "ReduceMax": import_reduce_extremum,
    "ReduceMin": import_reduce_extremum,
    "GlobalMaxPool": import_reduce_extremum,
    **dict.fromkeys(_AROUND, import_sum),
}
NODES = (ReduceExtremum,)


def samples() -> Iterator[Sample]:
    yield one_node("ReduceMax", {"x": (1, 3, 4)}, {"axes": [1]}, opset=18)
    yield one_node("ReduceMin", {"x": (1, 3, 4)}, {"axes": [1, 2]}, opset=18, keepdims=0)
    yield one_node("GlobalMaxPool", {"x": (1, 3, 4, 2)})
    for op in _AROUND:
        low = 0.5 if op == "ReduceLogSum" else -2.0
        yield one_node(op, {"x": (1, 3, 4)}, {"axes": [2]}, opset=18, low=low)
