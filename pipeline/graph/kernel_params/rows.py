"""Parameters of the kernels that compute along one axis: [outer][that axis][inner]."""

from dataclasses import dataclass
from typing import TypedDict

from pipeline.graph.kernel_params.struct import Array, KernelParams


class Exponentials(TypedDict):
    """Arguments that `ExponentialsParams` takes."""

    exponentials: Array
    outer: int
    count: int
    inner: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AffineParams(KernelParams):
    scale: Array
    offset: Array
    outer: int
    channels: int
    inner: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AffineWideParams(KernelParams):
    scale: Array
    offset: Array
    outer: int
    channels: int
    inner: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PreluParams(KernelParams):
    slope: Array
    outer: int
    channels: int
    inner: int
    zero_point: int
    scale: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PreluRescaledParams(KernelParams):
    slope: Array
    outer: int
    channels: int
    inner: int
    x_zero_point: int
    y_zero_point: int
    above_multiplier: int
    above_exponent: int
    below_multiplier: int
    below_exponent: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgmaxParams(KernelParams):
    outer: int
    count: int
    inner: int
    sign: int
    last: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ReduceExtremumParams(KernelParams):
    outer: int
    reduced: int
    inner: int
    sign: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanParams(KernelParams):
    outer: int
    reduced: int
    inner: int
    scale: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanRescaledParams(KernelParams):
    outer: int
    reduced: int
    inner: int
    offset: int
    multiplier: int
    exponent: int
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ExponentialsParams(KernelParams):
    """The first members of every struct of a softmax."""

    exponentials: Array
    outer: int
    count: int
    inner: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxParams(ExponentialsParams):
    """uint16 terms; outputs of 1/256."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxExactParams(ExponentialsParams):
    """int32 terms, as gemmlowp has them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxS16Params(ExponentialsParams):
    step: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxScaledParams(ExponentialsParams):
    factor: int
    shift: int
    zero_point: int
