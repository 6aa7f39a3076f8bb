"""`packed_compressed`: narrow weights packed tight in flash and unpacked two lanes at a time.

See kernels/armv6m/packed_compressed.inc. Its macros say what an invocation costs.
"""

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m import packed_narrow
from pipeline.planning.variants.armv6m.packed import (
    FRAME,
    LANE,
    Block,
    BlockRoutine,
    LinearLayer,
    blocks_of,
    linear_of,
    routine_of,
)
from pipeline.planning.variants.armv6m.packed_narrow import scheme_of_whole_sums, whole_sum_epilogue, whole_sum_stream

NAME = "packed_compressed"
SUMMARY = "narrow weights packed tight in flash, up to twelve in a word, unpacked two at a time"

_MOST_WORDS = 1000
_PAIRS = 6


def offer(call: KernelCall) -> Routine | None:
    """Weights of at most 5 bits whose sums cannot overflow a lane; else None."""
    linear = linear_of(call)
    if linear is None or linear.weights.shape[1] + FRAME > _MOST_WORDS:
        return None
    sizes = np.abs(linear.weights)
    if sizes.max(initial=0) > 15 or sizes.sum(axis=1).max(initial=0) > LANE:
        return None
    # Raised by half the range, a negated weight is between 1 and 2**bits - 1.
    bits = int(sizes.max(initial=1)).bit_length() + 1
    blocks = blocks_of(len(linear.weights), 2 * min(_PAIRS, 16 // bits))
    routines = tuple(_routine(linear, b, bits) for b in blocks)
    stream = whole_sum_stream(linear, blocks, lambda rows: _packed_words(rows, bits))
    includes = (*packed_narrow.INCLUDES, "packed_compressed.inc")
    return routine_of(scheme_of_whole_sums(NAME, includes, linear, routines, stream))


def _packed_words(rows: Array, bits: int) -> Array:
    """One word for each input: of output pair k, fields k of both halves."""
    raised = rows + (1 << (bits - 1))
    shifts = (np.arange(len(rows)) // 2 * bits + np.arange(len(rows)) % 2 * 16)[:, None]
    return (raised << shifts).sum(axis=0)


def _routine(linear: LinearLayer, block: Block, bits: int) -> BlockRoutine:
    unrolled = 3 if min(_PAIRS, 16 // bits) > 5 else 4  # as far as a branch reaches back
    inputs = linear.weights.shape[1]
    begin = f"packed_compressed_steps {block.pairs}, {bits}, {inputs}, {unrolled}"
    lines = (begin, *whole_sum_epilogue(linear.epilogue, block))
    return BlockRoutine(lines, "packed_blocks", str(block.count), block.count, max(1, inputs // unrolled))
