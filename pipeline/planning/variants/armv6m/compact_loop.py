"""`compact_loop`: dense layers and convolutions in compact loops, one byte for a weight: for when flash binds.

See kernels/armv6m/compact_loop.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import shape_of
from pipeline.planning.variants.armv6m.macro_costs import looped, straight
from pipeline.planning.variants.armv6m.packed_split import FRAME, Block, Packed, blocks_of
from pipeline.planning.variants.armv6m.requantize import ending_of, int32

NAME = "compact_loop"
SUMMARY = "compact loops: one byte for a weight, four outputs for each load of an input"

_WORDS = 1000


def offer(call: KernelCall) -> Routine | None:
    """The call as loops; None for a weight of -128, and where one position's inputs do not fit the stack."""
    if not isinstance(call.params, Conv2dParams | DenseParams) or call.params.weights.dtype != np.int8:
        return None
    weights = weight_rows(call.params).astype(np.int64)
    shape, ending = shape_of(call), ending_of(call)
    if shape is None or ending is None or weights.min(initial=0) < -127 or weights.shape[1] + FRAME > _WORDS:
        return None
    return _Loops(shape, weights, ending).routine()


class _Loops(Packed):
    name = NAME
    includes = ("frame.inc", "requantize.inc", "packed_split.inc", "compact_loop.inc")

    def split_outputs(self) -> list[Block]:
        return blocks_of(len(self.weights), 4)

    def chunks_of(self) -> list[tuple[int, int]]:
        return [(0, self.weights.shape[1])]

    def orders_of(self) -> Sequence[Sequence[int]]:
        return [range(self.weights.shape[1])]

    def tables(self) -> Mapping[str, Array]:
        """Rows in whole fours, and of every four their starts and then each one's constants."""
        outputs = len(self.weights)
        padded = np.zeros((-(-outputs // 4) * 4, self.weights.shape[1]), np.int8)
        padded[:outputs] = -self.weights
        start = np.concatenate([self.ending.start, np.zeros(len(padded) - outputs, np.int64)])
        words: list[Array] = []
        for first in range(0, outputs, 4):
            words.append(start[first : first + 4])
            words.append(self.ending.constants[first : min(first + 4, outputs)].reshape(-1))
        return {"rows": padded, "packed": int32(np.concatenate(words))}

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        lines = [f"compact_loop_begin {self.weights.shape[1]}"]
        for lane in range(block.outputs):
            lines.append(f"{self.ending.macro} {('r8', 'r9', 'r10', 'r11')[lane]}, {lane}, {self.ending.arguments}")
        return [*lines, f"compact_loop_done {block.outputs}"]

    def at_once(self) -> bool:
        """Never: its blocks keep the stream in the frame."""
        return False

    def before_blocks(self, chunk: int) -> list[str]:
        return ["compact_loop_weights {rows}"]

    def block_executed(self, block: Block, chunk: int) -> Executed:
        loops = self.weights.shape[1] // 4
        begin, *ending = self.block_lines(block, chunk)
        return (looped(loops, begin) if loops else straight(begin)) + straight(*ending)

    def block_code(self, block: Block, chunk: int) -> int:
        loops, rest = divmod(self.weights.shape[1], 4)
        return 34 + (10 + 4 * 28 if loops else 0) + 28 * rest + 16 + block.outputs * self.ending.code
