"""Parameters of the kernels that compute element by element from two inputs."""

from dataclasses import dataclass
from typing import TypedDict

from pipeline.graph.kernel_params.struct import KernelParams


class Walk(TypedDict):
    """Arguments that `WalkParams` takes."""

    dims: tuple[int, ...]
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class WalkParams(KernelParams):
    """The first members of every struct of a kernel of two inputs: sizes of six nested loops, both inputs' strides."""

    dims: tuple[int, ...]
    a_strides: tuple[int, ...]
    b_strides: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class AddParams(WalkParams):
    a_scale: int
    b_scale: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AddRescaledParams(WalkParams):
    left: int
    sign: int
    a_zero_point: int
    a_multiplier: int
    a_exponent: int
    b_zero_point: int
    b_multiplier: int
    b_exponent: int
    y_zero_point: int
    y_multiplier: int
    y_exponent: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ExtremumParams(WalkParams):
    sign: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MulParams(WalkParams):
    a_zero_point: int
    b_zero_point: int
    scale: int
    offset: int
    shift: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MulRescaledParams(WalkParams):
    a_zero_point: int
    b_zero_point: int
    y_zero_point: int
    multiplier: int
    exponent: int
    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MulWideParams(WalkParams):
    a_zero_point: int
    b_zero_point: int
    y_zero_point: int
    multiplier: int
    shift: int
    low: int
    high: int
