"""Parameters of the kernels that move values, or look them up."""

from dataclasses import dataclass

from pipeline.graph.kernel_params.struct import Array, KernelParams


@dataclass(frozen=True, eq=False, kw_only=True)
class CopyParams(KernelParams):
    dims: tuple[int, ...]
    source_strides: tuple[int, ...]
    target_strides: tuple[int, ...]
    source_offset: int
    target_offset: int


@dataclass(frozen=True, eq=False, kw_only=True)
class FillParams(KernelParams):
    count: int
    value: int


@dataclass(frozen=True, eq=False, kw_only=True)
class GatherParams(KernelParams):
    indices: Array
    outer: int
    entries: int
    count: int
    inner: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectParams(KernelParams):
    indices: Array
    count: int
    zero: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LookupParams(KernelParams):
    table: Array
    count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class InterpolateParams(KernelParams):
    table: Array
    count: int
