"""`packed_narrow`: packed layers whose lanes never overflow, six pairs of outputs at once: what narrow weights buy.

See kernels/armv6m/packed_narrow.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np

from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import shape_of
from pipeline.planning.variants.armv6m.packed_split import LANE, Block, Packed
from pipeline.planning.variants.armv6m.requantize import ending_of, int32

NAME = "packed_narrow"
SUMMARY = "packed without splits, twelve outputs at once: where no output's weights can overflow a lane"

_PAIRS = 6
_MACROS = {
    "requantize_shift": ("packed_narrow_shift", 22),
    "requantize_climb": ("packed_narrow_climb", 34),
    "requantize_dip": ("packed_narrow_dip", 46),
}
"""Macro and bytes of code for one output, without the addition that an odd lower bound needs."""


def offer(call: KernelCall) -> Routine | None:
    """The call with whole sums in its lanes; None where a lane would overflow, or the inputs need two chunks."""
    made = packed_narrow_of(call)
    return made.routine() if made is not None and len(made.chunks) == 1 else None


def packed_narrow_of(call: KernelCall) -> "Lanes | None":
    """The call with its blocks planned; None where a lane would overflow."""
    if not isinstance(call.params, Conv2dParams | DenseParams):
        return None
    weights = weight_rows(call.params).astype(np.int64)
    if np.abs(weights).sum(axis=1).max(initial=0) > LANE:
        return None
    shape, ending = shape_of(call), ending_of(call)
    if shape is None or ending is None:
        return None
    return Lanes(shape, weights, ending)


class Lanes(Packed):
    name = NAME
    includes: tuple[str, ...] = ("frame.inc", "requantize.inc", "packed_split.inc", "packed_narrow.inc")

    def split_outputs(self) -> list[Block]:
        """Blocks of nearly equal size: none of few pairs, whose loads would weigh more."""
        outputs = len(self.weights)
        pairs = (outputs + 1) // 2
        small, more = divmod(pairs, ceil(pairs / _PAIRS))
        counts = [(small + 1, more), (small, ceil(pairs / _PAIRS) - more)]
        blocks = [Block(count, 2 * p) for p, count in counts if count]
        if outputs % 2 == 0:
            return blocks
        last = blocks.pop()
        blocks += [Block(last.count - 1, last.outputs)] if last.count > 1 else []
        return [*blocks, Block(1, last.outputs - 1)]

    def stream(self) -> Array:
        words: list[Array] = []
        outputs = len(self.weights)
        padded = np.zeros((outputs + 1, self.weights.shape[1]), np.int64)
        padded[:outputs] = -self.weights
        constants = np.concatenate([self.ending.start[:, None], self.ending.constants], axis=1)
        first = 0
        for block in self.blocks:
            for _ in range(block.count):
                lanes = np.minimum(np.arange(first, first + 2 * block.pairs), outputs)
                rows = padded[lanes]
                words.append(self.block_words(rows))
                words.append(constants[first : first + block.outputs].reshape(-1))
                first += block.outputs
        return int32(np.concatenate(words))

    def block_words(self, rows: Array) -> Array:
        """The weights of one block, (outputs, inputs) of them, negated."""
        return (rows[0::2] + (rows[1::2] << 16)).T.reshape(-1)

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        taps = self.weights.shape[1]
        lines = ["push {{lr}}", f"packed_narrow_step {block.pairs}, 0, 1"]
        if taps > 1:
            inputs = ", ".join(str(i) for i in range(1, taps))
            lines += [f".irp input, {inputs}", f"packed_narrow_step {block.pairs}, \\input, 0", ".endr"]
        return [*lines, *self.ending_lines(block)]

    def ending_lines(self, block: Block) -> list[str]:
        """From the lanes to the outputs, and back."""
        macro = _MACROS[self.ending.macro][0]
        span = self.ending.arguments.split(",")[0] if macro == "packed_narrow_shift" else "0"
        lines = [f"packed_narrow_outputs {span}"]
        for lane in range(block.outputs):
            register = ("r8", "r9", "r10", "r11", "r12", "lr")[lane // 2]
            lines.append(f"{macro} {register}, {lane & 1}, {lane}, {self.ending.arguments}")
        return [*lines, f"packed_done {block.outputs}"]

    def block_code(self, block: Block, chunk: int) -> int:
        return 2 + self.weights.shape[1] * (4 + 4 * block.pairs) + self.ending_code(block)

    def ending_code(self, block: Block) -> int:
        """Bytes from the lanes to the return."""
        return 10 + block.outputs * (_MACROS[self.ending.macro][1] + 2 * self.ending.low + 2 * self.signed())

    def orders_of(self) -> Sequence[Sequence[int]]:
        return [range(self.weights.shape[1])]
