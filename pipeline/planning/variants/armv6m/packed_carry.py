"""`packed_carry`: lanes are split with the carry, four outputs at once: for weights that need many splits.

See kernels/armv6m/packed_carry.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.macro_costs import looped, straight
from pipeline.planning.variants.armv6m.packed_split import CHUNKS, Block, Packed, blocks_of, packed_of

NAME = "packed_carry"
SUMMARY = "packed, lanes split with the carry, four outputs at once: for weights that need many splits"

_BRANCH = 2000  # bytes that a branch reaches back


def offer(call: KernelCall) -> Routine | None:
    """The call as packed assembly with cheaper splits; None where `packed` does not apply."""
    made = packed_carry_of(call)
    return made.routine() if made is not None and len(made.chunks) <= CHUNKS else None


def packed_carry_of(call: KernelCall) -> Packed | None:
    """The call with its lanes planned; None for what `packed` does not do, and where a branch cannot repeat a block."""
    made = packed_of(call, Carry)
    if made is None:
        return None
    longest = max(made.block_code(b, c) for b in made.blocks for c in range(len(made.chunks)))
    return made if longest <= _BRANCH else None


class Carry(Packed):
    name = NAME
    includes: tuple[str, ...] = ("frame.inc", "requantize.inc", "packed_split.inc", "packed_carry.inc")

    def split_outputs(self) -> list[Block]:
        return blocks_of(len(self.weights), 4)

    def start_words(self, start: Array) -> Array:
        """Of each pair the sum of words, then of each the upper sum: `start` of both outputs, one after the other."""
        even, odd = start[0::2], start[1::2]
        return np.concatenate([even + (odd << 16), odd])

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        last = chunk == len(self.chunks) - 1
        lines = ["1:", f"packed_carry_begin {block.pairs}, {int(chunk == 0)}, {int(last)}"]
        lines += [f".irp entry, {', '.join(str(e) for e in self.orders[chunk])}"]
        lines += [f"packed_carry_step {block.pairs}, \\entry", ".endr"]
        if not last:
            return [*lines, f"packed_carry_hand_over {block.pairs}", f"packed_carry_return {block.count}"]
        lines.append(f"packed_carry_outputs {block.pairs}")
        for lane in range(block.outputs):
            if lane % 2 == 0:
                lines.append(("packed_carry_even r4, r8", "packed_carry_even r11, r9")[lane // 2])
            register = "r0" if lane % 2 == 0 else ("r10", "r11")[lane // 2]
            lines.append(f"{self.ending.macro} {register}, {lane}, {self.ending.arguments}")
        return [*lines, f"packed_carry_done {block.outputs}", f"packed_carry_return {block.count}"]

    def calls_of_blocks(self, name: str, chunk: int) -> list[str]:
        sizes = [4 * b.count * self.words_of(b, chunk) for b in self.blocks]
        return [f"packed_carry_blocks LAYER({name}_{k}), {b.count}, {sizes[k]}" for k, b in enumerate(self.blocks)]

    def words_of(self, block: Block, chunk: int) -> int:
        """That a block reads from the stream in one chunk."""
        first, last = chunk == 0, chunk == len(self.chunks) - 1
        constants = block.outputs * self.ending.constants.shape[1] if last else 0
        return block.pairs * (len(self.orders[chunk]) + 2 * first) + constants

    def blocks_executed(self, chunk: int) -> Executed:
        calls = straight(*self.calls_of_blocks("block", chunk))
        return sum((looped(b.count, *self.block_lines(b, chunk), words=self.words_out) for b in self.blocks), calls)

    def block_code(self, block: Block, chunk: int) -> int:
        first, last, p = chunk == 0, chunk == len(self.chunks) - 1, block.pairs
        taps, groups = len(self.orders[chunk]), sum(1 for e in self.orders[chunk] if e & 512)
        code = (0 if first else 4 if last else 2) + 2 + 2 * p
        code += groups * (4 + 2 * p + 6 * p) + (taps - groups) * (4 + 4 * p)
        if last:
            return code + 10 * p + 18 + block.outputs * (self.ending.code + 2 * self.signed())
        return code + 18 + 2 * p
