"""Pad with a constant: folded into a convolution's own padding when it is zero, else a fill and a copy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.moves import FillParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.select import LARGEST, NONE, append_select
from pipeline.ops.shared.copying import MAX_RANK, copy_call, strides_of
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "any mode; other modes than constant by a table of indices"


@dataclass(frozen=True, kw_only=True)
class Pad(Node):
    """x -> x with `begin[i]` and `end[i]` more entries of `value` around axis i. Integer: `value` is quantized."""

    follows_layout: ClassVar[bool] = True

    begin: tuple[int, ...]
    end: tuple[int, ...]
    value: float = 0.0

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(d + b + e for d, b, e in zip(inputs[0], self.begin, self.end, strict=True)),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Pad":
        more = (0,) * (len(perm) - len(self.begin))
        begin, end = (tuple((*v, *more)[i] for i in np.argsort(perm)) for v in (self.begin, self.end))
        return replace(self, begin=begin, end=end)

    def selected_from(self, graph: Graph) -> Sequence[Array]:
        return (np.array(self.value, np.float32),)

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Pad, AffineForm] | None":
        """With the value that the affine maps to the old one."""
        scale, offset, value = form.scale.flat[0], form.offset.flat[0], self.value
        widths = list(zip(self.begin, self.end, strict=True))
        if value or form.offset.any():
            if not form.constant_along(tuple(range(form.scale.ndim))) or not scale:
                return None
            value = float((value - offset) / scale)
            if not np.isfinite(np.float32(value)):
                return None
        return replace(self, value=value), form.mapped(lambda v: np.pad(v, widths, mode="edge"))

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        pads = emit.integers([*self.begin, *self.end])
        value = emit.floats(np.float32(self.value))
        emit.node("Pad", [self.inputs[0], pads, value], self.output, mode="constant")

    def ties(self) -> tuple[tuple[str, str], ...]:
        """The pair of input and output, unless the value may widen the output's range."""
        return () if self.value else ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        target = quantizer.params(self.output)
        x = quantizer.with_params(self.inputs[0], target)
        quantizer.append(replace(self, inputs=(x,), value=float(target.quantize(np.array(self.value, np.float32)))))

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        around = ((0, 0), *zip(self.begin, self.end, strict=True))
        return (np.pad(inputs[0], around, constant_values=int(self.value)),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        source, target = graph.tensors[self.inputs[0]], graph.tensors[self.output]
        steps = strides_of(target.shape)
        fill = KernelCall(
            kernel="fill" + suffix(target.dtype),
            node=self.name,
            inputs=(),
            outputs=self.outputs,
            params=FillParams(count=target.size, value=int(self.value)),
        )
        at = sum(s * b for s, b in zip(steps, self.begin, strict=True))
        copy = copy_call(
            self.name,
            graph,
            source.name,
            target.name,
            dims=source.shape,
            source_strides=strides_of(source.shape),
            target_strides=steps,
            target_offset=at,
        )
        return [fill, copy]


def import_pad(node: OnnxNode) -> None:
    attribute = node.attr("mode", b"constant")
    mode = attribute.decode() if isinstance(attribute, bytes) else attribute
    rank = node.rank()
    pads = [int(v) for v in node.attr_or_input("pads", 1, [])]
    axes = node.axes(node.attr_or_input("axes", 3, list(range(rank))), rank)
    value = node.attr_or_input("value", 2, 0.0)
    value = float(value[0] if isinstance(value, list) else value)
    if len(pads) != 2 * len(axes) or rank > MAX_RANK:
        node.refuse(f"{len(pads)} pads for {len(axes)} axes")
    if min(pads, default=0) < 0 or max(pads, default=0) > 4096:
        node.refuse("a negative pad, or one above 4096", "Use Slice to crop.")
    begin, end = [0] * rank, [0] * rank
    for i, a in enumerate(axes):
        begin[a], end[a] = pads[i], pads[i + len(axes)]
    if mode != "constant":
        _import_by_indices(node, mode, tuple(zip(begin, end, strict=True)))
        return
    node.graph.append(
        Pad(
            name=node.name,
            inputs=node.inputs[:1],
            outputs=node.outputs[:1],
            begin=tuple(begin),
            end=tuple(end),
            value=value,
        )
    )


def _import_by_indices(node: OnnxNode, mode: str, pads: tuple[tuple[int, int], ...]) -> None:
    """Append a Pad of mode reflect, edge or wrap, in which NumPy is like ONNX.

    A reflection longer than the input goes back and forth.
    """
    size = prod(node.shape(0))
    if prod(d + a + b for d, (a, b) in zip(node.shape(0), pads, strict=True)) > LARGEST or size >= NONE:
        node.refuse(f"a result of more than {LARGEST} values, or an input of more than {NONE - 1}")
    numbered = np.arange(1, size + 1, dtype=np.float32).reshape(node.shape(0))
    if mode == "reflect":
        append_select(node, np.pad(numbered, pads, "reflect"))
    elif mode == "edge":
        append_select(node, np.pad(numbered, pads, "edge"))
    elif mode == "wrap":
        append_select(node, np.pad(numbered, pads, "wrap"))
    else:
        node.refuse(f"mode {mode}")


def import_tflite_pad(node: TfliteNode) -> None:
    """PAD fills with the output's zero, PADV2 with a constant."""
    pads, rank = node.constant(1, "paddings"), node.rank()
    if pads.shape != (rank, 2) or pads.min(initial=0) < 0 or pads.max(initial=0) > 4096 or rank > MAX_RANK:
        node.refuse(f"paddings {pads.tolist()} for {rank} axes")
    value = float(node.output_zero_point()) if node.quantized and node.declared[0].quant else 0.0
    if node.op == "PADV2":
        value = float(node.constant(2, "value").reshape(-1)[0])
    begin, end = (tuple(int(v) for v in pads[:, i]) for i in (0, 1))
    node.emit(Pad(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, begin=begin, end=end, value=value))


ONNX = {"Pad": import_pad}
TFLITE = {"PAD": import_tflite_pad, "PADV2": import_tflite_pad}
NODES = (Pad,)


def samples() -> Iterator[Sample]:
    yield one_node("Pad", {"x": (1, 2, 3, 3)}, {"pads": [0, 0, 1, 2, 0, 0, 0, 1]}, label="Pad_spatial")
    yield one_node("Pad", {"x": (1, 3)}, {"pads": [0, 1, 0, 2], "value": 1.5}, label="Pad_value")
    yield one_node("Pad", {"x": (1, 3, 4)}, {"pads": [0, 1, 2, 0, 1, 1]}, label="Pad_reflect", mode="reflect")
    yield one_node("Pad", {"x": (1, 3)}, opset=7, pads=[0, 1, 0, 0], mode="constant")
