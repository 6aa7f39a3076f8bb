"""`depthwise_strip`: up to six neighbouring outputs at once, from a widened strip of one channel.

See kernels/armv6m/depthwise_strip.inc and strip.inc. Their macros say what an invocation costs, the formulas here how
often it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import DepthwiseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import fill, widen
from pipeline.planning.variants.armv6m.loops import CostedLines, Loop, Step, executed_by, lines_of
from pipeline.planning.variants.armv6m.macro_costs import code_size, executed_loop_end, executed_on_path, executed_once
from pipeline.planning.variants.armv6m.requantize import ACCUMULATORS, Epilogue, epilogue_of, int32
from pipeline.planning.variants.armv6m.shared_routines import IM2COL
from pipeline.planning.variants.armv6m.strip import Strip, strip_of

NAME = "depthwise_strip"
SUMMARY = "depthwise: six neighbouring outputs at once, from a widened strip of one channel"

_WEIGHTS = symbols()["D_WEIGHTS"]  # words of the frame below the weights


def offer(call: KernelCall) -> Routine | None:
    """The call as strips; None for what it does not do: batches, a row too long for the stack."""
    params = call.params
    if not isinstance(params, DepthwiseParams) or params.batch != 1:
        return None
    taps, epilogue, strip = weight_rows(params), epilogue_of(call), strip_of(params)
    if epilogue is None or taps.shape[1] > 64 or strip is None:
        return None
    layer = _Layer(strip, -taps.astype(np.int64), epilogue)
    steps = _steps(layer)
    lines = ["function LAYER({layer})", *lines_of(steps), "end_function LAYER({layer})"]
    if not _branches_reach(layer, code_size(lines)):
        return None
    return Routine(
        variant=NAME,
        includes=("frame.inc", "requantize.inc", "strip.inc", "depthwise_strip.inc"),
        shared=(IM2COL,),
        lines=tuple(lines),
        tables={"channels": _stream(layer)},
        executed=executed_by(steps),
        code=code_size(lines),
        stack=36 + 4 * layer.words,
        least_cycles=2 * taps.size * strip.out_height * strip.out_width,
        reads=len(taps) * (1 + layer.constants + taps.shape[1]),
    )


@dataclass(frozen=True, eq=False)
class _Layer:
    """`weights` (channels, taps), negated."""

    strip: Strip
    weights: Array
    epilogue: Epilogue

    @property
    def wide(self) -> bool:
        """Whether a weight takes a word, as no byte holds it."""
        return bool(self.weights.min(initial=0) < -127 or self.weights.max(initial=0) > 127)

    @property
    def constants(self) -> int:
        """Words of constants that the requantizer reads per channel."""
        return self.epilogue.constants.shape[1]

    @property
    def buffer(self) -> int:
        """The word of the frame where the strip begins."""
        return _WEIGHTS + self.weights.shape[1]

    @property
    def words(self) -> int:
        """Words of the frame."""
        return self.buffer + self.strip.source_rows(self.strip.rows) * self.strip.line

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """(outputs, count): a row of outputs in nearly equal parts."""
        parts = ceil(self.strip.out_width / len(ACCUMULATORS))
        small, more = divmod(self.strip.out_width, parts)
        return [(n, c) for n, c in ((small + 1, more), (small, parts - more)) if c]

    @property
    def row_step(self) -> int:
        """Bytes from behind one row's windows to the first of the next."""
        return 4 * (self.strip.strides[0] * self.strip.line - self.strip.out_width)

    @property
    def folded_step(self) -> int:
        """Bytes of `row_step` that the row's last block adds: all, if it is not repeated and one addition reaches."""
        outputs, count = self.blocks[-1]
        return self.row_step if count == 1 and 0 <= 4 * outputs + self.row_step <= 255 else 0

    @property
    def plane(self) -> tuple[int, int, int, int] | None:
        """(rows, columns, first word, words between rows) when one strip takes the whole plane, rows as they lie."""
        s = self.strip
        first, gap = self.buffer + s.top * s.line + s.left, s.line - s.width
        rows = min(s.height, s.source_rows(s.out_height) - s.top)
        whole = s.rows == s.out_height and s.strides[1] == 1 and s.phases() == [(s.width, 0, s.left)]
        return (rows, s.width, first, gap) if whole and s.width <= 24 and first <= 255 and gap < 64 else None


def _branches_reach(layer: _Layer, code: int) -> bool:
    """Whether a branch reaches back over a channel's code, and a load the literals behind a block."""
    offsets = layer.strip.tap_offsets()
    far = any(4 * abs(b - a - n) > 255 for n, _ in layer.blocks for a, b in pairwise(offsets))
    block = max(code_size(_block_lines(layer, k)) for k in range(len(layer.blocks)))
    return code < 1900 and (not far or block < 900)


