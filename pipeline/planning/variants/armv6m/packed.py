"""Linear layers with two outputs' weights in one word: the scheme of a layer, and the routine that it becomes.

One MULS and one ADDS of such a word do two multiply-accumulates, exactly, while both outputs' sums fit 16 bits. Schemes
differ in what they do before a sum could overflow, and in where a position's inputs lie: see the modules `packed_*`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import Contiguous, Inputs, Windows, im2col, inputs_of, widen
from pipeline.planning.variants.armv6m.loops import CostedLines, Loop, Step, executed_by, lines_of
from pipeline.planning.variants.armv6m.macro_costs import code_size, executed_loop, executed_once
from pipeline.planning.variants.armv6m.requantize import ACCUMULATORS, Epilogue, epilogue_of
from pipeline.planning.variants.armv6m.shared_routines import IM2COL

LANE = 255  # largest sum of |w| whose products with int8 inputs fit 16 bits
FRAME = symbols()["F_COLUMN"]  # words of the frame below the inputs
SAVED = 36  # bytes that `enter` keeps
MOST_CHUNKS = 16  # calls of one position that a branch back still spans
_AROUND_BLOCKS, _AROUND_CHUNK = 160, 60  # bytes for what is around a routine's blocks, and those of one chunk
_MOST_INPUTS = 240  # of a chunk: what one instruction reaches from the stack pointer
BASE = ("frame.inc", "requantize.inc", "packed.inc")
"""The macro files of every scheme."""


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A dense layer or a convolution: where its inputs lie, weights (outputs, inputs), what ends each output."""

    inputs: Inputs
    weights: Array
    epilogue: Epilogue


@dataclass(frozen=True)
class Block:
    """`count` blocks of `outputs` outputs each, in `pairs` pairs."""

    count: int
    outputs: int

    @property
    def pairs(self) -> int:
        return (self.outputs + 1) // 2


@dataclass(frozen=True)
class BlockRoutine:
    """One kind of block on one chunk: invocations that `calls` calls run `turns` times each, from one call of `caller`.

    `arguments` are the caller's, after the routine's own name.
    """

    lines: tuple[str, ...]
    caller: str
    arguments: str
    calls: int
    turns: int = 1

    def call(self, name: str) -> str:
        return f"{self.caller} LAYER({name}), {self.arguments}"

    def executed(self, words: bool) -> Executed:
        """Instructions of all blocks of this kind at one position, their calls included."""
        return (
            executed_loop(self.calls, self.call("block"))
            + executed_loop(self.turns, *self.lines, words=words) * self.calls
        )


