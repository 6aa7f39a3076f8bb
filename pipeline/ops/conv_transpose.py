"""Transposed convolution: zeros between the input's entries, then a convolution with the kernel reversed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tflite

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.moves import FillParams
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.node import ImportNode
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.conv import Conv
from pipeline.ops.shared.copying import copy_call, strides_of
from pipeline.ops.shared.linear import prescribed_params
from pipeline.ops.shared.linear_tflite import tflite_linear
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.ops.shared.window import Window
from pipeline.ops.transpose import channels_first, channels_last

SUMMARY = "1-D and 2-D; any stride, padding and group count"


@dataclass(frozen=True, kw_only=True)
class Spread(Node):
    """x (n, h, w, c) -> (n, (h - 1) * sy + 1, (w - 1) * sx + 1, c) with zeros (real ones) in between."""

    strides: tuple[int, int]

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        n, h, w, c = inputs[0]
        return ((n, (h - 1) * self.strides[0] + 1, (w - 1) * self.strides[1] + 1, c),)

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Spread, AffineForm] | None":
        passes = form.constant_along((1, 2)) and not form.offset.any()
        return (self, form.resized((1, 2), target)) if passes else None

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        c = graph.tensors[self.inputs[0]].shape[3]
        x = emit.transpose(self.inputs[0], (0, 3, 1, 2))
        one = emit.floats(np.ones((c, 1, 1, 1), np.float32))
        y = emit.node("ConvTranspose", [x, one], group=c, strides=list(self.strides))
        emit.transpose(y, (0, 2, 3, 1), self.output)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def _zero(self, graph: Graph) -> int:
        quant = graph.tensors[self.output].quant
        return quant.zero_point if quant else 0

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        shape = graph.tensors[self.output].shape
        y = np.full((len(inputs[0]), *shape), self._zero(graph), inputs[0].dtype)
        y[:, :, :: self.strides[0], :: self.strides[1]] = inputs[0]
        return (y,)

    def calls(self, graph: Graph) -> list[KernelCall]:
        source, target = graph.tensors[self.inputs[0]], graph.tensors[self.output]
        fill = KernelCall(
            kernel="fill" + suffix(target.dtype),
            node=self.name,
            inputs=(),
            outputs=self.outputs,
            params=FillParams(count=target.size, value=self._zero(graph)),
        )
        n, y, x, c = strides_of(target.shape)
        steps = (n, y * self.strides[0], x * self.strides[1], c)
        dims, strides = source.shape, strides_of(source.shape)
        copy = copy_call(
            self.name, graph, source.name, target.name, dims=dims, source_strides=strides, target_strides=steps
        )
        return [fill, copy]


def transposed_window(
    node: ImportNode, spatial: Sequence[int], kernel: Sequence[int], strides: tuple[int, int],
    begin: Sequence[int], out: Sequence[int], dilations: tuple[int, int] = (1, 1),
) -> Window:  # fmt: skip
    """The window of the convolution that follows the spreading; `begin` are the transposed convolution's own pads."""
    span = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    before = [s - b for s, b in zip(span, begin, strict=True)]
    after = [o - ((n - 1) * s + 1) + p - b for o, n, s, p, b in zip(out, spatial, strides, span, before, strict=True)]
    if min(*before, *after) < 0 or max(*before, *after, *out) > 4096 or min(out) < 1:
        node.refuse(f"an output of {list(out)} with pads {list(begin)}", "Pads up to the kernel's size are supported.")
    return Window((int(kernel[0]), int(kernel[1])), (1, 1), (before[0], before[1], after[0], after[1]), dilations)


def _spread(node: ImportNode, x: str, strides: tuple[int, int], dtype: str, quant: QuantParams | None) -> str:
    if strides == (1, 1):
        return x
    label = node.graph.fresh(f"{node.name}.spread")
    return node.graph.append(Spread(name=label, inputs=(x,), outputs=(label,), strides=strides), dtype, quant)


