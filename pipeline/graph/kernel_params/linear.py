"""Parameters of the kernels that multiply weights: dense layers and convolutions."""

from dataclasses import dataclass
from typing import TypedDict

from pipeline.graph.kernel_params.struct import Array, KernelParams, Struct


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeParams(Struct):
    """Requantization per output channel: a shift alone, or multiplier and exponent with the output's zero point."""

    shift: Array | None = None
    multiplier: Array | None = None
    exponent: Array | None = None
    zero_point: int | None = None
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearParams(KernelParams):
    """The first members of every struct of a kernel with a sum of 32 bits; axis 0 of `weights` is output channels."""

    weights: Array
    bias: Array
    requantize: RequantizeParams


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseParams(LinearParams):
    rows: int
    inputs: int
    outputs: int


class Image(TypedDict):
    """Arguments that every struct of a convolution with a 32-bit sum takes, and `conv_s16`."""

    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel_height: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    dilation_y: int
    input_zero_point: int


class Groups(TypedDict):
    """Arguments that the structs of grouped convolutions take besides."""

    groups: int
    depth: int
    group_outputs: int
    kernel_width: int
    dilation_x: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2dParams(LinearParams):
    batch: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel_height: int
    row: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    dilation_y: int
    input_zero_point: int


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseParams(LinearParams):
    """`weights` has its output channels in the last axis."""

    batch: int
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    dilation_y: int
    dilation_x: int
    input_zero_point: int


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupedParams(LinearParams):
    """A convolution in `groups` of `depth` input and `group_outputs` output channels."""

    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    groups: int
    depth: int
    group_outputs: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    dilation_y: int
    dilation_x: int
    input_zero_point: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2dGroupedParams(GroupedParams):
    """int8 weights and activations."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvW16Params(GroupedParams):
    """int16 weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvS16OnceParams(GroupedParams):
    """int16 activations."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvS16Params(KernelParams):
    """int16 activations and a sum of 48 bits."""

    weights: Array
    bias: Array
    multiplier: Array
    shift: Array
    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    groups: int
    depth: int
    group_outputs: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    dilation_y: int
    dilation_x: int
    input_zero_point: int
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseOffsetParams(KernelParams):
    """int16 weights as int8 ones and an offset for each output channel."""

    dense: DenseParams
    offset: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2dOffsetParams(KernelParams):
    """int16 weights as int8 ones and an offset for each output channel."""

    conv2d: Conv2dParams
    offset: Array


def weight_rows(params: LinearParams | ConvS16Params) -> Array:
    """Weights of a layer as (output channels, taps)."""
    if isinstance(params, DepthwiseParams):
        return params.weights.reshape(-1, params.weights.shape[-1]).T
    return params.weights.reshape(len(params.weights), -1)
