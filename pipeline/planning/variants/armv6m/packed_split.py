"""`packed_split`: lanes are split by sign extension before they could overflow, six outputs at once.

See kernels/armv6m/packed_split.inc. Its macros say what an invocation costs.
"""

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.variants.armv6m.packed import (
    BASE,
    MOST_CHUNKS,
    BlockRoutine,
    Scheme,
    epilogue_lines,
    linear_of,
    routine_of,
)
from pipeline.planning.variants.armv6m.packed_schedule import Part, Splits, scheme

NAME = "packed_split"
SUMMARY = "two outputs' weights in one word: one MULS and one ADDS for two products"


def offer(call: KernelCall) -> Routine | None:
    """The call as packed assembly; None for what it does not do (batches, kernel rows above 240 bytes)."""
    planned = scheme_of(call)
    return routine_of(planned) if planned is not None and len(planned.chunks) <= MOST_CHUNKS else None


def scheme_of(call: KernelCall) -> Scheme | None:
    """The call with its splits planned; None for what no chunk of its inputs could do."""
    linear = linear_of(call)
    return None if linear is None else scheme(_SPLITS, linear)


def _routine(part: Part) -> BlockRoutine:
    pairs = part.block.pairs
    lines = [f"packed_split_begin {pairs}, {int(part.first)}, {int(part.last)}"]
    lines.append(f"packed_split_steps {pairs}, {part.entry_list}")
    if part.last:
        ends = epilogue_lines(part.linear.epilogue, part.block)
        lines += ["packed_outputs", *ends, f"packed_done {part.block.outputs}"]
    else:
        lines.append(f"packed_split_hand_over {pairs}")
    return BlockRoutine(tuple(lines), "packed_blocks", str(part.block.count), part.block.count)


_SPLITS = Splits(
    variant=NAME,
    includes=(*BASE, "packed_split.inc"),
    outputs=6,
    routine=_routine,
    start_words=lambda start: start,
)
