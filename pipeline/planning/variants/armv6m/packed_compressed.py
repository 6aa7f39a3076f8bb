"""`packed_compressed`: narrow weights packed tight in flash and unpacked two lanes at a time.

See kernels/armv6m/packed_compressed.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import Shape, shape_of
from pipeline.planning.variants.armv6m.macro_costs import looped, straight
from pipeline.planning.variants.armv6m.packed_narrow import Lanes
from pipeline.planning.variants.armv6m.packed_split import FRAME, LANE, Block, blocks_of
from pipeline.planning.variants.armv6m.requantize import Ending, ending_of

NAME = "packed_compressed"
SUMMARY = "narrow weights packed tight in flash, up to twelve in a word, unpacked two at a time"

_WORDS = 1000
_PAIRS = 6


def offer(call: KernelCall) -> Routine | None:
    """Weights of at most 5 bits whose sums cannot overflow a lane; else None."""
    if not isinstance(call.params, Conv2dParams | DenseParams):
        return None
    weights = weight_rows(call.params).astype(np.int64)
    if np.abs(weights).max(initial=0) > 15 or np.abs(weights).sum(axis=1).max(initial=0) > LANE:
        return None
    shape, ending = shape_of(call), ending_of(call)
    if shape is None or ending is None or weights.shape[1] + FRAME > _WORDS:
        return None
    return _Tight(shape, weights, ending).routine()


class _Tight(Lanes):
    name = NAME
    includes = ("frame.inc", "requantize.inc", "packed_split.inc", "packed_narrow.inc", "packed_compressed.inc")

    def __init__(self, shape: Shape, weights: Array, ending: Ending) -> None:
        # Raised by half the range, a negated weight is between 1 and 2**bits - 1.
        self.bits = int(np.abs(weights).max(initial=1)).bit_length() + 1
        self.pairs = min(_PAIRS, 16 // self.bits)
        self.unrolled = 3 if self.pairs > 5 else 4  # as far as a branch reaches back
        super().__init__(shape, weights, ending)

    def split_outputs(self) -> list[Block]:
        return blocks_of(len(self.weights), 2 * self.pairs)

    def chunks_of(self) -> list[tuple[int, int]]:
        return [(0, self.weights.shape[1])]

    def block_words(self, rows: Array) -> Array:
        """One word for each input: of output pair k, fields k of both halves."""
        raised = rows + (1 << (self.bits - 1))
        shifts = (np.arange(len(rows)) // 2 * self.bits + np.arange(len(rows)) % 2 * 16)[:, None]
        return (raised << shifts).sum(axis=0)

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        taps = self.weights.shape[1]
        return [
            f"packed_compressed_begin {block.pairs}, {self.bits}, {taps}, {self.unrolled}",
            *self.ending_lines(block),
        ]

    def block_executed(self, block: Block, chunk: int) -> Executed:
        loops = self.weights.shape[1] // self.unrolled
        begin, *ending = self.block_lines(block, chunk)
        return (looped(loops, begin) if loops else straight(begin)) + straight(*ending)

    def block_code(self, block: Block, chunk: int) -> int:
        loops, rest = divmod(self.weights.shape[1], self.unrolled)
        one = 4 + 12 * block.pairs - 4
        fixed = 18 + 2 * block.pairs + (6 if loops else 0)
        return fixed + one * (rest + (self.unrolled if loops else 0)) + self.ending_code(block)
