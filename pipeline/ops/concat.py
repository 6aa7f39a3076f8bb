"""Concat: one strided copy per input, through a table where an input's scale differs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.calls import KernelCall
from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph, Node, Shape
from pipeline.ops.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.samples import Sample, one_node

SUMMARY = "along any axis"


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Inputs equal but for `axis` -> one tensor."""

    axis: int

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        first = list(inputs[0])
        first[self.axis] = sum(s[self.axis] for s in inputs)
        return (tuple(first),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Concat":
        return replace(self, axis=perm[self.axis])

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        emit.node("Concat", self.inputs, self.output, axis=self.axis)

    def quantize(self, quantizer: Any) -> None:
        target = quantizer.params(self.output)
        names = tuple(quantizer.requantized(n, target) for n in self.inputs)
        quantizer.append(replace(self, inputs=names))

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        samples = max(v.shape[0] for n, v in zip(self.inputs, inputs, strict=True) if not graph.is_constant(n))
        wide = [
            np.broadcast_to(v, (samples, *v.shape)) if graph.is_constant(n) else v
            for n, v in zip(self.inputs, inputs, strict=True)
        ]
        return (np.concatenate(wide, axis=self.axis + 1),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        steps = strides_of(graph.tensors[self.output].shape)
        made, at = [], 0
        for name in self.inputs:
            shape = graph.tensors[name].shape
            made.append(
                copy_call(
                    self.name,
                    graph,
                    name,
                    self.output,
                    shape,
                    strides_of(shape),
                    steps,
                    target_offset=at * steps[self.axis],
                )
            )
            at += shape[self.axis]
        return made


def import_concat(node: OnnxNode) -> None:
    rank = node.rank()
    axis = node.axis(int(node.attr("axis", 1)), rank)
    shapes = [node.shape(i) for i in range(len(node.inputs))]
    if rank > MAX_RANK or len({s[:axis] + s[axis + 1 :] for s in shapes}) != 1:
        node.refuse(f"inputs of shapes {shapes} along axis {axis}")
    if all(node.is_constant(i) for i in range(len(shapes))):
        node.refuse("only constants")
    node.graph.append(Concat(name=node.name, inputs=node.inputs, outputs=node.outputs[:1], axis=axis))


ONNX = {"Concat": import_concat}
NODES = (Concat,)


def samples() -> Iterator[Sample]:
    yield one_node("Concat", {"a": (1, 2, 3), "b": (1, 4, 3)}, axis=1)
    yield one_node("Concat", {"a": (1, 2, 2, 3), "b": (1, 2, 2, 3), "c": (1, 2, 2, 1)}, axis=-1)
