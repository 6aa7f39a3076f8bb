"""Everything that only renames the axes of the same bytes: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "a view: no code, no copy"


@dataclass(frozen=True, kw_only=True)
class Reshape(Node):
    """x -> the same elements in row-major order as `shape`."""

    commutes_with_clamp: ClassVar[bool] = True

    shape: Shape

    is_view: ClassVar[bool] = True
    shares_memory: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        assert prod(inputs[0]) == prod(self.shape), f"{self.name}: {inputs[0]} -> {self.shape}"
        return (self.shape,)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def offset_in_input(self, graph: Graph) -> int:
        return 0

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        input_shape = graph.tensors[self.inputs[0]].shape
        return "separate" if input_shape and self.shape and input_shape[-1] == self.shape[-1] else "unknown"

    def channel_range(self, least: Array, most: Array, graph: Graph) -> tuple[Array, Array] | None:
        return (least, most) if self.channel_effect(graph) == "separate" else None

    def with_channels(self, count: int) -> "Reshape":
        return replace(self, shape=(*self.shape[:-1], count))

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Reshape, AffineForm] | None":
        return self, form.mapped(lambda v: v.reshape(target))

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.node("Reshape", [self.inputs[0], emit.integers(self.shape)], self.output)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[0].reshape(-1, *self.shape),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return []


def _append(node: OnnxNode, shape: Sequence[int]) -> None:
    if prod(shape) != prod(node.shape(0)) or min(shape, default=1) < 1:
        node.refuse(
            f"{node.shape(0)} cannot become {tuple(shape)}",
            "A batch size written into the model is taken as 1; export with a dynamic batch.",
        )
    node.graph.append(Reshape(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], shape=tuple(shape)))


def import_reshape(node: OnnxNode) -> None:
    """Reshape: 0 keeps a dimension (unless allowzero), -1 is inferred. Source: ONNX Reshape."""
    target = [int(v) for v in node.constant(1, "shape").reshape(-1)]
    input_shape = node.shape(0)
    if not node.attr("allowzero", 0):
        if any(v == 0 and i >= len(input_shape) for i, v in enumerate(target)):
            node.refuse(f"shape {target} keeps a dimension that {input_shape} does not have")
        target = [input_shape[i] if v == 0 else v for i, v in enumerate(target)]
    if target.count(-1) == 1:
        rest = prod(v for v in target if v != -1)
        target[target.index(-1)] = prod(input_shape) // rest if rest else 0
    _append(node, target)


def import_flatten(node: OnnxNode) -> None:
    input_shape, axis = node.shape(0), int(node.attr("axis", 1))
    axis = axis if axis == len(input_shape) else node.axis(axis, len(input_shape))
    _append(node, (prod(input_shape[:axis]), prod(input_shape[axis:])))


def import_squeeze(node: OnnxNode) -> None:
    input_shape = node.shape(0)
    axes_input = node.attr_or_input("axes", 1)
    axes = (
        [i for i, d in enumerate(input_shape) if d == 1]
        if axes_input is None
        else node.axes(axes_input, len(input_shape))
    )
    if any(input_shape[a] != 1 for a in axes):
        node.refuse(f"axes {list(axes)} of {input_shape} are not all of size 1")
    _append(node, [d for i, d in enumerate(input_shape) if i not in axes])


def import_unsqueeze(node: OnnxNode) -> None:
    input_shape = node.shape(0)
    axes_input = node.attr_or_input("axes", 1, [])
    rank = len(input_shape) + len(axes_input)
    axes = set(node.axes(axes_input, rank))
    rest = iter(input_shape)
    _append(node, [1 if i in axes else next(rest) for i in range(rank)])


def import_identity(node: OnnxNode) -> None:
    """Identity, and Dropout as it is at inference."""
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        node.refuse("a mask output", "Export the model in evaluation mode.")
    if node.op == "Dropout" and node.has(2) and bool(node.constant(2, "training_mode").any()):
        node.refuse("training mode", "Export the model in evaluation mode.")
    _append(node, node.shape(0))


def import_tflite_view(node: TfliteNode) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS, whose resulting shape the file declares."""
    shape = node.declared[0].shape
    if prod(shape) != prod(node.shape(0)) or not prod(shape):
        node.refuse(f"{node.shape(0)} cannot become {shape}")
    node.emit(Reshape(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, shape=shape))


def import_tflite_shape(node: TfliteNode) -> None:
    node.fold(np.array(node.shape(0), np.int32))


ONNX = {
    "Reshape": import_reshape,
    "Flatten": import_flatten,
    "Squeeze": import_squeeze,
    "Unsqueeze": import_unsqueeze,
    "Identity": import_identity,
    "Dropout": import_identity,
}
TFLITE = {
    "RESHAPE": import_tflite_view,
    "SQUEEZE": import_tflite_view,
    "EXPAND_DIMS": import_tflite_view,
    "SHAPE": import_tflite_shape,
}
NODES = (Reshape,)


def samples() -> Iterator[Sample]:
    yield one_node("Reshape", {"x": (1, 2, 3, 4)}, {"shape": [0, -1, 2]})
    yield one_node("Flatten", {"x": (1, 2, 3, 4)})
    yield one_node("Squeeze", {"x": (1, 3, 1)}, {"axes": [2]})
    yield one_node("Squeeze", {"x": (1, 3, 1)}, opset=11, axes=[-1])
    yield one_node("Unsqueeze", {"x": (1, 3)}, {"axes": [1, 3]})
    yield one_node("Identity", {"x": (1, 3)})
    yield one_node("Dropout", {"x": (1, 3)})