@dataclass(frozen=True)
class Chunk:
    """Inputs from `begin` to `end`, which lie in the frame together, and the routines of its kinds of blocks."""

    begin: int
    end: int
    routines: tuple[BlockRoutine, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """What stands before its first block, and behind its last."""

    @property
    def inputs(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class PositionLoops:
    """Loops over the output's positions; `shared`: instructions of im2col at all of them.

    `windows`: those that im2col loads.
    """

    steps: tuple[Step, ...]
    shared: Executed
    windows: Windows | None = None


@dataclass(frozen=True, eq=False)
class Scheme:
    """How one variant does one layer: all that its invocations, constants and cost are written from.

    `words` of the frame. `stream_in_register`: each position begins by naming the stream where it widens its inputs,
    and the blocks leave it in its register. `words_out`: outputs are words, for a layer that reads them in this frame.
    """

    variant: str
    includes: tuple[str, ...]
    linear: LinearLayer
    chunks: tuple[Chunk, ...]
    tables: Mapping[str, Array]
    words: int
    walk: Callable[["Scheme"], PositionLoops]
    stream_in_register: bool = False
    words_out: bool = False

    @property
    def least_cycles(self) -> int:
        """Cycles of the multiplications and additions alone."""
        outputs, inputs = self.linear.weights.shape
        return self.linear.inputs.positions * inputs * 2 * ((outputs + 1) // 2)

    @property
    def stream(self) -> Array:
        return self.tables["packed"]


def linear_of(call: KernelCall) -> LinearLayer | None:
    """The layer of a conv2d or dense call; None for what no scheme does: batches, kernel rows above 240 bytes."""
    if not isinstance(call.params, Conv2dParams | DenseParams):
        return None
    inputs, epilogue = inputs_of(call), epilogue_of(call)
    if inputs is None or epilogue is None:
        return None
    return LinearLayer(inputs, weight_rows(call.params).astype(np.int64), epilogue)


def blocks_of(outputs: int, each: int) -> list[Block]:
    """Whole blocks of `each` outputs, and one of the rest."""
    full, rest = divmod(outputs, each)
    return [b for b in (Block(full, each), Block(1, rest)) if b.count and b.outputs]


def chunks_of(linear: LinearLayer) -> list[tuple[int, int]]:
    """First and last of the inputs, in equal parts of at most 240, whole kernel rows where im2col loads them."""
    unit = 1 if isinstance(linear.inputs, Contiguous) else linear.inputs.row
    units = linear.weights.shape[1] // unit
    parts = -(-units // (_MOST_INPUTS // unit))
    return list(pairwise(units * i // parts * unit for i in range(parts + 1)))


def epilogue_lines(epilogue: Epilogue, block: Block) -> list[str]:
    """Macros that requantize the block's accumulators to its outputs."""
    return [f"{epilogue.macro} {ACCUMULATORS[k]}, {k}, {epilogue.arguments}" for k in range(block.outputs)]


def rows_by_block(linear: LinearLayer, blocks: Sequence[Block]) -> list[tuple[int, int, Array]]:
    """For every block: first output, number of outputs, their rows of negated weights, zeros filling a pair."""
    outputs = len(linear.weights)
    padded = np.zeros((outputs + 1, linear.weights.shape[1]), np.int64)
    padded[:outputs] = -linear.weights
    blocks_with_rows, first = [], 0
    for block in blocks:
        for _ in range(block.count):
            lanes = np.minimum(np.arange(first, first + 2 * block.pairs), outputs)
            blocks_with_rows.append((first, block.outputs, padded[lanes]))
            first += block.outputs
    return blocks_with_rows


def pair_words(rows: Array) -> Array:
    """Rows (2 pairs, inputs) as words v0 + v1 * 2**16, input by input."""
    return (rows[0::2] + (rows[1::2] << 16)).T.reshape(-1)


def position_loops(scheme: Scheme) -> PositionLoops:
    """Loops over all positions: inputs are widened where they are contiguous, else loaded by im2col."""
    inputs = scheme.linear.inputs
    position: list[Step] = [] if scheme.stream_in_register else ["packed_stream {packed}"]
    for number, chunk in enumerate(scheme.chunks):
        position += [_load_inputs(scheme, chunk), *chunk.before, calls_of(scheme, number, number), *chunk.after]
    if isinstance(inputs, Contiguous):
        loop = Loop("F_ROWS", 3, inputs.positions, tuple(position))
        return PositionLoops(tuple(position) if inputs.positions == 1 else (loop,), Executed())
    columns = Loop("F_COLUMNS", 3, inputs.out_width, (*position, f"add_word F_LEFT, {inputs.stride_x}"))
    row = (f"set_word F_LEFT, {inputs.left}", columns, f"add_word F_TOP, {inputs.stride_y}")
    steps = (f"set_word F_TOP, {inputs.top}", Loop("F_ROWS", 4, inputs.out_height, row))
    im2col_costs = (im2col(inputs, *_kernel_rows(inputs, chunk)) for chunk in scheme.chunks)
    return PositionLoops(steps, sum(im2col_costs, Executed()), inputs)


def _load_inputs(scheme: Scheme, chunk: Chunk) -> Step:
    """The step that loads the inputs of a chunk into the frame."""
    inputs = scheme.linear.inputs
    if isinstance(inputs, Windows):
        rows, below = _kernel_rows(inputs, chunk)
        return f"packed_im2col SHARED({{im2col}}), LAYER({{layer}}_shape), {rows}, {below}"
    stream = ", {packed}" if scheme.stream_in_register else ""
    line = f"packed_widen SHARED({{widen}}), {chunk.inputs}{stream}"
    return CostedLines((line,), executed_once(line) + widen(chunk.inputs))


def _kernel_rows(windows: Windows, chunk: Chunk) -> tuple[int, int]:
    """Kernel rows of a chunk, and the image rows from the window's top to the first of them."""
    return chunk.inputs // windows.row, chunk.begin // windows.row * windows.dilation


def calls_of(scheme: Scheme, chunk: int, number: int) -> CostedLines:
    """Calls of a chunk's blocks, whose routines are called {layer}_number_kind."""
    routines = scheme.chunks[chunk].routines
    lines = tuple(r.call(f"{{layer}}_{number}_{k}") for k, r in enumerate(routines))
    return CostedLines(lines, sum((r.executed(scheme.words_out) for r in routines), Executed()))


def block_functions(scheme: Scheme, chunk: int, number: int) -> list[str]:
    """The routines of a chunk's blocks, called {layer}_number_kind."""
    lines: list[str] = []
    for kind, routine in enumerate(scheme.chunks[chunk].routines):
        name = f"LAYER({{layer}}_{number}_{kind})"
        lines += [f"function {name}", *routine.lines, f"end_function {name}"]
    return lines


def planned_code(schemes: Sequence[Scheme]) -> int:
    """Bytes of code that a plan holds for one routine of these: its blocks, and more than what calls them takes."""
    chunks = [(s, c) for s in schemes for c in s.chunks]
    blocks = sum(code_size(r.lines, words=s.words_out) for s, c in chunks for r in c.routines)
    return blocks + _AROUND_BLOCKS + _AROUND_CHUNK * len(chunks)


def routine_of(scheme: Scheme) -> Routine:
    """The routine that computes a layer as its scheme says."""
    loops = scheme.walk(scheme)
    steps = [f"enter {scheme.words}", *loops.steps, f"leave {scheme.words}"]
    blocks = [line for c in range(len(scheme.chunks)) for line in block_functions(scheme, c, c)]
    entry_function = ["function LAYER({layer})", *lines_of(steps), "end_function LAYER({layer})"]
    lines = [*blocks, *entry_function, *_shape_table(loops.windows)]
    return Routine(
        variant=scheme.variant,
        includes=scheme.includes,
        shared=(IM2COL,),
        lines=tuple(lines),
        tables=scheme.tables,
        executed=executed_by(steps) + loops.shared,
        code=planned_code([scheme]),
        stack=SAVED + 4 * scheme.words + (4 if isinstance(scheme.linear.inputs, Contiguous) else 44),
        least_cycles=scheme.least_cycles,
        reads=scheme.linear.inputs.positions * sum(t.size for t in scheme.tables.values()),
    )


def _shape_table(windows: Windows | None) -> list[str]:
    """The constants that im2col reads: the shape of the image and of a window."""
    if windows is None:
        return []
    shape = windows
    words = (shape.height, shape.line, shape.row, shape.dilation, shape.padding, shape.line * shape.dilation)
    return [f"constants LAYER({{layer}}_shape), {', '.join(str(n) for n in words)}"]
