"""Helpers of integer convolution and dense layers: bias folding, requantization, kernel tables."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from pipeline.arithmetic.fixedpoint import INT32_MAX, accumulator_bound, apply_rescale, folded_bias, rounding_constant
from pipeline.graph.facets import NodeQuantizer
from pipeline.graph.ir import ClampedNode, Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import (
    Conv2dOffsetParams,
    Conv2dParams,
    ConvS16OnceParams,
    ConvS16Params,
    ConvW16Params,
    DenseOffsetParams,
    DenseParams,
    Groups,
    Image,
    RequantizeParams,
)
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.rescale import Rescale
from pipeline.graph.rounding_bound import ULP, RoundingBound
from pipeline.graph.tensor import Array, QuantParams
from pipeline.model_files.onnx_node import OnnxNode

_FLOAT_SUM_FACTOR = 8
"""A float32 sum of n terms is off by at most this times sqrt(n) ULP of the sum of magnitudes, but for a chance below
1e-13 for each sum. Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci.
Comput. 41 (2019), theorem 3.1."""


@dataclass(frozen=True, kw_only=True)
class Linear(ClampedNode):
    """A node of (x, weights, bias); in an integer graph `rescale` says how its int32 accumulator becomes int8."""

    rescale: Rescale | None = None

    @property
    def weights(self) -> str:
        return self.inputs[1]

    @property
    def bias(self) -> str:
        return self.inputs[2]

    @property
    def group_count(self) -> int:
        """Groups of output channels, each of which reads its own share of the input's channels."""
        return 1

    @property
    def padded(self) -> bool:
        """Whether it also reads zeros beyond the edges of its input."""
        return False

    def read(self, x: Array, graph: Graph) -> Array:
        """The inputs that meet a row of weights, from `x` of the stored shape: (groups, positions, taps)."""
        raise NotImplementedError(type(self).__name__)

    def taps(self, graph: Graph) -> Array:
        """Weights as (out, taps, in) of a layer that mixes channels, as (channels, taps, 1) of others; int64."""
        kernel = graph.constant(self.weights).astype(np.int64)
        return kernel.reshape(len(kernel), -1, kernel.shape[-1])

    def channel_range(self, least: Array, most: Array, graph: Graph) -> tuple[Array, Array] | None:
        effect, quant = self.channel_effect(graph), graph.tensors[self.inputs[0]].quant
        if effect == "unknown":
            return None
        assert quant is not None
        low, high = least - quant.zero_point, most - quant.zero_point
        if self.padded:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        if effect == "separate":
            low, high = low[:, None, None], high[:, None, None]
        taps, bias = self.taps(graph), graph.constant(self.bias).astype(np.int64)
        sums = np.minimum(taps * low, taps * high), np.maximum(taps * low, taps * high)
        # Every requantizer is monotone.
        bottom, top = (self.rescaled(bias + side.sum(axis=(1, 2)), graph) for side in sums)
        return bottom, top

    def rounding_bound(self, graph: Graph) -> RoundingBound:
        rescale = self.rescale
        x, y, w = (graph.tensors[n].quant for n in (self.inputs[0], self.output, self.weights))
        assert rescale is not None and x is not None and y is not None and w is not None
        weights = graph.constant(self.weights).astype(np.int64)
        weights = weights.reshape(len(weights), -1)
        step = np.broadcast_to(np.asarray(w.scale) * x.scale[0] / y.scale[0], len(weights))
        largest = -x.limits[0]
        sums = accumulator_bound(weights, folded_bias(weights, graph.constant(self.bias), x.zero_point), largest) * step
        slack = 0.5 * step  # the bias is rounded to a step of the sum
        if np.abs(weights).max(initial=0) > 255:  # no file's integers, but its real values: see `prescribed_params`
            slack = slack * (1 + largest * weights.shape[1])
        exponent = graph.constant(rescale.shift).astype(np.float64)
        if rescale.kind == "wide":
            slack = slack + 2.0**-15 * np.minimum(sums, max(abs(n - y.zero_point) for n in y.limits))
        elif rescale.multiplier is not None:
            slack = slack + 2.0**-31 * sums
            if rescale.kind == "multiplier":  # rounded twice
                slack = slack + np.where(exponent < 0, 2.0 ** (exponent - 1), 0.0)
        terms = _FLOAT_SUM_FACTOR * (1 + sqrt(weights.shape[1]))
        return RoundingBound(slack, float((np.abs(weights).sum(axis=1) * step).max(initial=0)), terms * ULP * sums)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def quantize(self, quantizer: NodeQuantizer) -> None:
        inputs, rescale = quantizer.linear(self)
        quantizer.append(replace(self, inputs=inputs, rescale=rescale))

    def arithmetic(self) -> str:
        assert self.rescale is not None
        return self.rescale.kind

    def rescaled(self, accumulator: Array, graph: Graph) -> Array:
        """The accumulator (..., out), bias included, as the integers of the output."""
        assert self.rescale is not None
        multiplier = graph.constant(self.rescale.multiplier) if self.rescale.multiplier else None
        return apply_rescale(accumulator, self.rescale, graph.constant(self.rescale.shift), multiplier)


