"""Strided copies: the one kernel behind Transpose, Slice, Split, Concat and Pad."""

from collections.abc import Sequence

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.moves import CopyParams
from pipeline.graph.tensor import Shape

MAX_RANK = 6


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return tuple(strides)


def copy_call(
    node: str,
    graph: Graph,
    source: str,
    target: str,
    *,
    dims: Shape,
    source_strides: Sequence[int],
    target_strides: Sequence[int],
    source_offset: int = 0,
    target_offset: int = 0,
) -> KernelCall:
    """The call that copies `dims` elements between two strided boxes, dimensions merged as far as both sides allow."""
    width = np.dtype(graph.tensors[source].dtype).itemsize
    axes = [(d, s, t) for d, s, t in zip(dims, source_strides, target_strides, strict=True) if d != 1]
    merged: list[tuple[int, int, int]] = []
    for d, s, t in axes:
        if merged and merged[-1][1] == s * d and merged[-1][2] == t * d:
            merged[-1] = (merged[-1][0] * d, s, t)
        else:
            merged.append((d, s, t))
    if width != 1:  # the kernel moves bytes
        merged = [(d, s * width, t * width) for d, s, t in merged] + [(width, 1, 1)]
        if merged[-2:-1] and merged[-2][1:] == (width, width):
            merged[-2:] = [(merged[-2][0] * width, 1, 1)]
    merged = [(1, 1, 1)] * (MAX_RANK - len(merged)) + merged
    return KernelCall(
        kernel="copy",
        node=node,
        inputs=(source,),
        outputs=(target,),
        params=CopyParams(
            dims=tuple(d for d, _, _ in merged),
            source_strides=tuple(s for _, s, _ in merged),
            target_strides=tuple(t for _, _, t in merged),
            source_offset=source_offset * width,
            target_offset=target_offset * width,
        ),
    )
