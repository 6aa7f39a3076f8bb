"""Slice and Split: strided copies of a box."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.calls import KernelCall
from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph, Node, Shape
from pipeline.ops.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.samples import Sample, one_node

SUMMARY = "constant bounds and steps, backwards too"


@dataclass(frozen=True, kw_only=True)
class Slice(Node):
    """y[i, j, ...] = x[starts[0] + i * steps[0], ...] for a box of `shape`; one entry per axis of x."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: Shape

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self.shape,)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Slice":
        order = np.argsort(perm)
        fields = (tuple(v[i] for i in order) for v in (self.starts, self.steps, self.shape))
        starts, steps, shape = fields
        return replace(self, starts=starts, steps=steps, shape=shape)

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        last = [
            s + (n - 1) * d + (1 if d > 0 else -1) for s, d, n in zip(self.starts, self.steps, self.shape, strict=True)
        ]
        # A negative end would count from the back: ONNX writes "before the first element" as a huge negative.
        ends = [e if e >= 0 else -(2**31) for e in last]
        parameters = (self.starts, ends, range(len(ends)), self.steps)
        emit.node("Slice", [self.inputs[0], *(emit.integers(p) for p in parameters)], self.output)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: Any) -> None:
        quantizer.keep(self)

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
                self.shape,
                [s * d for s, d in zip(strides, self.steps, strict=True)],
                strides_of(self.shape),
                source_offset=sum(s * b for s, b in zip(strides, self.starts, strict=True)),
            )
        ]


def import_slice(node: OnnxNode) -> None:
    """Source: ONNX Slice: bounds clamp to the axis, negative ones count from its end."""
    given = node.shape(0)
    starts, ends = (np.atleast_1d(node.attr_or_input(n, i)) for i, n in ((1, "starts"), (2, "ends")))
    axes = node.axes(node.attr_or_input("axes", 3, list(range(len(starts)))), len(given))
    steps = np.atleast_1d(node.attr_or_input("steps", 4, [1] * len(starts)))
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(given) > MAX_RANK:
        node.refuse("its starts, ends, axes and steps differ in length")
    begin, step, shape = [0] * len(given), [1] * len(given), list(given)
    for s, e, a, d in zip(starts.tolist(), ends.tolist(), axes, steps.tolist(), strict=True):
        if d == 0:
            node.refuse("a step of 0")
        chosen = range(given[a])[slice(s, e if d > 0 or e >= -given[a] else None, d)]
        if not len(chosen):
            node.refuse(f"an empty result along axis {a}")
        begin[a], step[a], shape[a] = chosen.start, d, len(chosen)
    _append(node, 0, begin, step, shape)


def import_split(node: OnnxNode) -> None:
    given = node.shape(0)
    axis = node.axis(int(node.attr("axis", 0)), len(given))
    sizes = node.attr_or_input("split", 1)
    count = len(node.outputs)
    if sizes is None:
        each = -(-given[axis] // count)
        sizes = [each] * (count - 1) + [given[axis] - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != given[axis] or min(sizes) < 1 or len(given) > MAX_RANK:
        node.refuse(f"sizes {list(sizes)} do not add up to {given[axis]} in {count} outputs")
    at = 0
    for i, size in enumerate(sizes):
        begin, shape = [0] * len(given), list(given)
        begin[axis], shape[axis] = at, int(size)
        _append(node, i, begin, [1] * len(given), shape)
        at += int(size)


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


ONNX = {"Slice": import_slice, "Split": import_split}
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
