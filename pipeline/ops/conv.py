"""Convolution, 1-D and 2-D, grouped and depthwise, with strides, asymmetric padding and dilation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import tflite

from pipeline.graph.facets import OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import Conv2dGroupedParams, Conv2dParams, DepthwiseParams, Groups, Image
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.shared.linear import (
    Linear,
    grouped_params,
    linear_call,
    linear_epilogue,
    prescribed_params,
    with_offset,
)
from pipeline.ops.shared.linear_tflite import tflite_linear
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.ops.shared.sums import chunks, correlation, patch_elements
from pipeline.ops.shared.window import Window, import_window, tflite_window
from pipeline.ops.transpose import channels_first, channels_last

SUMMARY = "1-D and 2-D; any stride, padding, dilation and group count"


@dataclass(frozen=True, kw_only=True)
class Conv(Linear):
    """x (n, h, w, c), weights (out, kh, kw, c / groups), bias (out,) -> (n, oh, ow, out)."""

    window: Window
    groups: int = 1

    def depthwise(self, graph: Graph) -> bool:
        out, _, _, per_group = graph.tensors[self.weights].shape
        return per_group == 1 and out == self.groups > 1

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (n, h, w, _), out = inputs[0], inputs[1][0]
        return ((n, *self.window.output(h, w), out),)

    @property
    def group_count(self) -> int:
        return self.groups

    @property
    def padded(self) -> bool:
        return any(self.window.pads)

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "mixed" if self.groups == 1 else "separate" if self.depthwise(graph) else "unknown"

    def with_channels(self, count: int) -> "Conv":
        return replace(self, groups=count) if self.groups > 1 else self

    def read(self, x: Array, graph: Graph) -> Array:
        shape = graph.tensors[self.weights].shape
        patches = self.window.patches(x.astype(np.float64), fill=0.0)
        split = patches.reshape(-1, shape[1] * shape[2], self.groups, shape[3])
        return split.transpose(2, 0, 1, 3).reshape(self.groups, len(split), -1)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        kernel = emit.constant_view(self.weights, (0, 3, 1, 2))
        x = emit.transpose(self.inputs[0], (0, 3, 1, 2))
        y = emit.node("Conv", [x, kernel, self.bias], group=self.groups, **self.window.attributes())
        emit.clip(emit.transpose(y, (0, 2, 3, 1)), self.output, self.low, self.high)

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, kernel, bias = inputs[:3]
        zero = graph.tensors[self.inputs[0]].quant
        assert zero is not None
        samples, batch, h, w, channels = x.shape
        images = x.reshape(-1, h, w, channels)
        y = np.empty((len(images), *self.window.output(h, w), len(kernel)), graph.tensors[self.output].dtype)
        for part in chunks(len(images), patch_elements(self.window, (h, w, channels))):
            acc = correlation(self.window, images[part], zero.zero_point, kernel, self.groups)
            y[part] = self.rescaled(acc.astype(np.int64) + bias, graph)
        return (y.reshape(samples, batch, *y.shape[1:]),)

    def macs(self, graph: Graph) -> int:
        kernel = graph.tensors[self.weights].shape
        return prod(graph.tensors[self.output].shape) * prod(kernel[1:])

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [linear_call(self, graph, self._params(graph))]

    def _params(self, graph: Graph) -> KernelParams:
        x, y = graph.tensors[self.inputs[0]], graph.tensors[self.output]
        kernel = graph.constant(self.weights)
        out, height, width, depth = kernel.shape
        assert x.quant is not None
        image: Image = {
            "batch": x.shape[0], "height": x.shape[1], "width": x.shape[2],
            "out_height": y.shape[1], "out_width": y.shape[2], "kernel_height": height,
            "stride_y": self.window.strides[0], "stride_x": self.window.strides[1],
            "pad_top": self.window.pads[0], "pad_left": self.window.pads[1],
            "dilation_y": self.window.dilations[0],
            "input_zero_point": x.quant.zero_point,
        }  # fmt: skip
        across = self.window.dilations[1]
        groups: Groups = {
            "groups": self.groups, "depth": depth, "group_outputs": out // self.groups,
            "kernel_width": width, "dilation_x": across,
        }  # fmt: skip
        if x.dtype == "int16":
            return grouped_params(self, graph, kernel, image, groups)
        last = linear_epilogue(self, graph, kernel.reshape(out, -1))
        if self.groups == 1 and (across == 1 or width == 1):
            rows = Conv2dParams(
                weights=kernel, bias=last.bias, requantize=last.requantize,
                channels=depth, row=width * depth, out_channels=out, **image,
            )  # fmt: skip
            int8_rows = rows if kernel.dtype == np.int8 else with_offset(rows)
            if int8_rows is not None:
                return int8_rows
        if kernel.dtype == np.int16:
            return grouped_params(self, graph, kernel, image, groups)
        if self.depthwise(graph):
            return DepthwiseParams(
                weights=kernel[..., 0].transpose(1, 2, 0), bias=last.bias, requantize=last.requantize,
                channels=out, kernel_width=width, dilation_x=across, **image,
            )  # fmt: skip
        return Conv2dGroupedParams(weights=kernel, bias=last.bias, requantize=last.requantize, **image, **groups)


def import_conv(node: OnnxNode) -> None:
    """Conv, which ONNX stores as (n, c, spatial...) and (out, c / groups, spatial...); 1-D becomes 2-D of height 1."""
    kernel = node.constant(1, "weights")
    if kernel.ndim not in (3, 4) or node.rank() != kernel.ndim:
        node.refuse(f"{kernel.ndim - 2}-D convolution of a rank-{node.rank()} tensor", "1-D and 2-D are supported.")
    groups = int(node.attr("group", 1))
    channels = node.shape(0)[1]
    if groups < 1 or channels % groups or kernel.shape[0] % groups or kernel.shape[1] * groups != channels:
        node.refuse(f"{groups} groups do not divide {channels} channels into weights of shape {kernel.shape}")
    bias = node.optional(2, "bias")
    if bias is None:
        bias = np.zeros(kernel.shape[0], np.float32)
    window = import_window(node, kernel.shape[2:])
    if kernel.ndim == 3:
        kernel = kernel[:, :, None]
    graph = node.graph
    names = (
        graph.constant(node.inputs[1] + ".ohwi", kernel.transpose(0, 2, 3, 1), prescribed_params(node, 1, 0)),
        graph.constant(node.inputs[2] if node.has(2) else node.name + ".bias", bias),
    )
    x = channels_last(node)
    y = graph.append(
        Conv(name=node.name, inputs=(x, *names), outputs=(graph.fresh(node.outputs[0] + ".nhwc"),),
             window=window, groups=groups)
    )  # fmt: skip
    channels_first(node, y)


def import_tflite_conv(node: TfliteNode) -> None:
    """CONV_2D: weights (out, kh, kw, c / groups). DEPTHWISE_CONV_2D: (1, kh, kw, out)."""
    kernel, input_shape = node.constant(1, "weights"), node.shape(0)
    if kernel.ndim != 4 or len(input_shape) != 4:
        node.refuse(f"weights of shape {kernel.shape} on {input_shape}")
    if node.op == "CONV_2D":
        options, axis = node.options(tflite.Conv2DOptions), 0
    else:
        options, axis = node.options(tflite.DepthwiseConv2DOptions), 3
        kernel = kernel.transpose(3, 1, 2, 0)
    groups = input_shape[3] // kernel.shape[3] if kernel.shape[3] else 0
    if not groups or groups * kernel.shape[3] != input_shape[3] or kernel.shape[0] % groups:
        node.refuse(f"weights of shape {node.shape(1)} do not fit an input of shape {input_shape}")
    window = tflite_window(node, kernel.shape[1:3], options, (options.DilationHFactor(), options.DilationWFactor()))
    fields = tflite_linear(node, kernel, axis, 2, options.FusedActivationFunction())
    node.emit(Conv(name=node.name, outputs=node.outputs, window=window, groups=groups, **fields))


ONNX = {"Conv": import_conv}
TFLITE = {"CONV_2D": import_tflite_conv, "DEPTHWISE_CONV_2D": import_tflite_conv}
NODES = (Conv,)


def samples() -> Iterator[Sample]:
    def conv(label: str, x: Shape, kernel: Shape, bias: bool = True, **attributes: Any) -> Sample:
        constants = {"w": weights(*kernel)} | ({"b": weights(kernel[0], seed=3)} if bias else {})
        return one_node("Conv", {"x": x}, constants, label=f"Conv_{label}", **attributes)

    yield conv("1x1", (1, 3, 4, 5), (4, 3, 1, 1))
    yield conv("3x3_pad", (1, 2, 5, 5), (3, 2, 3, 3), pads=[1, 1, 1, 1])
    yield conv("one_channel", (1, 1, 6, 6), (5, 1, 3, 3), pads=[1, 1, 1, 1])
    yield conv("stride_asymmetric_pad", (1, 3, 7, 6), (2, 3, 3, 2), pads=[0, 1, 2, 0], strides=[2, 2])
    yield conv("dilation", (1, 2, 9, 9), (3, 2, 3, 3), dilations=[2, 3], pads=[2, 2, 2, 2])
    yield conv("grouped", (1, 4, 5, 5), (6, 2, 3, 3), group=2, bias=False)
    yield conv("depthwise", (1, 5, 6, 6), (5, 1, 3, 3), group=5, pads=[1, 0, 1, 0], strides=[2, 1])
    yield conv("depthwise_multiplier_2", (1, 3, 5, 5), (6, 1, 3, 3), group=3)
    yield conv("1d", (1, 3, 11), (4, 3, 3), pads=[1, 1])
    yield conv("same_upper", (1, 2, 5, 5), (2, 2, 2, 2), auto_pad="SAME_UPPER")
    yield conv("same_lower_stride", (1, 2, 6, 5), (2, 2, 3, 2), auto_pad="SAME_LOWER", strides=[2, 2])
