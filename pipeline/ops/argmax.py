"""ArgMax: the class as an int32, the first of equals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.rows import ArgmaxParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "as an output of the network, int32"


@dataclass(frozen=True, kw_only=True)
class ArgMax(Node):
    """x -> int32 index of the first largest entry along `axis`, which is kept with size 1.

    Or of the smallest (`least`), or the last of equals (`last`).
    """

    axis: int
    least: bool = False
    last: bool = False

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(1 if i == self.axis else d for i, d in enumerate(inputs[0])),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "ArgMax":
        return replace(self, axis=perm[self.axis])

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        op = "ArgMin" if self.least else "ArgMax"
        emit.node(op, [self.inputs[0]], self.output, axis=self.axis, keepdims=1, select_last_index=int(self.last))

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.append(self, dtype="int32")

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, axis = inputs[0].astype(np.int64) * (-1 if self.least else 1), self.axis + 1
        if self.last:
            return (x.shape[axis] - 1 - np.flip(x, axis).argmax(axis=axis, keepdims=True),)
        return (x.argmax(axis=axis, keepdims=True),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        shape = graph.tensors[self.inputs[0]].shape
        return [
            KernelCall(
                kernel="argmax" + suffix(graph.tensors[self.inputs[0]].dtype),
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=ArgmaxParams(
                    outer=prod(shape[: self.axis]),
                    count=shape[self.axis],
                    inner=prod(shape[self.axis + 1 :]),
                    sign=-1 if self.least else 1,
                    last=int(self.last),
                ),
            )
        ]


def import_argmax(node: OnnxNode) -> None:
    axis = node.axis(int(node.attr("axis", 0)), node.rank())
    graph, keep = node.graph, node.attr("keepdims", 1)
    indices = node.outputs[0] if keep else graph.fresh(node.outputs[0] + ".kept")
    last, least = bool(node.attr("select_last_index", 0)), node.op == "ArgMin"
    node.results[node.outputs[0]] = "int64"
    graph.append(
        ArgMax(name=node.name, inputs=node.inputs[:1], outputs=(indices,), axis=axis, least=least, last=last), "int32"
    )
    if keep:
        return
    shape = node.shape(0)
    rest = tuple(d for i, d in enumerate(shape) if i != axis)
    graph.append(
        Reshape(name=f"{node.name}.squeeze", inputs=(indices,), outputs=node.outputs[:1], shape=rest),
        dtype="int32",
    )


def import_tflite_argmax(node: TfliteNode) -> None:
    input_shape = node.shape(0)
    axis = node.axis(int(node.constant(1, "axis").reshape(-1)[0]), len(input_shape))
    indices = node.graph.fresh(f"{node.outputs[0]}.kept")
    with_axis = node.append(
        ArgMax(name=node.name, inputs=node.inputs[:1], outputs=(indices,), axis=axis), "int32", None
    )
    rest = tuple(d for i, d in enumerate(input_shape) if i != axis)
    node.emit(Reshape(name=f"{node.name}.squeeze", inputs=(with_axis,), outputs=node.outputs, shape=rest))


ONNX = {"ArgMax": import_argmax, "ArgMin": import_argmax}
TFLITE = {"ARG_MAX": import_tflite_argmax}
NODES = (ArgMax,)


def samples() -> Iterator[Sample]:
    yield one_node("ArgMax", {"x": (1, 7)}, axis=1, keepdims=0)
    yield one_node("ArgMax", {"x": (1, 4, 3, 2)}, axis=1)
    yield one_node("ArgMin", {"x": (1, 9)}, axis=1, select_last_index=1)
