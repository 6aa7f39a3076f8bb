"""Slice and Split: strided copies of a box."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np
import tflite

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "constant bounds and steps, backwards too"


@dataclass(frozen=True, kw_only=True)
class Slice(Node):
    """y[i, j, ...] = x[starts[0] + i * steps[0], ...] for a box of `shape`; one entry per axis of x."""

    commutes_with_clamp: ClassVar[bool] = True

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: Shape

    shares_memory: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self.shape,)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Slice":
        more, order = len(perm) - len(self.starts), np.argsort(perm)
        fields = ((self.starts, 0), (self.steps, 1), (self.shape, 1))
        starts, steps, shape = (tuple((*v, *(fill,) * more)[i] for i in order) for v, fill in fields)
        return replace(self, starts=starts, steps=steps, shape=shape)

    def offset_in_input(self, graph: Graph) -> int | None:
        source = graph.tensors[self.inputs[0]]
        cut = [i for i, (d, n) in enumerate(zip(source.shape, self.shape, strict=True)) if d != n]
        if any(s != 1 for s, n in zip(self.steps, self.shape, strict=True) if n > 1):
            return None
        if cut and prod(self.shape[: cut[-1]]) != 1:
            return None
        width = source.bytes // max(source.size, 1)
        return sum(s * b for s, b in zip(strides_of(source.shape), self.starts, strict=True)) * width

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        last = [
            s + (n - 1) * d + (1 if d > 0 else -1) for s, d, n in zip(self.starts, self.steps, self.shape, strict=True)
        ]
        # A negative end would count from the back: ONNX writes "before the first element" as a huge negative.
        ends = [e if e >= 0 else -(2**31) for e in last]
        parameters = (self.starts, ends, range(len(ends)), self.steps)
        emit.node("Slice", [self.inputs[0], *(emit.integers(p) for p in parameters)], self.output)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        axes = [s + d * np.arange(n) for s, d, n in zip(self.starts, self.steps, self.shape, strict=True)]
        return (inputs[0][np.ix_(np.arange(inputs[0].shape[0]), *axes)],)

    def calls(self, graph: Graph) -> list[KernelCall]:
        strides = strides_of(graph.tensors[self.inputs[0]].shape)
        return [
            copy_call(
                self.name,
                graph,
                self.inputs[0],
                self.output,
                dims=self.shape,
                source_strides=[s * d for s, d in zip(strides, self.steps, strict=True)],
                target_strides=strides_of(self.shape),
                source_offset=sum(s * b for s, b in zip(strides, self.starts, strict=True)),
            )
        ]


def import_slice(node: OnnxNode) -> None:
    """Slice. Source: ONNX: bounds clamp to the axis, negative ones count from its end."""
    input_shape = node.shape(0)
    starts, ends = (np.atleast_1d(node.attr_or_input(n, i)) for i, n in ((1, "starts"), (2, "ends")))
    axes = node.axes(node.attr_or_input("axes", 3, list(range(len(starts)))), len(input_shape))
    steps = np.atleast_1d(node.attr_or_input("steps", 4, [1] * len(starts)))
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(input_shape) > MAX_RANK:
        node.refuse("its starts, ends, axes and steps differ in length")
    begin, step, shape = [0] * len(input_shape), [1] * len(input_shape), list(input_shape)
    for s, e, a, d in zip(starts.tolist(), ends.tolist(), axes, steps.tolist(), strict=True):
        if d == 0:
            node.refuse("a step of 0")
        chosen = range(input_shape[a])[slice(s, e if d > 0 or e >= -input_shape[a] else None, d)]
        if not len(chosen):
            node.refuse(f"an empty result along axis {a}")
        begin[a], step[a], shape[a] = chosen.start, d, len(chosen)
    _append(node, 0, begin, step, shape)


def import_split(node: OnnxNode) -> None:
    input_shape = node.shape(0)
    axis = node.axis(int(node.attr("axis", 0)), len(input_shape))
    sizes = node.attr_or_input("split", 1)
    count = len(node.outputs)
    if sizes is None:
        each = -(-input_shape[axis] // count)
        sizes = [each] * (count - 1) + [input_shape[axis] - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != input_shape[axis] or min(sizes) < 1 or len(input_shape) > MAX_RANK:
        node.refuse(f"sizes {list(sizes)} do not add up to {input_shape[axis]} in {count} outputs")
    start = 0
    for i, size in enumerate(sizes):
        begin, shape = [0] * len(input_shape), list(input_shape)
        begin[axis], shape[axis] = start, int(size)
        _append(node, i, begin, [1] * len(input_shape), shape)
        start += int(size)


def _append(node: OnnxNode, output: int, starts: list[int], steps: list[int], shape: list[int]) -> None:
    name = node.name if output == 0 else f"{node.name}.{output}"
    node.graph.append(
        Slice(
            name=name,
            inputs=node.inputs[:1],
            outputs=(node.outputs[output],),
            starts=tuple(starts),
            steps=tuple(steps),
            shape=tuple(shape),
        )
    )


def _emit(node: TfliteNode, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]) -> None:
    """Emit one box as the only output; axes that the declared shape leaves out must have size 1."""
    if len(shape) > MAX_RANK or min(shape, default=1) < 1:
        node.refuse(f"a result of shape {list(shape)}")
    box = Slice(
        name=node.name,
        inputs=node.inputs[:1],
        outputs=node.outputs,
        starts=tuple(starts),
        steps=tuple(steps),
        shape=tuple(shape),
    )
    target = node.declared[0].shape
    if target == box.shape or prod(target) != prod(shape):
        node.emit(box)
        return
    sliced = node.append(
        replace(box, outputs=(node.graph.fresh(f"{node.outputs[0]}.box"),)), node.dtype, node.declared[0].quant
    )
    node.emit(Reshape(name=f"{node.name}.shape", inputs=(sliced,), outputs=node.outputs, shape=target))


def import_tflite_slice(node: TfliteNode) -> None:
    begin, sizes, input_shape = node.constant(1, "begin").tolist(), node.constant(2, "size").tolist(), node.shape(0)
    if not len(begin) == len(sizes) == len(input_shape):
        node.refuse("its begin and size do not fit its input")
    shape = [d - b if s == -1 else s for d, b, s in zip(input_shape, begin, sizes, strict=True)]
    if any(b < 0 or b + s > d for d, b, s in zip(input_shape, begin, shape, strict=True)):
        node.refuse(f"the box at {begin} of {shape} is outside {list(input_shape)}")
    _emit(node, begin, [1] * len(input_shape), shape)


def import_tflite_strided_slice(node: TfliteNode) -> None:
    """STRIDED_SLICE with masks as bits per axis; an axis of shrink_axis_mask is one index. Source: TFLite."""
    options, input_shape = node.options(tflite.StridedSliceOptions), node.shape(0)
    begin, end, steps = (node.constant(i, n).tolist() for i, n in ((1, "begin"), (2, "end"), (3, "strides")))
    if options.EllipsisMask() or options.NewAxisMask() or not len(begin) == len(end) == len(steps) <= len(input_shape):
        node.refuse("an ellipsis or new axis, or begin, end and strides that do not fit")
    starts, jumps, shape = [0] * len(input_shape), [1] * len(input_shape), list(input_shape)
    for i, (b, e, s) in enumerate(zip(begin, end, steps, strict=True)):
        if s == 0:
            node.refuse("a stride of 0")
        if options.ShrinkAxisMask() >> i & 1:
            index = node.axis(b, input_shape[i])
            starts[i], jumps[i], shape[i] = index, 1, 1
            continue
        first = None if options.BeginMask() >> i & 1 else b
        last = None if options.EndMask() >> i & 1 else b + e if options.Offset() else e
        chosen = range(input_shape[i])[slice(first, last, s)]
        if not len(chosen):
            node.refuse(f"an empty result along axis {i}")
        starts[i], jumps[i], shape[i] = chosen.start, s, len(chosen)
    _emit(node, starts, jumps, shape)


def import_tflite_split(node: TfliteNode) -> None:
    """SPLIT takes (axis, x), UNPACK x and an axis option; parts are equal, UNPACK drops the axis."""
    x = 1 if node.op == "SPLIT" else 0
    input_shape, count = node.shape(x), len(node.outputs)
    axis_input = int(node.constant(0, "axis").reshape(-1)[0]) if x else node.options(tflite.UnpackOptions).Axis()
    axis = node.axis(axis_input, len(input_shape))
    if input_shape[axis] % count or len(input_shape) > MAX_RANK or (not x and input_shape[axis] != count):
        node.refuse(f"{input_shape[axis]} entries in {count} parts")
    for i in range(count):
        starts, shape = [0] * len(input_shape), list(input_shape)
        shape[axis] = input_shape[axis] // count
        starts[axis] = i * shape[axis]
        part = replace(
            node, name=node.name if i == 0 else f"{node.name}.{i}", inputs=(node.inputs[x],),
            outputs=(node.outputs[i],), declared=(node.declared[i],),
        )  # fmt: skip
        _emit(part, starts, [1] * len(input_shape), shape)


ONNX = {"Slice": import_slice, "Split": import_split}
TFLITE = {
    "SLICE": import_tflite_slice,
    "STRIDED_SLICE": import_tflite_strided_slice,
    "SPLIT": import_tflite_split,
    "UNPACK": import_tflite_split,
}
NODES = (Slice,)


def samples() -> Iterator[Sample]:
    bounds = {"starts": [1, 0], "ends": [3, 99], "axes": [1, 3], "steps": [1, 2]}
    yield one_node("Slice", {"x": (1, 4, 2, 5)}, bounds, label="Slice_step_2")
    yield one_node(
        "Slice",
        {"x": (1, 6)},
        {"starts": [-1], "ends": [-99], "axes": [1], "steps": [-1]},
        label="Slice_back",
    )
    yield one_node("Slice", {"x": (1, 6)}, opset=9, starts=[1], ends=[4], axes=[1])
    yield one_node("Split", {"x": (1, 5, 2)}, {"split": [2, 3]}, outputs=2, axis=1)
    yield one_node("Split", {"x": (1, 6)}, outputs=2, opset=11, axis=1)