def import_conv_transpose(node: OnnxNode) -> None:
    """ConvTranspose, whose weights ONNX stores as (in, out / groups, spatial...). Source: ONNX ConvTranspose."""
    kernel = node.constant(1, "weights")
    rank, groups, spatial = kernel.ndim - 2, int(node.attr("group", 1)), node.shape(0)[2:]
    if rank not in (1, 2) or node.rank() != kernel.ndim:
        node.refuse(f"{rank}-D convolution of a rank-{node.rank()} tensor", "1-D and 2-D are supported.")
    if groups < 1 or kernel.shape[0] != node.shape(0)[1] or kernel.shape[0] % groups:
        node.refuse(f"weights of shape {kernel.shape} in {groups} groups for {node.shape(0)[1]} channels")
    sizes = kernel.shape[2:]
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    extra, output_shape = node.ints("output_padding", (0,) * rank), node.ints("output_shape", ())
    if any(len(v) != rank for v in (strides, dilations, extra)) or min(*strides, *dilations, *sizes) < 1:
        node.refuse("strides, dilations and output_padding must be positive, one for each spatial dimension")
    begin, out = _pads(node, spatial, sizes, strides, dilations, extra, output_shape[-rank:] if output_shape else ())
    inputs, per_group = kernel.shape[:2]
    parts = kernel.reshape(groups, inputs // groups, per_group, *sizes)
    turned = np.moveaxis(parts, 1, -1)[:, :, *((slice(None, None, -1),) * rank)].reshape(-1, *sizes, inputs // groups)
    bias = node.optional(2, "bias")
    if bias is None:
        bias = np.zeros(len(turned), np.float32)
    if rank == 1:
        turned, spatial, sizes, begin, out = turned[:, None], (1, *spatial), (1, *sizes), [0, *begin], [1, *out]
        strides, dilations = (1, *strides), (1, *dilations)
    window = transposed_window(node, spatial, sizes, (strides[0], strides[1]), begin, out, (dilations[0], dilations[1]))
    graph, quant = node.graph, prescribed_params(node, 1, 1)
    if quant is not None and quant.axis is not None:  # one scale for each output of a group
        quant = replace(quant, scale=quant.scale * groups)
    x = _spread(node, channels_last(node), (strides[0], strides[1]), "float32", None)
    names = (
        graph.constant(f"{node.inputs[1]}.turned", turned.astype(np.float32), quant),
        graph.constant(f"{node.name}.bias", bias.astype(np.float32)),
    )
    y = graph.fresh(f"{node.outputs[0]}.nhwc")
    channels_first(
        node, graph.append(Conv(name=node.name, inputs=(x, *names), outputs=(y,), window=window, groups=groups))
    )


def _pads(
    node: OnnxNode, spatial: Sequence[int], sizes: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], extra: Sequence[int], output_shape: Sequence[int],
) -> tuple[list[int], list[int]]:  # fmt: skip
    """The pads at the begin of every spatial dimension, and the output sizes."""
    rank = len(sizes)
    auto = node.attr("auto_pad", "NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else auto
    pads = node.ints("pads", (0,) * (2 * rank))
    if len(pads) != 2 * rank or (output_shape and len(output_shape) != rank):
        node.refuse(f"pads {list(pads)} or output_shape {list(output_shape)} for {rank} dimensions")
    begin, out = [], []
    for i in range(rank):
        full = strides[i] * (spatial[i] - 1) + extra[i] + (sizes[i] - 1) * dilations[i] + 1
        if output_shape or auto in ("SAME_UPPER", "SAME_LOWER"):
            size = output_shape[i] if output_shape else spatial[i] * strides[i]
            total = max(0, full - size)
            begin.append(total - total // 2 if auto == "SAME_LOWER" else total // 2)
            out.append(size)
        else:
            begin.append(pads[i] if auto == "NOTSET" else 0)
            out.append(full - (pads[i] + pads[i + rank] if auto == "NOTSET" else 0))
    return begin, out


def import_tflite_transpose_conv(node: TfliteNode) -> None:
    """TRANSPOSE_CONV of (output shape, weights (out, kh, kw, in), x, bias). Source: TFLite TRANSPOSE_CONV."""
    options, kernel, input_shape = node.options(tflite.TransposeConvOptions), node.constant(1, "weights"), node.shape(2)
    target, strides = node.declared[0].shape, (options.StrideH(), options.StrideW())
    if (
        kernel.ndim != 4
        or len(input_shape) != 4
        or len(target) != 4
        or kernel.shape[3] != input_shape[3]
        or min(strides) < 1
    ):
        node.refuse(f"weights of shape {kernel.shape} on {input_shape}")
    begin = []
    for size, k, s in zip(target[1:3], kernel.shape[1:3], strides, strict=True):
        steps = -(-size // s) if options.Padding() == tflite.Padding.SAME else (size - k + s) // s
        begin.append(max(0, (steps - 1) * s + k - size) // 2)
    window = transposed_window(node, input_shape[1:3], kernel.shape[1:3], strides, begin, target[1:3])
    x = node.graph.tensors[node.inputs[2]]
    spread = _spread(node, x.name, strides, x.dtype, x.quant)
    conv = TfliteNode(
        op=node.op, name=node.name, inputs=(spread, node.inputs[1], *node.inputs[3:4]), outputs=node.outputs,
        graph=node.graph, file=node.file, declared=node.declared, table=node.table, unsigned=node.unsigned,
    )  # fmt: skip
    fields = tflite_linear(conv, kernel[:, ::-1, ::-1], 0, 2, options.FusedActivationFunction())
    conv.emit(Conv(name=node.name, outputs=node.outputs, window=window, **fields))


ONNX = {"ConvTranspose": import_conv_transpose}
TFLITE = {"TRANSPOSE_CONV": import_tflite_transpose_conv}
NODES = (Spread,)


def samples() -> Iterator[Sample]:
    def turned(label: str, x: Shape, kernel: Shape, **attributes: Any) -> Sample:
        return one_node(
            "ConvTranspose", {"x": x}, {"w": weights(*kernel)}, label=f"ConvTranspose_{label}", **attributes
        )

    yield turned("stride", (1, 3, 4, 4), (3, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    yield turned("grouped", (1, 4, 3, 3), (4, 2, 2, 3), group=2)
    yield turned("1d", (1, 2, 5), (2, 3, 4), strides=[3])
    yield turned("dilation", (1, 2, 4, 4), (2, 3, 2, 2), dilations=[2, 2])
