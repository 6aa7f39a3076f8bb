"""`packed_rows`: packed convolution whose windows are read from widened image rows, for few input channels.

See kernels/armv6m/packed_rows.inc. Its macros say what an invocation costs.
"""

from dataclasses import replace

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import Windows, im2col
from pipeline.planning.variants.armv6m.loops import Loop
from pipeline.planning.variants.armv6m.packed import (
    BASE,
    FRAME,
    LANE,
    Block,
    BlockRoutine,
    Chunk,
    LinearLayer,
    PositionLoops,
    Scheme,
    blocks_of,
    calls_of,
    epilogue_lines,
    linear_of,
    routine_of,
)
from pipeline.planning.variants.armv6m.packed_schedule import FIRST, LAST, stream

NAME = "packed_rows"
SUMMARY = "packed convolution that reads its windows from widened image rows: few input channels"

_LOAD_RANGE = 32  # words that one load reaches from the window's row
_MOST_WORDS = 960
_NEXT_ROW = symbols()["NEXT_ROW"]
"""Bit of an entry: the next kernel row begins with it."""


def offer(call: KernelCall) -> Routine | None:
    """A convolution with at most 32 inputs in a kernel row, whose image rows fit the stack; else None."""
    linear = linear_of(call) if isinstance(call.params, Conv2dParams) else None
    if linear is None or not isinstance(linear.inputs, Windows) or np.abs(linear.weights).max(initial=0) > LANE:
        return None
    windows = linear.inputs
    words = FRAME + windows.rows * _widened_rows(windows).row
    if windows.row > _LOAD_RANGE or windows.rows > 255 or words > _MOST_WORDS:
        return None
    blocks, (entries, inputs) = blocks_of(len(linear.weights), 4), _entries_and_inputs(linear.weights, windows)
    routines = tuple(_routine(linear, b, entries) for b in blocks)
    scheme = Scheme(
        variant=NAME,
        includes=(*BASE, "packed_split.inc", "packed_rows.inc"),
        linear=linear,
        chunks=(Chunk(0, linear.weights.shape[1], routines),),
        tables={"packed": stream(linear, blocks, [inputs], lambda start: start)},
        words=words,
        walk=_position_loops,
    )
    return routine_of(scheme)


def _widened_rows(windows: Windows) -> Windows:
    """The windows that im2col loads: of every kernel row all that a row of outputs reads, once."""
    return replace(windows, row=(windows.out_width - 1) * windows.stride_x + windows.row, out_width=1)


def _entries_and_inputs(weights: Array, windows: Windows) -> tuple[list[int], list[int]]:
    """Entries and inputs, row by row; within a row the largest input that its lanes still hold."""
    sizes, row = np.abs(weights), windows.row
    entries: list[int] = []
    inputs: list[int] = []
    total = np.full(len(sizes), LANE + 1)
    for ky in range(windows.rows):
        remaining = sorted(range(row), key=lambda i: -int(sizes[:, ky * row + i].max()))
        for position in range(row):
            tap = next((i for i in remaining if (total + sizes[:, ky * row + i]).max() <= LANE), remaining[0])
            remaining.remove(tap)
            own = sizes[:, ky * row + tap]
            entry = tap + (_NEXT_ROW if position == 0 and ky > 0 else 0)
            if (total + own).max() > LANE:
                if entries:
                    entries[-1] += LAST
                entry, total = entry + FIRST, np.zeros(len(sizes), np.int64)
            total = total + own
            entries.append(entry)
            inputs.append(ky * row + tap)
    entries[-1] += LAST
    return entries, inputs


def _routine(linear: LinearLayer, block: Block, entries: list[int]) -> BlockRoutine:
    lines = [f"packed_rows_steps {block.pairs}, {', '.join(str(e) for e in entries)}", "packed_outputs"]
    lines += [*epilogue_lines(linear.epilogue, block), f"packed_done {block.outputs}"]
    return BlockRoutine(tuple(lines), "packed_blocks", str(block.count), block.count)


def _position_loops(scheme: Scheme) -> PositionLoops:
    """One row of outputs after the other, whose windows are pointers into the rows that im2col widens."""
    windows = scheme.linear.inputs
    assert isinstance(windows, Windows)
    widened = _widened_rows(windows)
    position = ("packed_stream {packed}", calls_of(scheme, 0, 0), f"add_word F_WINDOW, {4 * windows.stride_x}")
    row = (
        f"packed_rows_widen SHARED({{im2col}}), LAYER({{layer}}_shape), {windows.rows}, {4 * widened.row}",
        Loop("F_COLUMNS", 3, windows.out_width, position),
        f"add_word F_TOP, {windows.stride_y}",
    )
    begin = (f"set_word F_TOP, {windows.top}", f"set_word F_LEFT, {windows.left}")
    steps = (*begin, Loop("F_ROWS", 4, windows.out_height, row))
    return PositionLoops(steps, im2col(widened, windows.rows, 0), widened)
