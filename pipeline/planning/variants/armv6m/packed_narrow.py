"""`packed_narrow`: lanes never overflow, six pairs of outputs at once: what narrow weights buy.

See kernels/armv6m/packed_narrow.inc. Its macros say what an invocation costs.
"""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import Contiguous
from pipeline.planning.variants.armv6m.packed import (
    BASE,
    FRAME,
    LANE,
    Block,
    BlockRoutine,
    Chunk,
    LinearLayer,
    Scheme,
    chunks_of,
    linear_of,
    pair_words,
    position_loops,
    routine_of,
    rows_by_block,
)
from pipeline.planning.variants.armv6m.requantize import ACCUMULATORS, Epilogue, int32

NAME = "packed_narrow"
SUMMARY = "packed without splits, twelve outputs at once: where no output's weights can overflow a lane"

_PAIRS = 6


def offer(call: KernelCall) -> Routine | None:
    """The call with whole sums in its lanes; None where a lane would overflow, or the inputs need two chunks."""
    planned = scheme_of(call)
    return None if planned is None else routine_of(planned)


def scheme_of(call: KernelCall) -> Scheme | None:
    """The call with its blocks planned; None where a lane would overflow, or the inputs need two chunks."""
    linear = linear_of(call)
    if linear is None or np.abs(linear.weights).sum(axis=1).max(initial=0) > LANE or len(chunks_of(linear)) > 1:
        return None
    blocks = _blocks_of(len(linear.weights))
    routines = tuple(_routine(linear, b) for b in blocks)
    return scheme_of_whole_sums(NAME, INCLUDES, linear, routines, whole_sum_stream(linear, blocks, pair_words))


INCLUDES = (*BASE, "packed_narrow.inc")


def scheme_of_whole_sums(
    variant: str, includes: tuple[str, ...], linear: LinearLayer, routines: Sequence[BlockRoutine], stream: Array
) -> Scheme:
    """The scheme of a layer whose inputs are one chunk."""
    inputs = linear.weights.shape[1]
    return Scheme(
        variant,
        includes,
        linear,
        (Chunk(0, inputs, tuple(routines)),),
        tables={"packed": stream},
        words=FRAME + inputs,
        walk=position_loops,
        stream_in_register=isinstance(linear.inputs, Contiguous),
    )


def _blocks_of(outputs: int) -> list[Block]:
    """Blocks of nearly equal size: none of few pairs, whose loads would weigh more."""
    pairs = (outputs + 1) // 2
    small, more = divmod(pairs, ceil(pairs / _PAIRS))
    counts = [(small + 1, more), (small, ceil(pairs / _PAIRS) - more)]
    blocks = [Block(count, 2 * p) for p, count in counts if count]
    if outputs % 2 == 0:
        return blocks
    last = blocks.pop()
    blocks += [Block(last.count - 1, last.outputs)] if last.count > 1 else []
    return [*blocks, Block(1, last.outputs - 1)]


def whole_sum_stream(linear: LinearLayer, blocks: Sequence[Block], words_of: Callable[[Array], Array]) -> Array:
    """Words of every block: weights, as `words_of` packs its rows, then start and constants of every output."""
    ends = np.concatenate([linear.epilogue.start[:, None], linear.epilogue.constants], axis=1)
    parts = ((words_of(rows), ends[f : f + outputs].reshape(-1)) for f, outputs, rows in rows_by_block(linear, blocks))
    return int32(np.concatenate([words for part in parts for words in part]))


def _routine(linear: LinearLayer, block: Block) -> BlockRoutine:
    inputs = linear.weights.shape[1]
    steps = ", ".join(["packed_narrow_steps " + str(block.pairs), *(str(i) for i in range(1, inputs))])
    return BlockRoutine(
        (steps, *whole_sum_epilogue(linear.epilogue, block)), "packed_blocks", str(block.count), block.count
    )


def whole_sum_epilogue(epilogue: Epilogue, block: Block) -> list[str]:
    """Macros that requantize the lanes to the outputs, and the return."""
    macro = epilogue.macro.replace("requantize", NAME)
    span = epilogue.arguments.split(",")[0] if epilogue.macro == "requantize_shift" else "0"
    lines = [f"packed_narrow_outputs {span}"]
    for output in range(block.outputs):
        lines.append(f"{macro} {ACCUMULATORS[output // 2]}, {output & 1}, {output}, {epilogue.arguments}")
    return [*lines, f"packed_done {block.outputs}"]
