"""`unrolled_shift`: weights as instructions without multiplications, for chips whose MULS takes 32 cycles."""

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.variants.armv6m import unrolled_sparse

NAME = "unrolled_shift"
SUMMARY = "weights as shifts and additions, for the 32-cycle multiplier"


def offer(call: KernelCall) -> Routine | None:
    """The call as shifts and additions; None where `unrolled_sparse` does not apply."""
    return unrolled_sparse.without_multiplications(call)
