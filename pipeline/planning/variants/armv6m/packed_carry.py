"""`packed_carry`: lanes are split with the carry, four outputs at once: for weights that need many splits.

See kernels/armv6m/packed_carry.inc. Its macros say what an invocation costs.
"""

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.macro_costs import code_size
from pipeline.planning.variants.armv6m.packed import BASE, MOST_CHUNKS, BlockRoutine, Scheme, linear_of, routine_of
from pipeline.planning.variants.armv6m.packed_schedule import Part, Splits, scheme

NAME = "packed_carry"
SUMMARY = "packed, lanes split with the carry, four outputs at once: for weights that need many splits"

_BRANCH_RANGE = 1984  # bytes of a block over which a branch goes back to its first instruction


def offer(call: KernelCall) -> Routine | None:
    """The call as packed assembly with cheaper splits; None where `packed_split` does not apply."""
    scheme = scheme_of(call)
    return routine_of(scheme) if scheme is not None and len(scheme.chunks) <= MOST_CHUNKS else None


def scheme_of(call: KernelCall) -> Scheme | None:
    """The call with its splits planned; None for what `packed_split` does not do, and where a block is too long."""
    linear = linear_of(call)
    planned = None if linear is None else scheme(_SPLITS, linear)
    if planned is None or max(code_size(r.lines) for c in planned.chunks for r in c.routines) > _BRANCH_RANGE:
        return None
    return planned


def _routine(part: Part) -> BlockRoutine:
    """One call runs all blocks: the routine goes back itself until the stream is behind the last."""
    block, epilogue = part.block, part.linear.epilogue
    lines = ["1:", f"packed_carry_begin {block.pairs}, {int(part.first)}, {int(part.last)}"]
    lines.append(f"packed_carry_steps {block.pairs}, {part.entry_list}")
    if part.last:
        lines.append(f"packed_carry_outputs {block.pairs}")
        for output in range(block.outputs):
            even = output % 2 == 0
            lines += (
                [("packed_carry_even upper0, words0", "packed_carry_even output3, words1")[output // 2]] if even else []
            )
            register = "value" if even else ("output1", "output3")[output // 2]
            lines.append(f"{epilogue.macro} {register}, {output}, {epilogue.arguments}")
        lines.append(f"packed_carry_done {block.outputs}")
    else:
        lines.append(f"packed_carry_hand_over {block.pairs}")
    lines.append(f"packed_carry_return {block.count}")
    count_and_bytes = f"{block.count}, {4 * block.count * part.words}"
    return BlockRoutine(tuple(lines), "packed_carry_blocks", count_and_bytes, 1, block.count)


def _start_words(start: Array) -> Array:
    """`start` of both outputs of each pair in one word, then the upper output's `start` of each pair."""
    even, odd = start[0::2], start[1::2]
    return np.concatenate([even + (odd << 16), odd])


_SPLITS = Splits(
    variant=NAME,
    includes=(*BASE, "packed_carry.inc"),
    outputs=4,
    routine=_routine,
    start_words=_start_words,
)
