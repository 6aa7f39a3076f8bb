"""Transpose: removed by the layout pass wherever possible, else a strided copy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "absorbed by the layout of weights, inputs and outputs; else a strided copy"


@dataclass(frozen=True, kw_only=True)
class Transpose(Node):
    """y = x.transpose(perm)."""

    commutes_with_clamp: ClassVar[bool] = True

    perm: tuple[int, ...]

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(inputs[0][p] for p in self.perm),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Transpose, AffineForm] | None":
        return self, form.mapped(lambda v: v.transpose(self.perm))

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.node("Transpose", [self.inputs[0]], self.output, perm=list(self.perm))

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[0].transpose(0, *(p + 1 for p in self.perm)),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        source = graph.tensors[self.inputs[0]].shape
        target = graph.tensors[self.output].shape
        steps = strides_of(source)
        return [
            copy_call(
                self.name,
                graph,
                self.inputs[0],
                self.output,
                dims=target,
                source_strides=[steps[p] for p in self.perm],
                target_strides=strides_of(target),
            )
        ]


def import_transpose(node: OnnxNode) -> None:
    rank = node.rank()
    if rank > MAX_RANK:
        node.refuse(f"rank {rank}", f"Tensors of up to rank {MAX_RANK} are supported.")
    perm = node.ints("perm", tuple(reversed(range(rank))))
    if sorted(perm) != list(range(rank)):
        node.refuse(f"perm {list(perm)} is not a permutation of {rank} axes")
    node.graph.append(Transpose(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], perm=perm))


def import_tflite_transpose(node: TfliteNode) -> None:
    perm = tuple(int(p) for p in node.constant(1, "perm").reshape(-1))
    if sorted(perm) != list(range(node.rank())) or node.rank() > MAX_RANK:
        node.refuse(f"perm {list(perm)} is not a permutation of {node.rank()} axes")
    node.emit(Transpose(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, perm=perm))


def channels_last(node: OnnxNode) -> str:
    """The node's first input as (n, h, w, c), through explicit views that the layout pass removes."""
    graph, x = node.graph, node.inputs[0]
    rank = node.rank()
    perm = (0, *range(2, rank), 1)
    x = graph.append(Transpose(name=f"{node.name}.last", inputs=(x,), outputs=(graph.fresh(f"{x}.last"),), perm=perm))
    if rank == 3:
        n, w, c = graph.tensors[x].shape
        x = graph.append(
            Reshape(name=f"{node.name}.2d", inputs=(x,), outputs=(graph.fresh(f"{x}.2d"),), shape=(n, 1, w, c))
        )
    return x


def channels_first(node: OnnxNode, y: str) -> None:
    """The inverse of `channels_last`, into the node's first output."""
    graph, rank = node.graph, node.rank()
    if rank == 3:
        n, _, w, c = graph.tensors[y].shape
        y = graph.append(
            Reshape(name=f"{node.name}.1d", inputs=(y,), outputs=(graph.fresh(f"{y}.1d"),), shape=(n, w, c))
        )
    perm = (0, rank - 1, *range(1, rank - 1))
    graph.append(Transpose(name=f"{node.name}.first", inputs=(y,), outputs=node.outputs[:1], perm=perm))


ONNX = {"Transpose": import_transpose}
TFLITE = {"TRANSPOSE": import_tflite_transpose}
NODES = (Transpose,)


def samples() -> Iterator[Sample]:
    yield one_node("Transpose", {"x": (1, 2, 3, 4)}, perm=[0, 3, 1, 2])
    yield one_node("Transpose", {"x": (2, 3)})
