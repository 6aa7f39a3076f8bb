"""AveragePool: a sum, times one fixed-point reciprocal per count of taps inside the image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isinf

import numpy as np
import tflite

from pipeline.arithmetic.fixedpoint import common_ratio
from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph, ScaledNode
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.pooling import AveragePoolExactParams, AveragePoolParams
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.max_pool import pool_params
from pipeline.ops.pad import Pad
from pipeline.ops.shared.rounding import input_values
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.ops.shared.window import Window, import_window, tflite_window
from pipeline.ops.transpose import channels_first, channels_last

SUMMARY = "1-D and 2-D; any stride and padding, counted or not; ceil mode"


@dataclass(frozen=True, kw_only=True)
class AveragePool(ScaledNode):
    """x (n, h, w, c) -> (n, oh, ow, c).

    `counted` are the pads (top, left, bottom, right) whose zeros count as taps. Integer: with s the sum of
    x - zero_point over the taps inside and k the number counted, y = (s * reciprocal[k - 1] + offset) >> shift.
    """

    window: Window
    counted: tuple[int, int, int, int] = (0, 0, 0, 0)

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        n, h, w, c = inputs[0]
        return ((n, *self.window.output(h, w), c),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "separate"

    def counts(self, height: int, width: int) -> Array:
        """The number of taps that each output position divides by: int64 (oh, ow)."""
        top, left, bottom, right = self.counted
        ones = np.ones((1, height + top + bottom, width + left + right, 1), np.int64)
        pads = tuple(p - c for p, c in zip(self.window.pads, self.counted, strict=True))
        rest: Window = replace(self.window, pads=(pads[0], pads[1], pads[2], pads[3]))
        total: Array = rest.patches(ones, fill=0).sum(axis=(3, 4))[0, :, :, 0]
        return total

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[AveragePool, AffineForm] | None":
        free = isinf(self.low) and isinf(self.high) and not (any(self.counted) and form.offset.any())
        return (self, form.resized((1, 2), target)) if free and form.constant_along((1, 2)) else None

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        _, h, w, c = graph.tensors[self.inputs[0]].shape
        # A sum as a depthwise convolution of ones, divided by the exact counts: says ceil mode and asymmetric
        # counting the same way for every opset and runtime.
        x = emit.transpose(self.inputs[0], (0, 3, 1, 2))
        ones = emit.floats(np.ones((c, 1, *self.window.kernel), np.float32))
        total = emit.transpose(emit.node("Conv", [x, ones], group=c, **self.window.attributes()), (0, 2, 3, 1))
        counts = emit.floats(np.maximum(self.counts(h, w), 1)[None, :, :, None].astype(np.float32))
        emit.clip(emit.node("Div", [total, counts]), self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        if x.dtype == "int16":
            self._quantize_wide(quantizer, x, y)
            return
        taps = self.window.kernel[0] * self.window.kernel[1]
        ratio = min(x.scale[0] / y.scale[0], 2.0**20)  # a mean of one step or more saturates with any larger one
        # s is at most 255 per tap, so s * reciprocal is at most 255 * ratio: one ratio bounds every count.
        _, shift = common_ratio([ratio, 1.0], 256)
        shift = min(shift, 24)
        table = np.array([round(ratio / k * 2**shift) for k in range(1, taps + 1)], np.int32)
        bottom, top = quantizer.clamp(self)
        quantizer.append(
            replace(
                self,
                inputs=(self.inputs[0], quantizer.constant(f"{self.name}.reciprocal", table)),
                offset=(y.zero_point << shift) + (1 << shift >> 1),
                shift=shift,
                bottom=bottom,
                top=top,
            )
        )

    def _quantize_wide(self, quantizer: NodeQuantizer, x: QuantParams, y: QuantParams) -> None:
        """Append for int16 the exact average at the input's scale, then the change to the output's scale."""
        source, window = self.inputs[0], self.window
        if any(self.counted):
            source = quantizer.fresh(f"{self.name}.padded")
            top, left, bottom_, right = self.counted
            pad = Pad(
                name=source, inputs=self.inputs[:1], outputs=(source,), begin=(0, top, left, 0),
                end=(0, bottom_, right, 0), value=float(x.zero_point),
            )  # fmt: skip
            quantizer.append(pad, x)
            rest = tuple(p - c for p, c in zip(window.pads, self.counted, strict=True))
            window = replace(window, pads=(rest[0], rest[1], rest[2], rest[3]))
        average = self.output if x == y else quantizer.fresh(f"{self.output}.average")
        bottom, top = quantizer.clamp(self, x)
        quantizer.append(
            AveragePoolExact(
                name=self.name, inputs=(source,), outputs=(average,), window=window,
                bottom=bottom, top=top,
            ),
            x,
        )  # fmt: skip
        if average != self.output:
            quantizer.requantize(average, x, self.output, y)

    def rounding_slack(self, graph: Graph) -> float:
        return 0.5 * input_values(self, graph) * (self.window.kernel[0] * self.window.kernel[1]) / 2.0**self.shift

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        samples, batch, h, w, c = inputs[0].shape
        quant = graph.tensors[self.inputs[0]].quant
        assert quant is not None
        centered = inputs[0].reshape(-1, h, w, c).astype(np.int64) - quant.zero_point
        total = self.window.patches(centered, fill=0).sum(axis=(3, 4))
        reciprocal = inputs[1].astype(np.int64)[np.maximum(self.counts(h, w), 1) - 1]
        y = self.shift_and_clamp(total * reciprocal[:, :, None])
        return (y.reshape(samples, batch, *y.shape[1:]),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.output].size * self.window.kernel[0] * self.window.kernel[1]

    def calls(self, graph: Graph) -> list[KernelCall]:
        x = graph.tensors[self.inputs[0]]
        assert x.quant is not None
        counts = np.maximum(self.counts(*x.shape[1:3]), 1)
        reciprocal = graph.constant(self.inputs[1])[counts - 1]
        uniform = bool((counts == counts[0, 0]).all())
        return [
            KernelCall(
                kernel="average_pool",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=AveragePoolParams(
                    reciprocal=reciprocal.reshape(-1)[:1] if uniform else reciprocal,
                    pool=pool_params(self.window, graph, self),
                    reciprocal_step=0 if uniform else 1,
                    input_zero_point=x.quant.zero_point,
                    **self.epilogue(),
                ),
                macs=self.macs(graph),
            )
        ]


@dataclass(frozen=True, kw_only=True)
class AveragePoolExact(AveragePool):
    """The average of the integers: sum over count, clamped to [bottom, top]; one scale throughout.

    Ties away from zero on the integers raised by `bias`: 128 for what was uint8 in the file, else 0.

    Source: TFLite reference_integer_ops::AveragePool, reference_ops::AveragePool.
    """

    bias: int = 0

    def channel_range(self, least: Array, most: Array, graph: Graph) -> tuple[Array, Array] | None:
        """An average lies between the least and the largest, and so does its rounding."""
        if any((*self.window.pads, *self.counted)):
            return None
        return np.clip(least, self.bottom, self.top), np.clip(most, self.bottom, self.top)

    def rounding_slack(self, graph: Graph) -> float:
        return 0.0

    def rounding_gain(self, graph: Graph) -> float:
        return 1.0

    def arithmetic(self) -> str:
        return "quotient"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        samples, batch, h, w, c = inputs[0].shape
        total = self.window.patches(inputs[0].reshape(-1, h, w, c).astype(np.int64), fill=0).sum(axis=(3, 4))
        count = self.counts(h, w)[:, :, None]
        total = total + self.bias * count
        y = np.clip(np.sign(total) * ((np.abs(total) + count // 2) // count) - self.bias, self.bottom, self.top)
        return (y.reshape(samples, batch, *y.shape[1:]),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        x = graph.tensors[self.inputs[0]]
        return [
            KernelCall(
                kernel=f"average_pool_exact{suffix(x.dtype)}",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=AveragePoolExactParams(
                    pool=pool_params(self.window, graph, self), bias=self.bias, low=self.bottom, high=self.top
                ),
                macs=self.macs(graph),
            )
        ]


def import_tflite_average_pool(node: TfliteNode) -> None:
    options = node.options(tflite.Pool2DOptions)
    window = tflite_window(node, (options.FilterHeight(), options.FilterWidth()), options)
    if node.quantized and (node.scale(0), node.zero_point(0)) != (node.output_scale(), node.output_zero_point()):
        node.refuse("its input and output have different scales")
    fields = node.activation(options.FusedActivationFunction())
    if node.quantized:
        exact = {"bias": 128 if node.unsigned else 0, **fields}
        node.emit(
            AveragePoolExact(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, window=window, **exact)
        )
        return
    node.emit(AveragePool(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, window=window, **fields))


def import_average_pool(node: OnnxNode) -> None:
    window = import_window(node)
    counted = (0, 0, 0, 0)
    if node.attr("count_include_pad", 0):
        # Padding that ceil mode adds at the end is never counted.
        plain = import_window(node.without("ceil_mode"))
        counted = plain.pads
    x = channels_last(node)
    y = node.graph.append(
        AveragePool(
            name=node.name,
            inputs=(x,),
            outputs=(node.graph.fresh(node.outputs[0] + ".nhwc"),),
            window=window,
            counted=counted,
        )
    )
    channels_first(node, y)


ONNX = {"AveragePool": import_average_pool}
TFLITE = {"AVERAGE_POOL_2D": import_tflite_average_pool}
NODES = (AveragePool, AveragePoolExact)


def samples() -> Iterator[Sample]:
    yield one_node("AveragePool", {"x": (1, 3, 6, 6)}, kernel_shape=[2, 2], strides=[2, 2])
    yield one_node("AveragePool", {"x": (1, 2, 5, 5)}, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 1])
    yield one_node("AveragePool", {"x": (1, 2, 5, 5)}, kernel_shape=[3, 3], pads=[1, 0, 1, 1], count_include_pad=1)
    yield one_node("AveragePool", {"x": (1, 2, 6, 6)}, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=11)
    yield one_node("AveragePool", {"x": (1, 4, 9)}, kernel_shape=[3], strides=[2])