@dataclass(frozen=True, eq=False)
class LinearEpilogue:
    """The bias that a linear kernel's sum begins with, and the step from the sum to the output."""

    bias: Array
    requantize: RequantizeParams


def linear_epilogue(node: Linear, graph: Graph, weights: Array) -> LinearEpilogue:
    """The epilogue of any linear kernel but `conv_s16`; `weights` is (out, taps).

    The input's zero point is folded into the bias, and for `shift` so are the rounding constant and the
    output's zero point: the kernel's epilogue is then one shift and one clamp.
    """
    rescale = node.rescale
    assert rescale is not None
    shift, bias = graph.constant(rescale.shift), _bias(node, graph, weights)
    if rescale.multiplier is None:
        bias = bias + rounding_constant(shift, rescale.zero_point)
        requantize = RequantizeParams(shift=shift.astype(np.uint8), low=rescale.low, high=rescale.high)
    else:
        multiplier = graph.constant(rescale.multiplier).astype(np.int32)
        requantize = RequantizeParams(
            multiplier=multiplier, exponent=shift.astype(np.int8),
            zero_point=rescale.zero_point, low=rescale.low, high=rescale.high,
        )  # fmt: skip
    assert np.abs(bias).max(initial=0) < 2**31
    return LinearEpilogue(bias.astype(np.int32), requantize)


def _bias(node: Linear, graph: Graph, weights: Array) -> Array:
    quant = graph.tensors[node.inputs[0]].quant
    assert quant is not None
    return folded_bias(weights, graph.constant(node.bias), quant.zero_point)


def grouped_params(node: Linear, graph: Graph, weights: Array, image: Image, groups: Groups) -> KernelParams:
    """The parameters of the kernels for int16 weights, or of those for int16 activations with a wide or a 32-bit sum.

    `weights` is (out, kernel height, kernel width, depth).
    """
    rescale = node.rescale
    assert rescale is not None
    if weights.dtype != np.int16 and rescale.kind == "wide":
        assert rescale.multiplier is not None
        return ConvS16Params(
            weights=weights, bias=_bias(node, graph, weights.reshape(len(weights), -1)),
            multiplier=graph.constant(rescale.multiplier), shift=graph.constant(rescale.shift),
            zero_point=rescale.zero_point, low=rescale.low, high=rescale.high, **image, **groups,
        )  # fmt: skip
    params = ConvW16Params if weights.dtype == np.int16 else ConvS16OnceParams
    epilogue = linear_epilogue(node, graph, weights.reshape(len(weights), -1))
    return params(weights=weights, bias=epilogue.bias, requantize=epilogue.requantize, **image, **groups)


def prescribed_params(node: OnnxNode, index: int, axis: int) -> QuantParams | None:
    """The parameters that the file prescribes for weights, for rows of output channels (file axis `axis`).

    Scales along another axis are no common factor of a row's sum. The weights are then integers of sixteen bits, at
    most of 2**30 / (128 * taps) for the sum's sake, at one scale: as near to the file's values as that is.
    """
    quant = node.graph.tensors[node.inputs[index]].quant
    if quant is None or quant.axis is None:
        return quant
    if quant.axis == axis:
        return replace(quant, axis=0)
    kernel = node.constant(index, "weights")
    largest_integer = min(32767, 2**30 // (128 * max(1, kernel.size // kernel.shape[axis])))
    peak = float(np.abs(kernel).max(initial=0))
    return QuantParams((peak / largest_integer,), 0, None, "int16") if largest_integer > 255 and peak else None


def linear_call(node: Linear, graph: Graph, params: KernelParams) -> KernelCall:
    """The call of the C function that takes `params` and ends in the node's requantizer."""
    assert node.rescale is not None
    family = params.struct_name()
    kernel = family if family.startswith("conv_s16") else f"{family}_{node.rescale.kind}"
    return KernelCall(kernel, node.name, node.inputs[:1], node.outputs, params, macs=node.macs(graph))


def with_offset(params: DenseParams | Conv2dParams) -> DenseOffsetParams | Conv2dOffsetParams | None:
    """int16 weights as int8 weights and an offset for each output channel.

    Exact: weights = int8 + offset, so that the offset multiplies the sum of the inputs, which all channels share. None
    where a channel's weights are more than 255 apart, or where a partial sum could leave 32 bits.
    """
    weights = params.weights.astype(np.int64)
    rows = weights.reshape(len(weights), -1)
    lowest, highest = rows.min(axis=1, initial=0), rows.max(axis=1, initial=0)
    offset = np.maximum(highest - 127, 0) + np.minimum(lowest + 128, 0)
    centered = rows - offset[:, None]
    terms = 128 * (np.abs(centered).sum(axis=1) + np.abs(offset) * rows.shape[1])
    if (highest - lowest > 255).any() or (np.abs(params.bias.astype(np.int64)) + terms > INT32_MAX).any():
        return None
    inner, offset = replace(params, weights=centered.astype(np.int8).reshape(weights.shape)), offset.astype(np.int16)
    if isinstance(inner, DenseParams):
        return DenseOffsetParams(dense=inner, offset=offset)
    return Conv2dOffsetParams(conv2d=inner, offset=offset)
