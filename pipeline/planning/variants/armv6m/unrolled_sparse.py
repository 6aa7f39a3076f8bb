"""`unrolled_sparse`: weights as instructions, so that what is zero costs nothing.

See kernels/armv6m/unrolled_sparse.inc.
"""

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.unrolled import unrolled

NAME = "unrolled_sparse"
SUMMARY = "weights as instructions: zeros are free, a position's weights are straight-line code"

_WEIGHT_UNIT, _WEIGHT_ZERO = (symbols()[s] for s in ("WEIGHT_UNIT", "WEIGHT_ZERO"))


def offer(call: KernelCall) -> Routine | None:
    """The call as instructions; None for more than 256 inputs, or windows of more than one position."""
    return unrolled(call, NAME, _terms)


def _terms(row: Array) -> list[str]:
    entries = (i + _WEIGHT_UNIT * (int(row[i]) + _WEIGHT_ZERO) for i in np.flatnonzero(row).tolist())
    return [f"unrolled_sparse_terms {', '.join(str(e) for e in entries)}"]
