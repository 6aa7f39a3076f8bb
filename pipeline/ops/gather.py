"""Gather: entries picked along one axis by constant indices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.moves import GatherParams
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.node import ImportNode
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "by constant indices"


@dataclass(frozen=True, kw_only=True)
class Gather(Node):
    """x, indices (k,) int32, all inside x -> x with axis `axis` replaced by the k entries named."""

    axis: int

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return ((*inputs[0][: self.axis], inputs[1][0], *inputs[0][self.axis + 1 :]),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Gather":
        return replace(self, axis=perm[self.axis])

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        indices = emit.integers(graph.constant(self.inputs[1]).tolist())
        emit.node("Gather", [self.inputs[0], indices], self.output, axis=self.axis)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        indices = quantizer.constant(self.inputs[1], quantizer.graph.constant(self.inputs[1]))
        quantizer.pass_through(replace(self, inputs=(self.inputs[0], indices)))

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[0].take(np.asarray(inputs[1]).reshape(-1), axis=self.axis + 1),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        x, indices = graph.tensors[self.inputs[0]], graph.constant(self.inputs[1])
        width = np.dtype(x.dtype).itemsize
        return [
            KernelCall(
                kernel="gather",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=GatherParams(
                    indices=indices.astype(np.uint16),
                    outer=prod(x.shape[: self.axis]),
                    entries=x.shape[self.axis],
                    count=len(indices),
                    inner=prod(x.shape[self.axis + 1 :]) * width,
                ),
            )
        ]


def append_pick(node: ImportNode, x: str, axis: int, indices: Array, dtype: str, quant: QuantParams | None) -> str:
    """Append a Gather of `x`, unless it would change nothing; the name of its output."""
    entries = node.graph.tensors[x].shape[axis]
    if entries > 1 << 16:
        node.refuse(f"{entries} entries along axis {axis}", f"Up to {1 << 16} are supported.")
    if np.array_equal(indices, np.arange(entries)):
        return x
    graph = node.graph
    label = graph.fresh(f"{node.name}.axis{axis}")
    name = graph.constant(f"{label}.indices", indices.astype(np.int32))
    return graph.append(Gather(name=label, inputs=(x, name), outputs=(label,), axis=axis), dtype, quant)


def import_gather(node: OnnxNode) -> None:
    """Gather by indices of any rank; negative ones count from the end. Source: ONNX Gather."""
    input_shape = node.shape(0)
    axis = node.axis(int(node.attr("axis", 0)), len(input_shape))
    indices = node.constant(1, "indices")
    if not indices.size or indices.min() < -input_shape[axis] or indices.max() >= input_shape[axis]:
        node.refuse(f"indices outside {input_shape[axis]} entries, or none")
    y = append_pick(node, node.inputs[0], axis, indices.reshape(-1) % input_shape[axis], "float32", None)
    shape = (*input_shape[:axis], *indices.shape, *input_shape[axis + 1 :])
    node.graph.append(Reshape(name=node.name, inputs=(y,), outputs=node.outputs[:1], shape=shape))


ONNX = {"Gather": import_gather}
NODES = (Gather,)


def samples() -> Iterator[Sample]:
    yield one_node("Gather", {"x": (1, 5, 3)}, {"i": [[4, 0], [-2, 1]]}, label="Gather_rank_2", axis=1)
    yield one_node("Gather", {"x": (1, 5)}, {"i": 3}, label="Gather_scalar", axis=1)
