"""MaxPool: the output shares the input's scale, so it is exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import tflite

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.pooling import MaxPoolParams, PoolParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.lookup import clamp_table
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.ops.shared.window import Window, import_window, tflite_window
from pipeline.ops.transpose import channels_first, channels_last

SUMMARY = "1-D and 2-D; any stride, padding, dilation; ceil mode"


@dataclass(frozen=True, kw_only=True)
class MaxPool(Node):
    """x (n, h, w, c) -> (n, oh, ow, c); padding never wins."""

    commutes_with_clamp: ClassVar[bool] = True

    window: Window

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        n, h, w, c = inputs[0]
        return ((n, *self.window.output(h, w), c),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "separate"

    def channel_range(self, least: Array, most: Array, graph: Graph) -> tuple[Array, Array] | None:
        return None if any(self.window.pads) else (least, most)

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[MaxPool, AffineForm] | None":
        passes = form.constant_along((1, 2)) and bool((form.scale > 0).all())
        return (self, form.resized((1, 2), target)) if passes else None

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        x, window = emit.transpose(self.inputs[0], (0, 3, 1, 2)), self.window
        if any(p >= k for p, k in zip(window.pads, window.kernel * 2, strict=True)):
            # ONNX Runtime refuses such pads, which a dilation or the ceil mode may need: below every float then.
            top, left, bottom, right = window.pads
            pads = emit.integers([0, 0, top, left, 0, 0, bottom, right])
            x = emit.node("Pad", [x, pads, emit.floats(np.finfo(np.float32).min)], mode="constant")
            window = replace(window, pads=(0, 0, 0, 0))
        emit.transpose(emit.node("MaxPool", [x], **window.attributes()), (0, 2, 3, 1), self.output)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.pass_through(self)

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        samples, batch, h, w, c = inputs[0].shape
        y = self.window.patches(inputs[0].reshape(-1, h, w, c), fill=np.iinfo(inputs[0].dtype).min).max(axis=(3, 4))
        return (y.reshape(samples, batch, *y.shape[1:]),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [
            KernelCall(
                kernel="max_pool" + suffix(graph.tensors[self.output].dtype),
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=MaxPoolParams(pool=pool_params(self.window, graph, self)),
            )
        ]


def pool_params(window: Window, graph: Graph, node: Node) -> PoolParams:
    """The parameters of the kernels of all pools: the images' sizes and the window's."""
    x, y = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    return PoolParams(
        batch=x[0], height=x[1], width=x[2], channels=x[3], out_height=y[1], out_width=y[2],
        kernel_height=window.kernel[0], kernel_width=window.kernel[1],
        stride_y=window.strides[0], stride_x=window.strides[1], pad_top=window.pads[0], pad_left=window.pads[1],
        dilation_y=window.dilations[0], dilation_x=window.dilations[1],
    )  # fmt: skip


def import_max_pool(node: OnnxNode) -> None:
    if len([o for o in node.outputs if o]) > 1:
        node.refuse("its second output (indices)")
    window = import_window(node)
    x = channels_last(node)
    y = node.graph.append(
        MaxPool(name=node.name, inputs=(x,), outputs=(node.graph.fresh(node.outputs[0] + ".nhwc"),), window=window)
    )
    channels_first(node, y)


def import_tflite_max_pool(node: TfliteNode) -> None:
    """MAX_POOL_2D; a fused activation is a clamp behind it."""
    options = node.options(tflite.Pool2DOptions)
    window = tflite_window(node, (options.FilterHeight(), options.FilterWidth()), options)
    clamp_table(
        node,
        options.FusedActivationFunction(),
        lambda y: MaxPool(name=node.name, inputs=node.inputs[:1], outputs=(y,), window=window),
    )


ONNX = {"MaxPool": import_max_pool}
TFLITE = {"MAX_POOL_2D": import_tflite_max_pool}
NODES = (MaxPool,)


def samples() -> Iterator[Sample]:
    yield one_node("MaxPool", {"x": (1, 3, 6, 6)}, kernel_shape=[2, 2], strides=[2, 2])
    yield one_node("MaxPool", {"x": (1, 2, 5, 7)}, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1)
    yield one_node("MaxPool", {"x": (1, 2, 8)}, kernel_shape=[3], dilations=[2])
