"""`unrolled_shift`: weights as instructions without multiplications, for chips whose MULS takes 32 cycles.

See kernels/armv6m/unrolled_shift.inc.
"""

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.unrolled import unrolled

NAME = "unrolled_shift"
SUMMARY = "weights as shifts and additions, for the 32-cycle multiplier"

_NEGATIVE = symbols()["NEGATIVE"]


def offer(call: KernelCall) -> Routine | None:
    """The call as shifts and additions; None where `unrolled_sparse` does not apply."""
    return unrolled(call, NAME, _terms)


def _terms(row: Array) -> list[str]:
    used = np.flatnonzero(row).tolist()
    return [f"unrolled_shift_term {', '.join(str(n) for n in (i, *non_adjacent_form(int(row[i]))))}" for i in used]


def non_adjacent_form(weight: int) -> list[int]:
    """The signed digits of a weight, fewest possible: shift + NEGATIVE where negative. Source: non-adjacent form."""
    signed_digits, shift = [], 0
    while weight:
        if weight & 1:
            digit = 2 - (weight & 3)
            signed_digits.append(shift + (_NEGATIVE if digit < 0 else 0))
            weight -= digit
        weight >>= 1
        shift += 1
    return signed_digits
