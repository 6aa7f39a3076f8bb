"""`compact_loop`: dense layers and convolutions in compact loops, one byte for a weight: for when flash binds.

See kernels/armv6m/compact_loop.inc. Its macros say what an invocation costs.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.packed import (
    BASE,
    FRAME,
    Block,
    BlockRoutine,
    Chunk,
    LinearLayer,
    Scheme,
    blocks_of,
    epilogue_lines,
    linear_of,
    position_loops,
    routine_of,
)
from pipeline.planning.variants.armv6m.requantize import int32

NAME = "compact_loop"
SUMMARY = "compact loops: one byte for a weight, four outputs for each load of an input"

_MOST_WORDS = 1000
_OUTPUTS_AT_ONCE = 4


def offer(call: KernelCall) -> Routine | None:
    """The call as loops; None for a weight of -128, and where one position's inputs do not fit the stack."""
    if not isinstance(call.params, Conv2dParams | DenseParams) or call.params.weights.dtype != np.int8:
        return None
    linear = linear_of(call)
    if linear is None or linear.weights.min(initial=0) < -127:
        return None
    inputs = linear.weights.shape[1]
    if inputs + FRAME > _MOST_WORDS:
        return None
    routines = tuple(_routine(linear, b) for b in blocks_of(len(linear.weights), _OUTPUTS_AT_ONCE))
    scheme = Scheme(
        variant=NAME,
        includes=(*BASE, "compact_loop.inc"),
        linear=linear,
        chunks=(Chunk(0, inputs, routines, before=("compact_loop_weights {rows}",)),),
        tables=_tables(linear),
        words=FRAME + inputs,
        walk=position_loops,
    )
    return routine_of(scheme)


def _tables(linear: LinearLayer) -> Mapping[str, Array]:
    """`rows` of weights, padded to whole fours; `packed`: for every four outputs their starts, then their constants."""
    outputs, epilogue = len(linear.weights), linear.epilogue
    padded = np.zeros((-(-outputs // _OUTPUTS_AT_ONCE) * _OUTPUTS_AT_ONCE, linear.weights.shape[1]), np.int8)
    padded[:outputs] = -linear.weights
    start = np.concatenate([epilogue.start, np.zeros(len(padded) - outputs, np.int64)])
    words: list[Array] = []
    for first in range(0, outputs, _OUTPUTS_AT_ONCE):
        words.append(start[first : first + _OUTPUTS_AT_ONCE])
        words.append(epilogue.constants[first : min(first + _OUTPUTS_AT_ONCE, outputs)].reshape(-1))
    return {"rows": padded, "packed": int32(np.concatenate(words))}


def _routine(linear: LinearLayer, block: Block) -> BlockRoutine:
    inputs = linear.weights.shape[1]
    ends = epilogue_lines(linear.epilogue, block)
    lines = (f"compact_loop_sums {inputs}", *ends, f"compact_loop_done {block.outputs}")
    return BlockRoutine(lines, "packed_blocks", str(block.count), block.count, max(1, inputs // 4))
