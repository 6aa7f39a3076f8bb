"""`packed_rows`: packed convolution whose windows are read from widened image rows, for few input channels.

See kernels/armv6m/packed_rows.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import Shape, im2col, shape_of
from pipeline.planning.variants.armv6m.macro_costs import closing, straight
from pipeline.planning.variants.armv6m.packed_split import FRAME, LANE, Block, Packed, blocks_of
from pipeline.planning.variants.armv6m.requantize import Ending, ending_of

NAME = "packed_rows"
SUMMARY = "packed convolution that reads its windows from widened image rows: few input channels"

_REACH = 32  # words that one load reaches from the window's row
_WORDS = 960


def offer(call: KernelCall) -> Routine | None:
    """A convolution with at most 32 inputs in a kernel row, whose image rows fit the stack; else None."""
    if not isinstance(call.params, Conv2dParams):
        return None
    weights = weight_rows(call.params).astype(np.int64)
    if np.abs(weights).max(initial=0) > LANE:
        return None
    shape, ending = shape_of(call), ending_of(call)
    if shape is None or ending is None or shape.contiguous or shape.row > _REACH or shape.rows > 255:
        return None
    made = _Lines(shape, weights, ending)
    return made.routine() if made.words <= _WORDS else None


class _Lines(Packed):
    name = NAME
    includes = ("frame.inc", "requantize.inc", "packed_split.inc", "packed_rows.inc")

    def __init__(self, shape: Shape, weights: Array, ending: Ending) -> None:
        super().__init__(shape, weights, ending)
        self.line = (shape.out_width - 1) * shape.stride_x + shape.row
        self.words = FRAME + shape.rows * self.line

    def split_outputs(self) -> list[Block]:
        return blocks_of(len(self.weights), 4)

    def chunks_of(self) -> list[tuple[int, int]]:
        return [(0, self.weights.shape[1])]

    def orders_of(self) -> Sequence[Sequence[int]]:
        """Rows one after the other; within a row the largest input that its lanes still hold."""
        sizes, row = np.abs(self.weights), self.shape.row
        entries: list[int] = []
        total = np.full(len(sizes), LANE + 1)
        self.taps: list[int] = []
        for ky in range(self.shape.rows):
            left = sorted(range(row), key=lambda i: -int(sizes[:, ky * row + i].max()))
            for position in range(row):
                tap = next((i for i in left if (total + sizes[:, ky * row + i]).max() <= LANE), left[0])
                left.remove(tap)
                own = sizes[:, ky * row + tap]
                entry = tap + (1024 if position == 0 and ky > 0 else 0)
                if (total + own).max() > LANE:
                    if entries:
                        entries[-1] += 512
                    entry, total = entry + 256, np.zeros(len(sizes), np.int64)
                total = total + own
                entries.append(entry)
                self.taps.append(ky * row + tap)
        entries[-1] += 512
        return [entries]

    def order_of(self, chunk: int) -> list[int]:
        return self.taps

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        lines = [f"packed_rows_begin {block.pairs}", f".irp entry, {', '.join(str(e) for e in self.orders[0])}"]
        lines += [f"packed_rows_step {block.pairs}, \\entry", ".endr", "packed_outputs"]
        for lane in range(block.outputs):
            lines.append(f"{self.ending.macro} {('r8', 'r9', 'r10', 'r11')[lane]}, {lane}, {self.ending.arguments}")
        return [*lines, f"packed_done {block.outputs}"]

    def positions(self) -> list[str]:
        shape = self.shape
        blocks = [f"packed_blocks LAYER({{layer}}_0_{k}), {b.count}" for k, b in enumerate(self.blocks)]
        return [
            f"set_word F_TOP, {shape.top}",
            f"set_word F_LEFT, {shape.left}",
            f"set_word F_ROWS, {shape.out_height}",
            "4:",
            self.packed_rows_row(),
            f"set_word F_COLUMNS, {shape.out_width}",
            "3:",
            "packed_stream {packed}",
            *blocks,
            f"add_word F_WINDOW, {4 * shape.stride_x}",
            "repeat F_COLUMNS, 3b",
            f"add_word F_TOP, {shape.stride_y}",
            "repeat F_ROWS, 4b",
        ]

    def gathered(self) -> Shape:
        """What the shared routine brings: whole rows instead of one window's."""
        return replace(self.shape, row=self.line, out_width=1)

    def executed(self) -> Executed:
        shape = self.shape
        position = straight("packed_stream {packed}", f"add_word F_WINDOW, {4 * shape.stride_x}")
        position += self.blocks_executed(0)
        row = straight(self.packed_rows_row())
        total = straight(f"enter {self.words}", f"leave {self.words}") + im2col(self.gathered(), shape.rows, 0)
        total += straight(f"set_word F_TOP, {shape.top}", f"set_word F_LEFT, {shape.left}", "set_word F_ROWS, 0")
        row += straight("set_word F_COLUMNS, 0", f"add_word F_TOP, {shape.stride_y}")
        row += position * shape.out_width + closing(shape.out_width, "repeat F_COLUMNS, 3b")
        return total + row * shape.out_height + closing(shape.out_height, "repeat F_ROWS, 4b")

    def packed_rows_row(self) -> str:
        """What brings the image rows under one row of outputs."""
        return f"packed_rows_row SHARED({{im2col}}), LAYER({{layer}}_shape), {self.shape.rows}, {4 * self.line}"

    def block_code(self, block: Block, chunk: int) -> int:
        return super().block_code(block, chunk) + 2 + 2 * self.shape.rows