def _stream(layer: _Layer) -> Array:
    """Words of every channel: the accumulator's start, the requantizer's constants, negated weights in whole words."""
    channels, taps = layer.weights.shape
    padded = np.ascontiguousarray(layer.weights, "<i4").view(np.int8).reshape(channels, -1)
    if not layer.wide:
        padded = np.zeros((channels, -(-taps // 4) * 4), np.int8)
        padded[:, :taps] = layer.weights
    words = np.concatenate([int32(layer.epilogue.start)[:, None], int32(layer.epilogue.constants)], axis=1)
    bytes_ = np.concatenate([words.astype("<i4").view(np.int8).reshape(channels, -1), padded], axis=1)
    return np.ascontiguousarray(bytes_).view("<i4").reshape(-1)


def _steps(layer: _Layer) -> list[Step]:
    """Every word of the strip is padding first: what lies beside the image stays so."""
    strip, taps, words = layer.strip, layer.weights.shape[1], layer.words - layer.buffer
    clear = f"depthwise_clear SHARED({{fill}}), {layer.buffer}, {words}, {strip.padding}"
    weights = f"depthwise_channel {layer.constants}, {taps}, SHARED({{widen}}), {int(layer.wide)}"
    channel = (
        CostedLines((weights,), executed_once(weights) + (executed_once() if layer.wide else widen(taps))),
        "depthwise_outputs",
        *(_strips(layer) if layer.plane is None else _plane(layer, *layer.plane)),
        "depthwise_next_channel",
    )
    begin = (
        f"enter {layer.words}",
        CostedLines((clear,), executed_once(clear) + fill(words)),
        "depthwise_stream {channels}",
    )
    return [*begin, Loop("D_CHANNELS", 3, strip.channels, channel), f"leave {layer.words}"]


def _plane(layer: _Layer, rows: int, columns: int, first: int, gap: int) -> list[Step]:
    """A whole plane widened, and its outputs."""
    strip = layer.strip
    lines = (
        f"depthwise_twice {strip.channels}",
        f"depthwise_plane {rows}, {columns}, {strip.channels}, {first}, {gap}",
        f"set_word D_ROWS, {strip.out_height}",
        "literals_here",
    )
    return [
        CostedLines(lines, executed_on_path(lines, [n > 1 for n in range(rows, 0, -1)])),
        _rows(layer, strip.out_height),
    ]


def _rows(layer: _Layer, rows: int) -> CostedLines:
    """`rows` rows of outputs, from setting the first window."""
    first, again = f"depthwise_first_window {layer.buffer}", "repeat D_ROWS, 6b"
    row: list[Step] = []
    for kind, (_, count) in enumerate(layer.blocks):
        block = tuple(_block_lines(layer, kind))
        row += [Loop("D_BLOCKS", 7 + kind, count, block)] if count > 1 else [f"{7 + kind}:", *block]
    rest = layer.row_step - layer.folded_step
    row += [f"add_word D_Q, {rest}"] if rest else []
    executed = executed_once(first) + executed_by(row) * rows + executed_loop_end(rows, again)
    return CostedLines((first, "6:", *lines_of(row), again), executed)


def _block_lines(layer: _Layer, kind: int) -> list[str]:
    outputs, _ = layer.blocks[kind]
    offsets = layer.strip.tap_offsets()
    step = 4 * outputs + (0 if kind < len(layer.blocks) - 1 else layer.folded_step)
    steps = [4 * (b - a) for a, b in zip(offsets, [*offsets[1:], offsets[-1] + outputs], strict=True)]
    macro = layer.epilogue.macro.replace("requantize", "depthwise")
    return [
        f"depthwise_begin {outputs}, {step}",
        *(f"depthwise_tap {outputs}, {t}, {step}" for t, step in enumerate(steps)),
        f"depthwise_constants {layer.constants}, {layer.strip.channels}",
        *(f"{macro} {register}, {layer.epilogue.arguments}" for register in ACCUMULATORS[:outputs]),
        "depthwise_end",
    ]


def _strips(layer: _Layer) -> list[Step]:
    """One strip after the other: its image rows widened, and its outputs."""
    s = layer.strip
    begin = (f"set_word D_LEFT, {s.out_height}", f"set_word D_ROW, {-s.top}")
    rows = (
        f"depthwise_twice {s.strides[1] * s.channels}",
        f"depthwise_rows {s.rows}, {s.strides[0]}, {s.extra}",
        f"depthwise_first_row {layer.buffer}",
    )
    source, following = _source_row_lines(s), f"depthwise_next {4 * s.line}, 5b"
    end, again = f"depthwise_over {s.extra}", "depthwise_more_strips 4b"
    tops = range(0, s.out_height, s.rows)
    executed = executed_once(*begin) + executed_loop_end(len(tops), again)
    for top in tops:
        left = s.out_height - top
        outputs = min(s.rows, left)
        count = s.source_rows(outputs)
        held = sum(0 <= top * s.strides[0] - s.top + i < s.height for i in range(count))
        executed += executed_on_path(rows, [left >= s.rows]) + executed_once(end) + executed_loop_end(count, following)
        executed += _source_executed(s, source, True) * held + _source_executed(s, source, False) * (count - held)
        executed += _rows(layer, outputs).executed
    body = ("4:", *rows, "5:", *source, following, end, *_rows(layer, s.rows).lines, again)
    return [CostedLines((*begin, *body), executed)]


def _source_row_lines(s: Strip) -> list[str]:
    """One row of the image, or of padding where it has none."""
    step = s.strides[1] * s.channels
    return [
        f"depthwise_inside {s.height}, {s.width * s.channels}, 8f",
        *(f"depthwise_phase {n}, {first * s.channels}, {to}, {step}, 1" for n, first, to in s.phases()),
        f"depthwise_outside {s.padding}",
        *(f"depthwise_phase {n}, 0, {to}, 0, 0" for n, _, to in s.phases()),
        "9:",
    ]


def _source_executed(s: Strip, lines: Sequence[str], inside: bool) -> Executed:
    """Instructions of one row, `inside` the image or not."""
    counts = [n for n, _, _ in s.phases()]
    turns = [n // 8 if n > 16 else 0 for n in counts] if inside else counts
    return executed_on_path(lines, [inside, *(n > 1 for times in turns for n in range(times, 0, -1))])
