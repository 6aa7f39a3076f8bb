"""`packed_split`: two outputs' weights in one word, so that one MULS and one ADDS do two multiply-accumulates, exactly.

See kernels/armv6m/packed_split.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import Shape, im2col, shape_of, widen
from pipeline.planning.variants.armv6m.macro_costs import closing, looped, straight
from pipeline.planning.variants.armv6m.requantize import Ending, ending_of, int32

NAME = "packed_split"
SUMMARY = "two outputs' weights in one word: one MULS and one ADDS for two products"

LANE = 255  # largest sum of |w| whose products with int8 inputs fit 16 bits
_TAPS = 240  # inputs of a chunk: what one instruction reaches from the stack pointer
FRAME = 9
SAVED = 36
CHUNKS = 16  # calls of one position that a branch back still spans


def offer(call: KernelCall) -> Routine | None:
    """The call as packed assembly; None for what it does not do (batches, kernel rows above 240 bytes)."""
    made = packed_of(call)
    return made.routine() if made is not None and len(made.chunks) <= CHUNKS else None


def packed_of(call: KernelCall, scheme: type["Packed"] | None = None) -> "Packed | None":
    """The call with its lanes planned, as packed or as a `scheme` made of it; None for what both do not do.

    Weights may have nine bits: one product alone always fits a lane.
    """
    if not isinstance(call.params, Conv2dParams | DenseParams):
        return None
    weights = weight_rows(call.params)
    shape = shape_of(call)
    ending = ending_of(call)
    if shape is None or ending is None or np.abs(weights.astype(np.int64)).max(initial=0) > LANE:
        return None
    return (scheme or Packed)(shape, weights.astype(np.int64), ending)


@dataclass(frozen=True)
class Block:
    """`count` blocks of `outputs` outputs each, in `pairs` pairs."""

    count: int
    outputs: int

    @property
    def pairs(self) -> int:
        return (self.outputs + 1) // 2


def blocks_of(outputs: int, each: int) -> list[Block]:
    """Whole blocks of so many outputs, and one of the rest."""
    full, rest = divmod(outputs, each)
    return [b for b in (Block(full, each), Block(1, rest)) if b.count and b.outputs]


class Packed:
    """The invocations, the stream and the cost of one layer; `lanes` differs in its blocks."""

    name = NAME
    includes: tuple[str, ...] = ("frame.inc", "requantize.inc", "packed_split.inc")
    words_out = False
    """Whether outputs are stored as words, for a layer that reads them in the same frame."""

    def __init__(self, shape: Shape, weights: Array, ending: Ending) -> None:
        self.shape, self.weights, self.ending = shape, weights, ending
        self.blocks = self.split_outputs()
        self.chunks = self.chunks_of()
        self.orders = self.orders_of()
        widest = max(end - begin for begin, end in self.chunks)
        self.sums = FRAME + widest
        self.words = self.sums + (2 * sum(b.count * b.pairs for b in self.blocks) if len(self.chunks) > 1 else 0)

    def split_outputs(self) -> list[Block]:
        """Blocks of outputs that are computed together."""
        return blocks_of(len(self.weights), 6)

    def chunks_of(self) -> list[tuple[int, int]]:
        """Which inputs lie in the frame together."""
        return _chunks(self.weights.shape[1], self.shape)

    def order_of(self, chunk: int) -> list[int]:
        """The inputs of a chunk in the order in which they are multiplied."""
        return [self.chunks[chunk][0] + (e & 255) for e in self.orders[chunk]]

    def gathered(self) -> Shape:
        """What the shared routine brings."""
        return self.shape

    def orders_of(self) -> Sequence[Sequence[int]]:
        """For each chunk, its entries: see packed_step."""
        return [schedule(self.weights[:, begin:end]) for begin, end in self.chunks]

    def routine(self) -> Routine:
        return Routine(
            variant=self.name,
            includes=self.includes,
            shared=("im2col",),
            lines=tuple(self._lines()),
            tables=self.tables(),
            executed=self.executed(),
            code=self._code(),
            stack=SAVED + 4 * self.words + (4 if self.shape.contiguous else 44),
            least_cycles=self.least_cycles(),
            reads=self.shape.positions * sum(t.size for t in self.tables().values()),
        )

    def least_cycles(self) -> int:
        """Cycles of the multiplications and additions alone."""
        return self.shape.positions * self.weights.shape[1] * 2 * ((len(self.weights) + 1) // 2)

    def tables(self) -> Mapping[str, Array]:
        """What lies in flash beside the code."""
        return {"packed": self.stream()}

    def before_blocks(self, chunk: int) -> list[str]:
        """What stands between a position's inputs and its blocks."""
        return [f"packed_sums {self.sums}"] if len(self.chunks) > 1 else []

    def stream(self) -> Array:
        """In the order in which the code reads it: for each chunk and block starts, weights, constants."""
        words: list[Array] = []
        outputs = len(self.weights)
        padded = np.zeros((outputs + 1, self.weights.shape[1]), np.int64)
        padded[:outputs] = -self.weights
        start = np.append(self.ending.start, 0)
        for number in range(len(self.chunks)):
            order = self.order_of(number)
            first = 0
            for block in self.blocks:
                for _ in range(block.count):
                    lanes = np.minimum(np.arange(first, first + 2 * block.pairs), outputs)
                    if number == 0:
                        words.append(self.start_words(start[lanes]))
                    rows = padded[lanes][:, order]
                    words.append((rows[0::2] + (rows[1::2] << 16)).T.reshape(-1))
                    if number == len(self.chunks) - 1:
                        words.append(self.ending.constants[first : first + block.outputs].reshape(-1))
                    first += block.outputs
        return int32(np.concatenate(words))

    def start_words(self, start: Array) -> Array:
        """What a block begins with, from `start` of each of its outputs."""
        return start

    def _lines(self) -> list[str]:
        lines = []
        for chunk in range(len(self.chunks)):
            for kind, block in enumerate(self.blocks):
                name = f"LAYER({{layer}}_{chunk}_{kind})"
                lines += [f"function {name}", *self.block_lines(block, chunk), f"end_function {name}"]
        lines += ["function LAYER({layer})", f"enter {self.words}"]
        lines += self.positions()
        return [*lines, f"leave {self.words}", "end_function LAYER({layer})", *self.shape_table()]

    def block_lines(self, block: Block, chunk: int) -> list[str]:
        """One block of one chunk, as a routine of its own."""
        last = chunk == len(self.chunks) - 1
        lines = [f"packed_begin {block.pairs}, {int(chunk == 0)}, {int(last)}"]
        lines += [f".irp entry, {', '.join(str(e) for e in self.orders[chunk])}"]
        lines += [f"packed_step {block.pairs}, \\entry", ".endr"]
        if not last:
            return [*lines, f"packed_hand_over {block.pairs}"]
        lines.append("packed_outputs")
        for lane in range(block.outputs):
            register = ("r8", "r9", "r10", "r11", "r12", "lr")[lane]
            lines.append(f"{self.ending.macro} {register}, {lane}, {self.ending.arguments}")
        return [*lines, f"packed_done {block.outputs}"]

    def positions(self) -> list[str]:
        """The loops over the output's positions."""
        shape = self.shape
        inner = [] if self.at_once() else ["packed_stream {packed}"]
        for chunk in range(len(self.chunks)):
            inner += [*self.inputs_of(chunk), *self.before_blocks(chunk)]
            inner += self.calls_of_blocks(f"{{layer}}_{chunk}", chunk)
            inner += self.after_blocks(chunk)
        if shape.contiguous and shape.positions == 1:
            return inner
        if shape.contiguous:
            return [f"set_word F_ROWS, {shape.positions}", "3:", *inner, "repeat F_ROWS, 3b"]
        return [
            f"set_word F_TOP, {shape.top}",
            f"set_word F_ROWS, {shape.out_height}",
            "4:",
            f"set_word F_LEFT, {shape.left}",
            f"set_word F_COLUMNS, {shape.out_width}",
            "3:",
            *inner,
            f"add_word F_LEFT, {shape.stride_x}",
            "repeat F_COLUMNS, 3b",
            f"add_word F_TOP, {shape.stride_y}",
            "repeat F_ROWS, 4b",
        ]

    def inputs_of(self, chunk: int) -> list[str]:
        """What brings the inputs of a chunk."""
        (begin, end), shape = self.chunks[chunk], self.shape
        if shape.contiguous:
            return [f"packed_widen SHARED({{widen}}), {end - begin}{', {packed}' if self.at_once() else ''}"]
        below = begin // shape.row * shape.dilation
        return [f"packed_im2col SHARED({{im2col}}), LAYER({{layer}}_shape), {(end - begin) // shape.row}, {below}"]

    def after_blocks(self, chunk: int) -> list[str]:
        """What stands between the blocks of a chunk and the next."""
        return ["packed_keep_stream"] if chunk < len(self.chunks) - 1 else []

    def at_once(self) -> bool:
        """Whether a position's inputs lie side by side and are widened in one go."""
        return self.shape.contiguous and len(self.chunks) == 1

    def calls_of_blocks(self, name: str, chunk: int) -> list[str]:
        """Calls of the blocks' routines `name`_0 and so on."""
        return [f"packed_blocks LAYER({name}_{k}), {b.count}" for k, b in enumerate(self.blocks)]

    def shape_table(self) -> list[str]:
        shape = self.gathered()
        if shape.contiguous:
            return []
        words = [shape.height, shape.line, shape.row, shape.dilation, shape.padding, shape.line * shape.dilation]
        return ["constants LAYER({layer}_shape)", f".word {', '.join(str(w) for w in words)}"]

    def executed(self) -> Executed:
        """Of the whole layer."""
        shape = self.shape
        frame = straight(f"enter {self.words}", f"leave {self.words}")
        position = straight() if self.at_once() else straight("packed_stream {packed}")
        for chunk, (begin, end) in enumerate(self.chunks):
            around = (*self.inputs_of(chunk), *self.before_blocks(chunk), *self.after_blocks(chunk))
            position += straight(*around) + self.blocks_executed(chunk)
            position += widen(end - begin) if shape.contiguous else straight()
        if shape.contiguous and shape.positions == 1:
            return frame + position
        if shape.contiguous:
            rows = straight(f"set_word F_ROWS, {shape.positions}") + closing(shape.positions, "repeat F_ROWS, 3b")
            return frame + rows + position * shape.positions
        windows = (im2col(shape, (e - b) // shape.row, b // shape.row * shape.dilation) for b, e in self.chunks)
        position += straight(f"add_word F_LEFT, {shape.stride_x}")
        row = straight("set_word F_LEFT, 0", "set_word F_COLUMNS, 0", f"add_word F_TOP, {shape.stride_y}")
        row += position * shape.out_width + closing(shape.out_width, "repeat F_COLUMNS, 3b")
        total = straight("set_word F_TOP, 0", "set_word F_ROWS, 0") + row * shape.out_height
        return sum(windows, frame + total + closing(shape.out_height, "repeat F_ROWS, 4b"))

    def blocks_executed(self, chunk: int) -> Executed:
        """Of all blocks of one position, their calls included."""
        blocks = zip(self.blocks, self.calls_of_blocks("block", chunk), strict=True)
        called = (looped(b.count, call) + self.block_executed(b, chunk) * b.count for b, call in blocks)
        return sum(called, straight())

    def block_executed(self, block: Block, chunk: int) -> Executed:
        """Of one block, its return included."""
        return straight(*self.block_lines(block, chunk), words=self.words_out)

    def signed(self) -> int:
        """Instructions that make a word of one output's byte."""
        return int(self.words_out and self.ending.macro != "requantize_shift")

    def block_code(self, block: Block, chunk: int) -> int:
        """Bytes of one block's routine."""
        first, last, p = chunk == 0, chunk == len(self.chunks) - 1, block.pairs
        taps, groups = len(self.orders[chunk]), sum(1 for e in self.orders[chunk] if e & 512)
        code = 4 + (0 if first else 4 if last else 2) + 4 * p
        code += groups * (4 + 2 * p + 10 * p) + (taps - groups) * (4 + 4 * p)
        return code + (8 + block.outputs * (self.ending.code + 2 * self.signed()) if last else 8 + 4 * p)

    def _code(self) -> int:
        blocks = sum(self.block_code(b, c) for c in range(len(self.chunks)) for b in self.blocks)
        return blocks + 160 + 60 * len(self.chunks)


def _chunks(taps: int, shape: Shape) -> list[tuple[int, int]]:
    """Inputs in equal parts of at most _TAPS, whole kernel rows where they are gathered."""
    unit = 1 if shape.contiguous else shape.row
    units = taps // unit
    parts = -(-units // (_TAPS // unit))
    edges = [units * i // parts * unit for i in range(parts + 1)]
    return list(pairwise(edges))


def schedule(weights: Array) -> list[int]:
    """The order of the inputs (outputs, inputs) and where lanes begin (+ 256) and are split (+ 512).

    Best fit, largest first: as few groups as found in which no output's |w| sum to more than a lane holds.
    """
    sizes = np.abs(weights)
    bins = np.zeros((0, len(weights)), np.int64)
    members: list[list[int]] = []
    for tap in np.lexsort((-sizes.sum(axis=0), -sizes.max(axis=0))).tolist():
        peaks = (bins + sizes[:, tap]).max(axis=1) if len(bins) else np.zeros(0, np.int64)
        fits = np.flatnonzero(peaks <= LANE)
        if not len(fits):
            bins = np.vstack([bins, sizes[:, tap]])
            members.append([tap])
            continue
        chosen = int(fits[np.argmax(peaks[fits])])
        bins[chosen] += sizes[:, tap]
        members[chosen].append(tap)
    made = []
    for group in members:
        entries = sorted(group)
        entries[0] += 256
        entries[-1] += 512
        made += entries
    return made
