"""Concat: one strided copy per input, through a table where an input's scale differs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import ClassVar

import numpy as np
import tflite

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.tensor import Array, Shape, Tensor
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.lookup import Lookup, clamp_table
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "along any axis"


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Inputs equal but for `axis` -> one tensor."""

    axis: int

    shares_memory: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        first = list(inputs[0])
        first[self.axis] = sum(s[self.axis] for s in inputs)
        return (tuple(first),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Concat":
        return replace(self, axis=perm[self.axis])

    def offsets_in_output(self, graph: Graph) -> tuple[int, ...] | None:
        if prod(graph.tensors[self.output].shape[: self.axis]) != 1:
            return None
        return tuple(accumulate((graph.tensors[n].bytes for n in self.inputs[:-1]), initial=0))

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "joined"

    def selected_from(self, graph: Graph) -> Sequence[Array]:
        return graph.constants_of(self)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.node("Concat", self.inputs, self.output, axis=self.axis)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        target = quantizer.params(self.output)
        names = tuple(quantizer.with_params(n, target) for n in self.inputs)
        quantizer.append(replace(self, inputs=names))

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        samples = max(v.shape[0] for n, v in zip(self.inputs, inputs, strict=True) if not graph.is_constant(n))
        arrays = [
            np.broadcast_to(v, (samples, *v.shape)) if graph.is_constant(n) else v
            for n, v in zip(self.inputs, inputs, strict=True)
        ]
        return (np.concatenate(arrays, axis=self.axis + 1),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        steps = strides_of(graph.tensors[self.output].shape)
        copies, start = [], 0
        for name in self.inputs:
            shape = graph.tensors[name].shape
            copies.append(
                copy_call(
                    self.name,
                    graph,
                    name,
                    self.output,
                    dims=shape,
                    source_strides=strides_of(shape),
                    target_strides=steps,
                    target_offset=start * steps[self.axis],
                )
            )
            start += shape[self.axis]
        return copies


def import_concat(node: OnnxNode) -> None:
    rank = node.rank()
    axis = node.axis(int(node.attr("axis", 1)), rank)
    shapes = [node.shape(i) for i in range(len(node.inputs))]
    if rank > MAX_RANK or len({s[:axis] + s[axis + 1 :] for s in shapes}) != 1:
        node.refuse(f"inputs of shapes {shapes} along axis {axis}")
    if all(node.is_constant(i) for i in range(len(shapes))):
        node.refuse("only constants")
    node.graph.append(Concat(name=node.name, inputs=node.inputs, outputs=node.outputs[:1], axis=axis))


def import_tflite_concat(node: TfliteNode) -> None:
    """CONCATENATION, and PACK, which gives every input a new axis first. Constants count as operands of one scale."""
    if node.op == "PACK":
        axis = node.axis(node.options(tflite.PackOptions).Axis(), node.rank() + 1)
        shape = (*node.shape(0)[:axis], 1, *node.shape(0)[axis:])
        views = []
        for i, name in enumerate(node.inputs):
            source = node.graph.tensors[name]
            if source.shape != node.shape(0):
                node.refuse(f"inputs of shapes {source.shape} and {node.shape(0)}")
            packed = node.graph.fresh(f"{name}.packed")
            if source.data is not None:
                views.append(node.graph.add(Tensor.constant(packed, source.data.reshape(shape), source.quant)))
                continue
            view = Reshape(name=f"{node.name}.{i}", inputs=(name,), outputs=(packed,), shape=shape)
            views.append(node.append(view, source.dtype, source.quant))
        node.emit(Concat(name=node.name, inputs=tuple(views), outputs=node.outputs, axis=axis))
        return
    options = node.options(tflite.ConcatenationOptions)
    axis, first = node.axis(options.Axis(), node.rank()), node.shape(0)
    for name in node.inputs:
        shape = node.graph.tensors[name].shape if name else ()
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(shape, first, strict=True)) if i != axis
        ):
            node.refuse(f"inputs of shapes {list(first)} and {list(shape)} along axis {axis}")
    names = [_rescaled(node, i) for i in range(len(node.inputs))]
    clamp_table(
        node,
        options.FusedActivationFunction(),
        lambda y: Concat(name=node.name, inputs=tuple(names), outputs=(y,), axis=axis),
    )


def _rescaled(node: TfliteNode, index: int) -> str:
    """Input `index` with the output's parameters. Source: TFLite reference_ops::ConcatenationWithScaling."""
    x, y = node.graph.tensors[node.inputs[index]], node.declared[0]
    if x.quant is None or y.quant is None or (x.quant.scale, x.quant.zero_point) == (y.quant.scale, y.quant.zero_point):
        return x.name
    if x.data is not None or x.dtype != "int8":
        node.refuse(f"its input {x.name!r} has another scale than its output")
    scale = np.float32(x.quant.scale[0]) * (np.float32(1) / np.float32(y.quant.scale[0]))
    # uint8 zero points, as the kernel sees them.
    zero_x, zero_y = np.float32(x.quant.zero_point + 128), y.quant.zero_point + 128
    bias = -zero_x * scale
    real = np.arange(256, dtype=np.float32) * scale + bias
    rounded = np.copysign(np.floor(np.abs(real.astype(np.float64)) + 0.5), real) + zero_y
    table = node.graph.constant(f"{x.name}.rescale", (np.clip(rounded, 0, 255) - 128).astype(np.int8))
    rescaled = node.graph.fresh(f"{x.name}.rescaled")
    return node.append(Lookup(name=rescaled, inputs=(x.name, table), outputs=(rescaled,)), "int8", y.quant)


ONNX = {"Concat": import_concat}
TFLITE = {"CONCATENATION": import_tflite_concat, "PACK": import_tflite_concat}
NODES = (Concat,)


def samples() -> Iterator[Sample]:
    yield one_node("Concat", {"a": (1, 2, 3), "b": (1, 4, 3)}, axis=1)
    yield one_node("Concat", {"a": (1, 2, 2, 3), "b": (1, 2, 2, 3), "c": (1, 2, 2, 1)}, axis=-1)
