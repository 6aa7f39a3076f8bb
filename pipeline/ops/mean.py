"""ReduceMean over neighbouring axes, and GlobalAveragePool."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from pipeline.calls import KernelCall, suffix
from pipeline.fixedpoint import common_ratio, multiply_by_quantized_multiplier, quantize_multiplier
from pipeline.importers.onnx_node import OnnxNode
from pipeline.importers.tflite_node import LIMITS, TfliteNode
from pipeline.ir import Array, Graph, ScaledNode, Shape
from pipeline.ops.reshape import Reshape
from pipeline.ops.samples import Sample, one_node

SUMMARY = "over axes that lie side by side in memory"


@dataclass(frozen=True, kw_only=True)
class Mean(ScaledNode):
    """x -> x with every axis of `axes` reduced to size 1. Integer: y = (sum(x) * scale + offset) >> shift, clamped."""

    axes: tuple[int, ...]
    scale: int = 0

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(1 if i in self.axes else d for i, d in enumerate(inputs[0])),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Mean":
        return replace(self, axes=tuple(sorted(perm[a] for a in self.axes)))

    def block(self, shape: Shape) -> tuple[int, int, int] | None:
        """(outer, reduced, inner) sizes, or None when the reduced axes do not lie side by side."""
        axes = [a for a in self.axes if shape[a] != 1]
        if not axes:
            return prod(shape), 1, 1
        first, last = min(axes), max(axes)
        if any(shape[i] != 1 for i in range(first, last + 1) if i not in axes):
            return None
        return prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])

    def problem(self, graph: Graph) -> str | None:
        shape = graph.tensors[self.inputs[0]].shape
        if self.block(shape) is None:
            return f"its axes {list(self.axes)} of the channels-last shape {list(shape)} do not lie side by side"
        return None

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        mean = emit.node("ReduceMean", [self.inputs[0], emit.integers(self.axes)], keepdims=1)
        emit.clip(mean, self.output, self.low, self.high)

    def quantize(self, quantizer: Any) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        block = self.block(quantizer.graph.tensors[self.inputs[0]].shape)
        assert block is not None
        count = block[1]
        if x.dtype == "int16":
            rescale = quantize_multiplier(x.scale[0] / y.scale[0] / count)
            if count << max(rescale[1], 0) > 1 << 14:
                quantizer.refuse(self, f"a mean of {count} values does not fit 32 bits at int16")
            bottom, top = quantizer.clamp(self)
            quantizer.append(
                MeanRescaled(
                    name=self.name, inputs=self.inputs, outputs=self.outputs, axes=self.axes,
                    offset=-x.zero_point * count, rescale=rescale, zero_point=y.zero_point, bottom=bottom, top=top,
                )
            )  # fmt: skip
            return
        (scale, _), shift = common_ratio([x.scale[0] / y.scale[0] / count, 1.0 / count], 256 * count)
        bottom, top = quantizer.clamp(self)
        quantizer.append(
            replace(
                self,
                scale=scale,
                offset=(y.zero_point << shift) + (1 << shift >> 1) - x.zero_point * count * scale,
                shift=shift,
                bottom=bottom,
                top=top,
            )
        )

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        axes = tuple(a + 1 for a in self.axes)
        total = inputs[0].astype(np.int64).sum(axis=axes, keepdims=True)
        return (self.settle(total * self.scale),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.inputs[0]].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        block = self.block(graph.tensors[self.inputs[0]].shape)
        assert block is not None
        return [
            KernelCall(
                kernel="mean",
                family="mean",
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=dict(zip(("outer", "reduced", "inner"), block, strict=True))
                | {
                    "scale": self.scale,
                }
                | self.epilogue(),
                macs=self.macs(graph),
            )
        ]


@dataclass(frozen=True, kw_only=True)
class MeanRescaled(Mean):
    """y = (sum(x) + offset) by (multiplier, exponent), rounded twice, + zero_point; the count is in the multiplier.

    Source: TFLite reference_ops::QuantizedMeanOrSum.
    """

    rescale: tuple[int, int] = (0, 0)
    zero_point: int = 0

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=tuple(a + 1 for a in self.axes), keepdims=True) + self.offset
        multiplier, exponent = self.rescale
        y = multiply_by_quantized_multiplier(total, multiplier, exponent) + self.zero_point
        return (np.clip(y, self.bottom, self.top),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        block = self.block(graph.tensors[self.inputs[0]].shape)
        assert block is not None
        params = dict(zip(("outer", "reduced", "inner"), block, strict=True)) | {
            "offset": self.offset,
            "multiplier": self.rescale[0],
            "exponent": self.rescale[1],
            "zero_point": self.zero_point,
            "low": self.bottom,
            "high": self.top,
        }
        return [
            KernelCall(
                kernel="mean_rescaled" + suffix(graph.tensors[self.output].dtype),
                family="mean_rescaled",
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=params,
                macs=self.macs(graph),
            )
        ]


def import_tflite_mean(node: TfliteNode) -> None:
    given = node.shape(0)
    axes = tuple(sorted({node.axis(int(a), len(given)) for a in node.constant(1, "axes").reshape(-1)}))
    if not axes:
        node.refuse("no axis to reduce")
    kept = tuple(1 if i in axes else d for i, d in enumerate(given))
    count = prod(given[a] for a in axes)
    if not node.quantized:
        mean: Mean = Mean(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, axes=axes)
    else:
        multiplier, exponent = quantize_multiplier(node.scale(0) / node.output_scale())
        shift = min(count.bit_length() - 1, 32, 31 + exponent)
        rescale, limits = ((multiplier << shift) // count, exponent - shift), LIMITS[node.dtype]
        if count << max(15 if node.dtype == "int8" else 23, 0) > 1 << 30 or rescale[1] > 8:
            node.refuse(f"a mean of {count} values")
        mean = MeanRescaled(
            name=node.name,
            inputs=node.inputs[:1],
            outputs=node.outputs,
            axes=axes,
            offset=-node.zero(0) * count,
            rescale=rescale,
            zero_point=node.output_zero(),
            bottom=limits[0],
            top=limits[1],
        )
    if mean.block(given) is None:
        node.refuse(f"its axes {list(axes)} of {list(given)} do not lie side by side")
    if node.declared[0].shape == kept:
        node.emit(mean)
        return
    inner = replace(mean, outputs=(node.graph.fresh(f"{node.outputs[0]}.kept"),))
    made = node.step(inner, node.dtype, node.declared[0].quant)
    rest = tuple(d for i, d in enumerate(given) if i not in axes)
    node.emit(Reshape(name=f"{node.name}.squeeze", inputs=(made,), outputs=node.outputs, shape=rest))


def _append(node: OnnxNode, axes: tuple[int, ...], keepdims: bool) -> None:
    graph, shape = node.graph, node.shape(0)
    if not axes:
        node.refuse("no axis to reduce")
    if keepdims:
        graph.append(Mean(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], axes=axes))
        return
    kept = graph.append(
        Mean(
            name=node.name,
            inputs=node.inputs[:1],
            outputs=(graph.fresh(node.outputs[0] + ".kept"),),
            axes=axes,
        )
    )
    rest = tuple(d for i, d in enumerate(shape) if i not in axes)
    graph.append(Reshape(name=f"{node.name}.squeeze", inputs=(kept,), outputs=node.outputs[:1], shape=rest))


def import_reduce_mean(node: OnnxNode) -> None:
    axes = node.attr_or_input("axes", 1)
    if not axes and node.attr("noop_with_empty_axes", 0):
        node.refuse("no axis to reduce (noop_with_empty_axes)")
    chosen = node.axes(axes, node.rank()) if axes else tuple(range(node.rank()))
    _append(node, tuple(sorted(chosen)), bool(node.attr("keepdims", 1)))


def import_global_average_pool(node: OnnxNode) -> None:
    _append(node, tuple(range(2, node.rank())), True)


ONNX = {"ReduceMean": import_reduce_mean, "GlobalAveragePool": import_global_average_pool}
TFLITE = {"MEAN": import_tflite_mean}
NODES = (Mean, MeanRescaled)


def samples() -> Iterator[Sample]:
    yield one_node("GlobalAveragePool", {"x": (1, 3, 4, 5)}, low=-1.0, high=3.0)
    yield one_node("ReduceMean", {"x": (1, 2, 3, 4)}, axes=[2, 3], keepdims=0)
    yield one_node("ReduceMean", {"x": (1, 6)}, {"axes": [-1]}, opset=18)
