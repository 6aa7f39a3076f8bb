"""y = x * scale[c] + offset[c]: BatchNormalization, and Add, Sub, Mul or Div by a constant per channel.

The passes fold it into the convolutions and dense layers around it; this is what is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2, prod
from typing import ClassVar

import numpy as np

from pipeline.arithmetic.fixedpoint import LARGEST_GAIN, common_ratio
from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import ClampedNode, Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.rows import AffineParams, AffineWideParams
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.shared.rounding import input_values
from pipeline.ops.shared.samples import Sample, one_node, weights

SUMMARY = "folded into the layers before or behind it; else one multiply per element"


@dataclass(frozen=True, kw_only=True)
class Affine(ClampedNode):
    """x, scale (channels,), offset (channels,) along `axis` -> y of x's shape.

    Integer: scale is int32, offset int32 (int64 for int16 activations); y = (x * scale + offset) >> shift, clamped
    to [bottom, top].
    Zero points and the rounding constant are in the offset.
    """

    follows_layout: ClassVar[bool] = True

    axis: int
    shift: int = 0
    bottom: int = -128
    top: int = 127

    @property
    def in_place(self) -> bool:
        return True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Affine":
        return replace(self, axis=perm[self.axis])

    def _along_axis(self, values: Array, rank: int) -> Array:
        return values.reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def as_term(self, operands: Sequence[Term]) -> Term:
        return ("Add", (), ("Mul", (), operands[0], operands[1]), operands[2])

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        rank = len(graph.tensors[self.inputs[0]].shape)
        scale, offset = (emit.floats(self._along_axis(graph.constant(n), rank)) for n in self.inputs[1:3])
        product = emit.node("Mul", [self.inputs[0], scale])
        emit.clip(emit.node("Add", [product, offset]), self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        x, y = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        scale, offset = (quantizer.graph.constant(n).astype(np.float64) for n in self.inputs[1:3])
        integers = affine_integers(scale * x.scale[0] / y.scale[0], offset / y.scale[0], x, y)
        scale_integers, offsets, shift = integers or quantizer.refuse(self, "its scales are too far apart")
        names = (quantizer.constant(self.inputs[1], scale_integers), quantizer.constant(self.inputs[2], offsets))
        bottom, top = quantizer.clamp(self)
        quantizer.append(replace(self, inputs=(self.inputs[0], *names), shift=shift, bottom=bottom, top=top))

    def rounding_slack(self, graph: Graph) -> float:
        return (0.5 * input_values(self, graph) + 0.5) / 2.0**self.shift

    def rounding_gain(self, graph: Graph) -> float:
        return float(np.abs(graph.constant(self.inputs[1])).max(initial=0)) / 2.0**self.shift

    def arithmetic(self) -> str:
        return "scaled"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, scale, offset = inputs
        rank = x.ndim - 1
        acc = x.astype(np.int64) * self._along_axis(scale.astype(np.int64), rank) + self._along_axis(offset, rank)
        return (np.clip(acc >> self.shift, self.bottom, self.top),)

    def macs(self, graph: Graph) -> int:
        return graph.tensors[self.output].size

    def calls(self, graph: Graph) -> list[KernelCall]:
        shape = graph.tensors[self.output].shape
        channels = graph.tensors[self.inputs[1]].size
        axis = self.axis if channels > 1 else len(shape)
        params = AffineParams if graph.tensors[self.output].dtype == "int8" else AffineWideParams
        return [
            KernelCall(
                kernel=params.struct_name(),
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=params(
                    scale=graph.constant(self.inputs[1]),
                    offset=graph.constant(self.inputs[2]),
                    outer=prod(shape[:axis]),
                    channels=channels,
                    inner=prod(shape[axis + 1 :]),
                    shift=self.shift,
                    low=self.bottom,
                    high=self.top,
                ),
                macs=self.macs(graph),
                in_place=True,
            )
        ]


def affine_integers(ratios: Array, steps: Array, x: QuantParams, y: QuantParams) -> tuple[Array, Array, int] | None:
    """(scale, offset, shift) for y = ratios * x + steps in integers, zero points and rounding in the offset.

    int8: scale and offset int32 whose sum fits 32 bits. int16: offset int64, a 30-bit scale. None when out of range.
    """
    if x.dtype == "int8":
        ratios, steps = _saturate_alike(ratios, steps)
        shifted = steps + y.zero_point + 0.5 - ratios * x.zero_point
        # One more "ratio" stands for the offset, so that the sum of both stays below 2**30.
        _, shift = common_ratio(
            [float(np.abs(ratios).max(initial=0)), float(np.abs(shifted).max(initial=0)) / 128], 256
        )
    else:
        largest = max(float(np.abs(ratios).max(initial=0)), 2.0**-16)
        shift = min(46, 29 - ceil(log2(largest)))
        # Far outside the range it only saturates; the shifted sum must fit 32 bits.
        steps = np.clip(steps, -(2.0**29), 2.0**29)
        if largest > 2.0**13 or shift < 1:
            return None
        shift = min(shift, 60 - 30)
    integers = np.rint(ratios * 2.0**shift).astype(np.int32)
    # The zero point is folded with the rounded scale, so that a real 0 stays exactly 0.
    offsets = np.rint(steps * 2.0**shift).astype(np.int64)
    offsets += (y.zero_point << shift) + (1 << shift >> 1) - integers.astype(np.int64) * x.zero_point
    return integers, offsets.astype(np.int32 if x.dtype == "int8" else np.int64), shift


def _saturate_alike(ratios: Array, steps: Array) -> tuple[Array, Array]:
    """Ratios and steps that saturate int8 where these do, small enough for channels to share a shift.

    With d = x - zero point in [-255, 255] and |ratio| above LARGEST_GAIN only the d nearest to the root of
    ratio * d + steps can be inside the range: its value is kept. Steps beyond all that ratio * d can make good only
    saturate.
    """
    ratios, steps = np.broadcast_arrays(ratios, steps)
    steep = np.abs(ratios) > LARGEST_GAIN
    root = np.clip(np.rint(-steps / np.where(steep, ratios, 1.0)), -256, 256)
    value = np.clip(steps + ratios * root, -256, 256)
    gain = np.where(steep, np.copysign(LARGEST_GAIN, ratios), ratios)
    largest_step = 255 * np.abs(gain) + LARGEST_GAIN
    return gain, np.clip(np.where(steep, value - gain * root, steps), -largest_step, largest_step)


def append_affine(node: OnnxNode, x: int, scale: Array, offset: Array, axis: int) -> None:
    """Append y = inputs[x] * scale + offset; both arrays have one entry, or one per index of `axis`."""
    count = max(scale.size, offset.size)
    graph = node.graph
    names = tuple(
        graph.constant(f"{node.name}.{what}", np.broadcast_to(v.reshape(-1), count).astype(np.float32))
        for what, v in (("scale", scale), ("offset", offset))
    )
    graph.append(Affine(name=node.name, inputs=(node.inputs[x], *names), outputs=node.outputs[:1], axis=axis))


def import_batchnorm(node: OnnxNode) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, per channel (axis 1). Source: ONNX BatchNormalization."""
    if node.attr("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        node.refuse("training mode", "Export the model in evaluation mode.")
    scale, offset, mean, variance = (
        node.constant(i, what).astype(np.float64)
        for i, what in enumerate(("scale", "offset", "mean", "variance"), start=1)
    )
    channels = node.shape(0)[1] if node.rank() > 1 else 1
    if {v.size for v in (scale, offset, mean, variance)} != {channels}:
        node.refuse(f"its parameters do not have one value for each of {channels} channels")
    if (variance + float(node.attr("epsilon", 1e-5)) <= 0).any():
        node.refuse("a variance below zero", "Export the model again.")
    factor = scale / np.sqrt(variance + float(node.attr("epsilon", 1e-5)))
    append_affine(node, 0, factor, offset - mean * factor, axis=min(1, node.rank() - 1))


ONNX = {"BatchNormalization": import_batchnorm}
NODES = (Affine,)


def samples() -> Iterator[Sample]:
    def normalization(shape: Shape) -> Sample:
        c = shape[1]
        spread = np.abs(weights(c, seed=5)) + 0.3
        constants = {"s": spread, "b": weights(c, seed=6), "m": weights(c, seed=8), "v": spread + 0.5}
        return one_node("BatchNormalization", {"x": shape}, constants)

    yield normalization((1, 5))
    yield normalization((1, 3, 4, 2))
    yield normalization((1, 3, 4))
