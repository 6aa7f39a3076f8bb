"""Softmax: exponentials from a table, one integer division per output by shift and subtract."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, prod

import numpy as np
import tflite

from pipeline.arithmetic import gemmlowp
from pipeline.arithmetic.fixedpoint import quantize_multiplier
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.rows import (
    Exponentials,
    ExponentialsParams,
    SoftmaxExactParams,
    SoftmaxParams,
    SoftmaxS16Params,
    SoftmaxScaledParams,
)
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "along any axis"
_ONE = 1 << 15  # exp(0) in the table; sums of up to 2**15 entries stay below 2**31


@dataclass(frozen=True, kw_only=True)
class Softmax(Node):
    """y = exp(x) / sum(exp(x)) along `axis`; output scale 1/256, zero point -128.

    Integer: e[d] = round(2**15 * exp(-d * scale)) for d = max(x) - x, y = floor((256 * e + sum / 2) / sum) - 128.
    """

    axis: int

    @property
    def in_place(self) -> bool:
        return True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Softmax":
        return replace(self, axis=perm[self.axis])

    @property
    def is_probability(self) -> bool:
        return True

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.node("Softmax", [self.inputs[0]], self.output, axis=self.axis)

    def fixed_output(self, dtype: str) -> QuantParams:
        return QuantParams((1 / 256,), -128) if dtype == "int8" else QuantParams((1 / 32768,), 0, None, dtype)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        target, own = quantizer.params(self.output), self.fixed_output(quantizer.params(self.output).dtype)
        if target != own and target.dtype == "int8":
            self.scaled(quantizer, target)
        elif target != own:
            own_output = quantizer.fresh(f"{self.output}.own")
            self.renamed({self.output: own_output}).quantize_at_own_scale(quantizer, own)
            quantizer.requantize(own_output, own, self.output, target)
        else:
            self.quantize_at_own_scale(quantizer, own)

    def scaled(self, quantizer: NodeQuantizer, target: QuantParams) -> None:
        """The integer node for an int8 output of any scale: a factor of sixteen bits and a shift."""
        shift = min(16, int(np.floor(np.log2(65535 * target.scale[0]))))
        if shift < 0:
            quantizer.refuse(self, f"its output scale {target.scale[0]:.3g} is below 2**-16")
        name = quantizer.constant(f"{self.name}.exp", self.exponentials(quantizer))
        softmax = SoftmaxScaled(
            name=self.name, inputs=(self.inputs[0], name), outputs=self.outputs, axis=self.axis,
            factor=round(2.0**shift / target.scale[0]), shift=shift, zero_point=target.zero_point,
        )  # fmt: skip
        quantizer.append(softmax, target)

    def exponentials(self, quantizer: NodeQuantizer) -> Array:
        """The table of exp(-d) for every difference d of two int8 inputs, 2**15 for 1."""
        scale = quantizer.params(self.inputs[0]).scale[0]
        return np.rint(_ONE * np.exp(-scale * np.arange(256))).astype(np.uint16)

    def quantize_at_own_scale(self, quantizer: NodeQuantizer, own: QuantParams) -> None:
        """The integer node for an output of exactly `own`."""
        scale = quantizer.params(self.inputs[0]).scale[0]
        if own.dtype == "int16":
            # As fine as the table's 512 steps can be while they still reach exp(-12), where nothing is left of 2**15.
            shift = int(np.clip(np.ceil(np.log2(12 / (512 * scale))), 0, 7))
            table = np.rint(_ONE * np.exp(-scale * 2.0**shift * np.arange(513))).astype(np.uint16)
            table[-1] = 0 if shift < 7 else table[-1]
            name = quantizer.constant(f"{self.name}.exp", table)
            fields = SoftmaxWide(
                name=self.name, inputs=(self.inputs[0], name), outputs=self.outputs, axis=self.axis, step=shift
            )
            quantizer.append(fields, own)
            return
        name = quantizer.constant(f"{self.name}.exp", self.exponentials(quantizer))
        quantizer.append(replace(self, inputs=(self.inputs[0], name)), own)

    def rounding_slack(self, graph: Graph) -> float:
        """Exponentials are rounded to 2**-15 of the largest, of which a sum has at least one, and so is half a sum."""
        x, y = graph.tensors[self.inputs[0]], graph.tensors[self.output].quant
        assert y is not None
        return 0.5 * 2.0**-15 * (x.shape[self.axis] + 1) / y.scale[0] + 2.0**-16

    def arithmetic(self) -> str:
        return "softmax"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, table = inputs[0].astype(np.int64), inputs[1].astype(np.int64)
        axis = self.axis + 1
        e = table[x.max(axis=axis, keepdims=True) - x]
        total = e.sum(axis=axis, keepdims=True)
        return (np.minimum((256 * e + total // 2) // total - 128, 127),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [self.call(SoftmaxParams(**self.terms(graph)))]

    def call(self, params: ExponentialsParams) -> KernelCall:
        return KernelCall(
            kernel=params.struct_name(),
            node=self.name,
            inputs=self.inputs[:1],
            outputs=self.outputs,
            params=params,
            in_place=True,
        )

    def terms(self, graph: Graph) -> Exponentials:
        """The parameters that every kernel of a softmax takes."""
        shape = graph.tensors[self.output].shape
        return {
            "exponentials": graph.constant(self.inputs[1]),
            "outer": prod(shape[: self.axis]),
            "count": shape[self.axis],
            "inner": prod(shape[self.axis + 1 :]),
        }


@dataclass(frozen=True, kw_only=True)
class SoftmaxScaled(Softmax):
    """Any output scale: y = (floor(factor * e / sum) + 2**shift / 2) >> shift, plus zero_point, at most 127.

    factor / 2**shift is 1 / scale in sixteen bits; e as for Softmax.
    """

    factor: int = 0
    shift: int = 0
    zero_point: int = 0

    def rounding_slack(self, graph: Graph) -> float:
        y = graph.tensors[self.output].quant
        assert y is not None
        return super().rounding_slack(graph) + 0.5 / self.factor / y.scale[0] + (0.0 if self.shift else 0.5)

    def arithmetic(self) -> str:
        return "softmax_scaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, table = inputs[0].astype(np.int64), inputs[1].astype(np.int64)
        axis = self.axis + 1
        e = table[x.max(axis=axis, keepdims=True) - x]
        share = self.factor * e // e.sum(axis=axis, keepdims=True)
        return (np.minimum(((share + (1 << self.shift >> 1)) >> self.shift) + self.zero_point, 127),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        params = SoftmaxScaledParams(
            factor=self.factor, shift=self.shift, zero_point=self.zero_point, **self.terms(graph)
        )
        return [self.call(params)]


@dataclass(frozen=True, kw_only=True)
class SoftmaxWide(Softmax):
    """int16, output scale 1/32768: e by straight lines between 513 values of round(2**15 * exp(-2**step * i * scale)).

    Differences beyond the table take its last value. y = floor((2**15 * e + sum / 2) / sum), at most 32767.
    """

    step: int = 7

    def rounding_slack(self, graph: Graph) -> float:
        """Straight lines between exponentials h apart are above them by h**2 / 8 of the left one at most; where each is
        off by a share of up to r, a part y of their sum is off by r * y * (1 - y) at most, a quarter of r.
        """
        x, y = graph.tensors[self.inputs[0]].quant, graph.tensors[self.output].quant
        assert x is not None and y is not None
        h = x.scale[0] * 2.0**self.step if self.step else 0.0
        return 2 * super().rounding_slack(graph) + h**2 / 32 * exp(h) / y.scale[0]  # lines are rounded, too

    def arithmetic(self) -> str:
        return "softmax"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, table = inputs[0].astype(np.int64), inputs[1].astype(np.int64)
        axis = self.axis + 1
        d = np.minimum(x.max(axis=axis, keepdims=True) - x, (512 << self.step) - 1)
        at, rest = d >> self.step, d & ((1 << self.step) - 1)
        e = table[at] - (((table[at] - table[at + 1]) * rest + (1 << self.step >> 1)) >> self.step)
        total = e.sum(axis=axis, keepdims=True)
        return (np.minimum(((e << 15) + total // 2) // total, 32767),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [self.call(SoftmaxS16Params(step=self.step, **self.terms(graph)))]


@dataclass(frozen=True, kw_only=True)
class SoftmaxExact(Softmax):
    """Softmax as gemmlowp computes it: e[d] = exp(-d) in Q0.31 from a table, 1 / sum(e) by Newton's method in Q0.31.

    The table is 0 beyond the difference that counts. Source: TFLite reference_ops::Softmax.
    """

    def rounding_slack(self, graph: Graph) -> float:
        return inf

    def arithmetic(self) -> str:
        return "softmax_exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, table = inputs[0].astype(np.int64), inputs[1].astype(np.int64)
        axis = self.axis + 1
        e = table[x.max(axis=axis, keepdims=True) - x]
        total = gemmlowp.divide_by_pot(e, 12).sum(axis=axis, keepdims=True)
        headroom = 32 - np.vectorize(int.bit_length, otypes=[np.int64])(total.astype(object))
        scale = gemmlowp.one_over_one_plus((total << headroom) - (1 << 31))
        y = gemmlowp.divide_by_pot(gemmlowp.high_multiply(scale, e), 35 - headroom) - 128
        return (np.where(e == 0, -128, np.clip(y, -128, 127)),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [self.call(SoftmaxExactParams(**self.terms(graph)))]


def import_tflite_softmax(node: TfliteNode) -> None:
    """SOFTMAX along the last axis. Source: TFLite SOFTMAX Prepare, PreprocessSoftmaxScaling."""
    beta, shape = node.options(tflite.SoftmaxOptions).Beta(), node.shape(0)
    last = len(shape) - 1
    if last < 0 or shape[last] > 1 << 12:
        node.refuse(f"an input of shape {list(shape)}", f"Up to {1 << 12} classes are supported.")
    if not 0 < beta < 1e4:
        node.refuse(f"beta {beta}")
    if not node.quantized:
        if beta != 1:
            node.refuse(f"beta {beta}", "Scale the logits before the softmax.")
        node.emit(Softmax(name=node.name, inputs=node.inputs[:1], outputs=node.outputs, axis=last))
        return
    if node.dtype != "int8" or (node.output_scale(), node.output_zero_point()) != (1 / 256, -128):
        node.refuse("its output must be int8 with scale 1/256 and zero point -128")
    multiplier, shift = quantize_multiplier(min(beta * node.scale(0) * 2.0**26, 2.0**31 - 1))
    if shift < 0:
        node.refuse("an input scale too small to tell its values apart")
    difference = np.arange(256, dtype=np.int64)
    inside = difference <= gemmlowp.input_radius(5, shift)
    scaled = gemmlowp.high_multiply(gemmlowp.multiply_by_pot(-difference, shift), multiplier)
    table = np.where(inside, gemmlowp.exp_on_negative_values(scaled, 5), 0)
    name = node.graph.constant(f"{node.name}.exp", table.astype(np.int32))
    node.emit(SoftmaxExact(name=node.name, inputs=(node.inputs[0], name), outputs=node.outputs, axis=last))


def import_softmax(node: OnnxNode) -> None:
    """Softmax; before opset 13 the axis splits the tensor into a matrix whose rows are normalized. Source: ONNX."""
    shape = node.shape(0)
    axis = node.axis(int(node.attr("axis", -1 if node.opset >= 13 else 1)), len(shape))
    if shape[axis] > 1 << 15:
        node.refuse(f"{shape[axis]} classes", f"Up to {1 << 15} are supported.")
    graph = node.graph
    if node.opset >= 13 or prod(shape[axis + 1 :]) == 1:
        graph.append(Softmax(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1], axis=axis))
        return
    rows = (prod(shape[:axis]), prod(shape[axis:]))
    x, y = graph.fresh(node.inputs[0] + ".rows"), graph.fresh(node.outputs[0] + ".rows")
    graph.append(Reshape(name=f"{node.name}.rows", inputs=node.inputs[:1], outputs=(x,), shape=rows))
    graph.append(Softmax(name=node.name, inputs=(x,), outputs=(y,), axis=1))
    graph.append(Reshape(name=f"{node.name}.back", inputs=(y,), outputs=node.outputs[:1], shape=shape))


ONNX = {"Softmax": import_softmax}
TFLITE = {"SOFTMAX": import_tflite_softmax}
NODES = (Softmax, SoftmaxScaled, SoftmaxWide, SoftmaxExact)


def samples() -> Iterator[Sample]:
    yield one_node("Softmax", {"x": (1, 5)}, low=-4.0, high=4.0)
    yield one_node("Softmax", {"x": (1, 3, 2, 2)}, axis=1)
    yield one_node("Softmax", {"x": (1, 2, 3)}, opset=11)
