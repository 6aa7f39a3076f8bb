"""ReduceMean and GlobalAveragePool; helpers of all reductions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isinf, prod

import numpy as np

from pipeline.arithmetic.fixedpoint import common_ratio, multiply_by_quantized_multiplier, quantize_multiplier
from pipeline.graph.affine_form import AffineForm
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node, ScaledNode
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.rows import MeanParams, MeanRescaledParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import LIMITS, TfliteNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.rounding import INT16_SATURATION, double_rounding_error, input_values
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.ops.transpose import Transpose

SUMMARY = "over axes that lie side by side in memory"


def block_of(shape: Shape, reduced: Sequence[int]) -> tuple[int, int, int] | None:
    """(outer, reduced, inner) sizes, or None when the reduced axes do not lie side by side."""
    axes = [a for a in reduced if shape[a] != 1]
    if not axes:
        return prod(shape), 1, 1
    first, last = min(axes), max(axes)
    if any(shape[i] != 1 for i in range(first, last + 1) if i not in axes):
        return None
    return prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])


@dataclass(frozen=True, kw_only=True)
class Mean(ScaledNode):
    """x -> x with every axis of `axes` reduced to size 1: to the mean, or with `total` to the sum.

    Integer: y = (sum(x) * scale + offset) >> shift, clamped.
    """

    axes: tuple[int, ...]
    scale: int = 0
    total: bool = False

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(1 if i in self.axes else d for i, d in enumerate(inputs[0])),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Mean":
        return replace(self, axes=tuple(sorted(perm[a] for a in self.axes)))

    def problem(self, graph: Graph) -> str | None:
        shape = graph.tensors[self.inputs[0]].shape
        if block_of(shape, self.axes) is None:
            return f"its axes {list(self.axes)} of the channels-last shape {list(shape)} do not lie side by side"
        return None

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Mean, AffineForm] | None":
        if not form.constant_along(self.axes) or not (isinf(self.low) and isinf(self.high)):
            return None
        count = prod(form.scale.shape[a] for a in self.axes) if self.total else 1
        reduced = form.reduced(self.axes)
        return self, AffineForm(reduced.scale, reduced.offset * count)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        mean = emit.node(
            "ReduceSum" if self.total else "ReduceMean", [self.inputs[0], emit.integers(self.axes)], keepdims=1
        )
        emit.clip(mean, self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        block = block_of(quantizer.graph.tensors[self.inputs[0]].shape, self.axes)
        assert block is not None
        count = block[1]
        divisor = 1 if self.total else count
        if x.dtype == "int16":
            rescale = quantize_multiplier(x.scale[0] / y.scale[0] / divisor)
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
        (scale, _), shift = common_ratio([min(x.scale[0] / y.scale[0] / divisor, 512.0), 1.0 / count], 256 * count)
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

    def rounding_slack(self, graph: Graph) -> float:
        count = graph.tensors[self.inputs[0]].size / graph.tensors[self.output].size
        return 0.5 * input_values(self, graph) * count / 2.0**self.shift

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        axes = tuple(a + 1 for a in self.axes)
        total = inputs[0].astype(np.int64).sum(axis=axes, keepdims=True)
        return (self.shift_and_clamp(total * self.scale),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.inputs[0]].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        block = block_of(graph.tensors[self.inputs[0]].shape, self.axes)
        assert block is not None
        outer, reduced, inner = block
        return [
            KernelCall(
                kernel="mean",
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=MeanParams(outer=outer, reduced=reduced, inner=inner, scale=self.scale, **self.epilogue()),
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

    def rounding_slack(self, graph: Graph) -> float:
        return double_rounding_error(self.rescale[1], INT16_SATURATION)

    def arithmetic(self) -> str:
        return "rescaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        total = inputs[0].astype(np.int64).sum(axis=tuple(a + 1 for a in self.axes), keepdims=True) + self.offset
        multiplier, exponent = self.rescale
        y = multiply_by_quantized_multiplier(total, multiplier, exponent) + self.zero_point
        return (np.clip(y, self.bottom, self.top),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        block = block_of(graph.tensors[self.inputs[0]].shape, self.axes)
        assert block is not None
        outer, reduced, inner = block
        params = MeanRescaledParams(
            outer=outer, reduced=reduced, inner=inner, offset=self.offset, multiplier=self.rescale[0],
            exponent=self.rescale[1], zero_point=self.zero_point, low=self.bottom, high=self.top,
        )  # fmt: skip
        return [
            KernelCall(
                kernel="mean_rescaled" + suffix(graph.tensors[self.output].dtype),
                node=self.name,
                inputs=self.inputs,
                outputs=self.outputs,
                params=params,
                macs=self.macs(graph),
            )
        ]


def import_tflite_mean(node: TfliteNode) -> None:
    input_shape = node.shape(0)
    axes = tuple(sorted({node.axis(int(a), len(input_shape)) for a in node.constant(1, "axes").reshape(-1)}))
    if not axes:
        node.refuse("no axis to reduce")
    kept_shape = tuple(1 if i in axes else d for i, d in enumerate(input_shape))
    count = prod(input_shape[a] for a in axes)
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
            offset=-node.zero_point(0) * count,
            rescale=rescale,
            zero_point=node.output_zero_point(),
            bottom=limits[0],
            top=limits[1],
        )
    if block_of(input_shape, axes) is None:
        node.refuse(f"its axes {list(axes)} of {list(input_shape)} do not lie side by side")
    if node.declared[0].shape == kept_shape:
        node.emit(mean)
        return
    inner = replace(mean, outputs=(node.graph.fresh(f"{node.outputs[0]}.kept"),))
    with_axes = node.append(inner, node.dtype, node.declared[0].quant)
    rest = tuple(d for i, d in enumerate(input_shape) if i not in axes)
    node.emit(Reshape(name=f"{node.name}.squeeze", inputs=(with_axes,), outputs=node.outputs, shape=rest))


def import_reduction(node: OnnxNode, make: Callable[[str, str, tuple[int, ...]], Node]) -> None:
    """Append the reduction that `make(x, y, axes)` gives, which keeps its axes with size 1; drop them if asked.

    Axes that do not lie side by side are brought together first.
    """
    graph, shape = node.graph, node.shape(0)
    if node.op.startswith("Global"):
        chosen: Sequence[int] = range(2, len(shape))
    else:
        axes_input = node.attr_or_input("axes", 1)
        if not axes_input and node.attr("noop_with_empty_axes", 0):
            node.refuse("no axis to reduce (noop_with_empty_axes)")
        chosen = node.axes(axes_input, len(shape)) if axes_input else range(len(shape))
    axes = tuple(sorted(chosen))
    if not axes or not prod(shape):
        node.refuse("no axis to reduce, or nothing along it")
    keep = node.op.startswith("Global") or bool(node.attr("keepdims", 1))
    x, here = node.inputs[0], axes
    together = block_of(shape, axes) is None
    if together:
        perm = (*(i for i in range(len(shape)) if i not in axes), *axes)
        label = graph.fresh(f"{node.name}.together")
        x = graph.append(Transpose(name=label, inputs=(x,), outputs=(label,), perm=perm))
        here = tuple(range(len(shape) - len(axes), len(shape)))
    if keep and not together:
        graph.append(make(x, node.outputs[0], here))
        return
    with_axes = graph.append(make(x, graph.fresh(f"{node.outputs[0]}.kept"), here))
    rest = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    graph.append(Reshape(name=f"{node.name}.squeeze", inputs=(with_axes,), outputs=node.outputs[:1], shape=rest))


def import_mean(node: OnnxNode) -> None:
    """ReduceMean and GlobalAveragePool."""
    import_reduction(node, lambda x, y, axes: Mean(name=node.name, inputs=(x,), outputs=(y,), axes=axes))


ONNX = {"ReduceMean": import_mean, "GlobalAveragePool": import_mean}
TFLITE = {"MEAN": import_tflite_mean}
NODES = (Mean, MeanRescaled)


def samples() -> Iterator[Sample]:
    yield one_node("GlobalAveragePool", {"x": (1, 3, 4, 5)}, low=-1.0, high=3.0)
    yield one_node("ReduceMean", {"x": (1, 2, 3, 4)}, axes=[2, 3], keepdims=0)
    yield one_node("ReduceMean", {"x": (1, 6)}, {"axes": [-1]}, opset=18)
