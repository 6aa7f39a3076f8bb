"""Parameters of the kernels that slide a window over an image."""

from dataclasses import dataclass

from pipeline.graph.kernel_params.struct import Array, KernelParams, Struct


@dataclass(frozen=True, eq=False, kw_only=True)
class PoolParams(Struct):
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


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPoolParams(KernelParams):
    pool: PoolParams


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePoolParams(KernelParams):
    reciprocal: Array
    pool: PoolParams
    reciprocal_step: int
    input_zero_point: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePoolExactParams(KernelParams):
    pool: PoolParams
    bias: int
    low: int
    high: int
