"""Variants for Armv6-M, whose macros lie in `kernels/armv6m`."""

from collections.abc import Sequence
from types import ModuleType

from pipeline.planning.variants.armv6m import (
    add_lookup,
    compact_loop,
    depthwise_strip,
    fused_dense,
    packed_carry,
    packed_compressed,
    packed_narrow,
    packed_rows,
    packed_split,
    unpadded_pool,
    unrolled_shift,
    unrolled_sparse,
)

ONE_CALL: Sequence[ModuleType] = (
    packed_split, packed_carry, packed_narrow, packed_compressed, packed_rows, compact_loop, depthwise_strip,
    unrolled_sparse, unrolled_shift, unpadded_pool, add_lookup,
)  # fmt: skip
"""What may replace a C kernel."""
SEVERAL_CALLS: Sequence[ModuleType] = (fused_dense,)
"""What may replace several calls, each of which is the only reader of the one before."""
