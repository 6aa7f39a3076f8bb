"""`depthwise_strip`: up to six neighbouring outputs at once, from a widened strip of one channel.

See kernels/armv6m/depthwise_strip.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import DepthwiseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import fill, widen
from pipeline.planning.variants.armv6m.macro_costs import closing, path, size, straight
from pipeline.planning.variants.armv6m.requantize import ACCUMULATORS, Epilogue, epilogue_of, int32
from pipeline.planning.variants.armv6m.shared_routines import IM2COL

NAME = "depthwise_strip"
SUMMARY = "depthwise: six neighbouring outputs at once, from a widened strip of one channel"

_STRIP = 704  # words: what a strip may take of the stack
_WEIGHTS = symbols()["D_WEIGHTS"]  # words of the frame below the weights
_AT_ONCE = 6


def offer(call: KernelCall) -> Routine | None:
    """The call as strips; None for what it does not do: batches, a row too long for the stack."""
    params = call.params
    if not isinstance(params, DepthwiseParams) or params.batch != 1:
        return None
    taps = weight_rows(params)
    epilogue = epilogue_of(call)
    if epilogue is None or taps.shape[1] > 64:
        return None
    strip = _strip_of(params)
    if strip is None:
        return None
    made = _Strips(strip, taps, epilogue)
    return made.routine() if made.within_reach() else None


@dataclass(frozen=True, kw_only=True)
class _Strip:
    """Sizes in elements; `line` words of a strip's row, `phase` of one of its phases, `rows` of output in a strip."""

    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    top: int
    left: int
    padding: int
    phase: int
    rows: int

    @property
    def line(self) -> int:
        return self.phase * self.strides[1]

    def source_rows(self, rows: int) -> int:
        """Input rows under so many output rows."""
        return (rows - 1) * self.strides[0] + (self.kernel[0] - 1) * self.dilations[0] + 1

    def phases(self) -> list[tuple[int, int, int]]:
        """(count, first column, word in the strip's row) of the image's columns in each phase."""
        made = []
        needed = (self.out_width - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1
        for phase in range(self.strides[1]):
            columns = [j for j in range(phase, needed, self.strides[1]) if 0 <= j - self.left < self.width]
            if columns:
                made.append((len(columns), columns[0] - self.left, phase * self.phase + columns[0] // self.strides[1]))
        return made

    def places(self) -> list[int]:
        """Word of each tap, from the strip's row of the output and its first column."""
        return [
            ky * self.dilations[0] * self.line
            + kx * self.dilations[1] % self.strides[1] * self.phase
            + kx * self.dilations[1] // self.strides[1]
            for ky in range(self.kernel[0])
            for kx in range(self.kernel[1])
        ]


def _strip_of(p: DepthwiseParams) -> _Strip | None:
    needed = (p.out_width - 1) * p.stride_x + (p.kernel_width - 1) * p.dilation_x + 1
    made = _Strip(
        channels=p.channels,
        height=p.height,
        width=p.width,
        out_height=p.out_height,
        out_width=p.out_width,
        kernel=(p.kernel_height, p.kernel_width),
        strides=(p.stride_y, p.stride_x),
        dilations=(p.dilation_y, p.dilation_x),
        top=p.pad_top,
        left=p.pad_left,
        padding=p.input_zero_point,
        phase=ceil(needed / p.stride_x),
        rows=1,
    )
    fits = [r for r in range(1, made.out_height + 1) if made.source_rows(r) * made.line <= _STRIP]
    if not fits or made.line > 250 or not made.phases() or p.width > 255:
        return None
    strips = ceil(made.out_height / fits[-1])
    return replace(made, rows=ceil(made.out_height / strips))


class _Strips:
    def __init__(self, strip: _Strip, weights: Array, epilogue: Epilogue) -> None:
        self.strip, self.weights, self.epilogue = strip, -weights.astype(np.int64), epilogue
        self.wide = bool(np.abs(weights.astype(np.int64)).max(initial=0) > 127)
        parts = ceil(strip.out_width / _AT_ONCE)
        small, more = divmod(strip.out_width, parts)
        self.blocks = [(n, c) for n, c in ((small + 1, more), (small, parts - more)) if c]
        self.buffer = _WEIGHTS + weights.shape[1]
        self.plane = self._plane_of()
        self.extra = strip.source_rows(1) - strip.strides[0]
        self.words = self.buffer + strip.source_rows(strip.rows) * strip.line
        self.macro = epilogue.macro.replace("requantize", "depthwise")
        self.constants = epilogue.constants.shape[1]

    def routine(self) -> Routine:
        return Routine(
            variant=NAME,
            includes=("frame.inc", "requantize.inc", "depthwise_strip.inc"),
            shared=(IM2COL,),
            lines=tuple(self._lines()),
            tables={"channels": self._stream()},
            executed=self._executed(),
            code=size(self._lines()),
            stack=36 + 4 * self.words,
            least_cycles=2 * self.weights.size * self.strip.out_height * self.strip.out_width,
            reads=self.weights.shape[0] * (1 + self.constants + self.weights.shape[1]),
        )

    def within_reach(self) -> bool:
        """Whether a branch reaches back over a channel's code, and a load the literals behind a block."""
        places = self.strip.places()
        far = any(4 * abs(b - a - n) > 255 for n, _ in self.blocks for a, b in pairwise(places))
        block = max(size(self._block_lines(k)) for k in range(len(self.blocks)))
        return size(self._lines()) < 1900 and (not far or block < 900)

    def _stream(self) -> Array:
        """Of each channel: the accumulator's start, the requantizer's constants, negated weights in whole words."""
        channels, taps = self.weights.shape
        padded = self.weights.astype("<i4").view(np.int8).reshape(channels, -1)
        if not self.wide:
            padded = np.zeros((channels, -(-taps // 4) * 4), np.int8)
            padded[:, :taps] = self.weights
        words = np.concatenate([int32(self.epilogue.start)[:, None], int32(self.epilogue.constants)], axis=1)
        bytes_ = np.concatenate([words.astype("<i4").view(np.int8).reshape(channels, -1), padded], axis=1)
        return np.ascontiguousarray(bytes_).view("<i4").reshape(-1)

    def _lines(self) -> list[str]:
        plane = self.plane is not None
        lines = ["function LAYER({layer})", *self._begin(), "3:", *self._channel_lines()]
        lines += [*self._plane_lines(), *self._rows_lines()] if plane else self._strips_lines()
        return [*lines, *self._channel_end(), f"leave {self.words}", "end_function LAYER({layer})"]

    def _begin(self) -> list[str]:
        """Every word of the strip is padding first: what lies beside the image stays so."""
        return [
            f"enter {self.words}",
            f"depthwise_clear SHARED({{fill}}), {self.buffer}, {self.words - self.buffer}, {self.strip.padding}",
            "depthwise_stream {channels}",
            f"set_word D_CHANNELS, {self.strip.channels}",
        ]

    def _channel_lines(self) -> list[str]:
        return [
            f"depthwise_channel {self.constants}, {self.weights.shape[1]}, SHARED({{widen}}), {int(self.wide)}",
            "depthwise_outputs",
        ]

    def _channel_end(self) -> list[str]:
        return ["depthwise_next_channel", "repeat D_CHANNELS, 3b"]

    def _rows_lines(self) -> list[str]:
        """Of a strip's rows of outputs."""
        lines = [*self._first_window(), "6:"]
        for kind, (_, count) in enumerate(self.blocks):
            lines += [f"set_word D_BLOCKS, {count}"] if count > 1 else []
            lines += [f"{7 + kind}:", *self._block_lines(kind)]
            lines += [f"repeat D_BLOCKS, {7 + kind}b"] if count > 1 else []
        return [*lines, *self._to_next_row(), "repeat D_ROWS, 6b"]

    def _first_window(self) -> list[str]:
        return [f"depthwise_first_window {self.buffer}"]

    def _to_next_row(self) -> list[str]:
        row = self.row_step() - self.to_next_row()
        return [f"add_word D_Q, {row}"] if row else []

    def _block_lines(self, kind: int) -> list[str]:
        outputs, _ = self.blocks[kind]
        places = self.strip.places()
        step = 4 * outputs + (0 if kind < len(self.blocks) - 1 else self.to_next_row())
        steps = [4 * (b - a) for a, b in zip(places, [*places[1:], places[-1] + outputs], strict=True)]
        lines = [f"depthwise_begin {outputs}, {step}"]
        lines += [f"depthwise_tap {outputs}, {t}, {step}" for t, step in enumerate(steps)]
        lines.append(f"depthwise_constants {self.constants}, {self.strip.channels}")
        for register in ACCUMULATORS[:outputs]:
            lines.append(f"{self.macro} {register}, {self.epilogue.arguments}")
        return [*lines, "depthwise_end"]

    def row_step(self) -> int:
        """Bytes from behind one row's windows to the first of the next."""
        return 4 * (self.strip.strides[0] * self.strip.line - self.strip.out_width)

    def to_next_row(self) -> int:
        """Of these, what the row's last block adds by the way: all, if it is not repeated and one addition reaches."""
        outputs, count = self.blocks[-1]
        return self.row_step() if count == 1 and 0 <= 4 * outputs + self.row_step() <= 255 else 0

    def _strips_lines(self) -> list[str]:
        begin, rows, each = self._strip_begin(), self._strip_rows(), self._source_row()
        return [*begin, "4:", *rows, "5:", *each, self._source_next(), *self._strip_end(), *self._rows_lines(),
                *self._strip_next()]  # fmt: skip

    def _strip_begin(self) -> list[str]:
        return [f"set_word D_LEFT, {self.strip.out_height}", f"set_word D_ROW, {-self.strip.top}"]

    def _strip_rows(self) -> list[str]:
        """Which rows the strip takes."""
        s = self.strip
        twice = f"depthwise_twice {s.strides[1] * s.channels}"
        return [twice, f"depthwise_rows {s.rows}, {s.strides[0]}, {self.extra}", f"depthwise_first_row {self.buffer}"]

    def _source_row(self) -> list[str]:
        """One row of the image, or of padding where it has none."""
        s = self.strip
        inside = [f"depthwise_phase {n}, {first * s.channels}, {to}, {s.strides[1] * s.channels}, 1"
                  for n, first, to in s.phases()]  # fmt: skip
        outside = [f"depthwise_phase {n}, 0, {to}, 0, 0" for n, _, to in s.phases()]
        where = f"depthwise_inside {s.height}, {s.width * s.channels}, 8f"
        return [where, *inside, f"depthwise_outside {s.padding}", *outside, "9:"]

    def _source_next(self) -> str:
        return f"depthwise_next {4 * self.strip.line}, 5b"

    def _strip_end(self) -> list[str]:
        return [f"depthwise_over {self.extra}"]

    def _strip_next(self) -> list[str]:
        return ["depthwise_more_strips 4b"]

    def _plane_of(self) -> tuple[int, int, int, int] | None:
        """(rows, columns, first word, words between rows) when one strip takes the whole plane, rows as they lie."""
        s = self.strip
        first, gap = self.buffer + s.top * s.line + s.left, s.line - s.width
        rows = min(s.height, s.source_rows(s.out_height) - s.top)
        whole = s.rows == s.out_height and s.strides[1] == 1 and s.phases() == [(s.width, 0, s.left)]
        return (rows, s.width, first, gap) if whole and s.width <= 24 and first <= 255 and gap < 64 else None

    def _plane_lines(self) -> list[str]:
        assert self.plane is not None
        rows, columns, first, gap = self.plane
        twice = f"depthwise_twice {self.strip.channels}"
        plane = f"depthwise_plane {rows}, {columns}, {self.strip.channels}, {first}, {gap}"
        return [twice, plane, f"set_word D_ROWS, {self.strip.out_height}", "literals_here"]

    def _executed(self) -> Executed:
        s = self.strip
        around = straight(*self._begin(), f"leave {self.words}") + fill(self.words - self.buffer)
        *end, again = self._channel_end()
        channel = straight(*self._channel_lines(), *end)
        channel += straight() if self.wide else widen(self.weights.shape[1])
        channel += self._plane_executed() if self.plane is not None else self._strips_executed()
        return around + channel * s.channels + closing(s.channels, again)

    def _plane_executed(self) -> Executed:
        assert self.plane is not None
        plane = path(self._plane_lines(), [n > 1 for n in range(self.plane[0], 0, -1)])
        return plane + self._rows_executed(self.strip.out_height)

    def _strips_executed(self) -> Executed:
        s = self.strip
        tops = range(0, s.out_height, s.rows)
        made = straight(*self._strip_begin()) + closing(len(tops), *self._strip_next())
        image, padding = self._source_executed(True), self._source_executed(False)
        for top in tops:
            left = s.out_height - top
            source = s.source_rows(min(s.rows, left))
            held = sum(0 <= top * s.strides[0] - s.top + i < s.height for i in range(source))
            made += path(self._strip_rows(), [left >= s.rows]) + straight(*self._strip_end())
            made += image * held + padding * (source - held)
            made += closing(source, self._source_next()) + self._rows_executed(min(s.rows, left))
        return made

    def _source_executed(self, inside: bool) -> Executed:
        """Of one row that the image has, or has not."""
        counts = [n for n, _, _ in self.strip.phases()]
        turns = [n // 8 if n > 16 else 0 for n in counts] if inside else counts
        return path(self._source_row(), [inside, *(n > 1 for times in turns for n in range(times, 0, -1))])

    def _rows_executed(self, rows: int) -> Executed:
        """Of so many rows of outputs, from setting the first window."""
        row = straight(*self._to_next_row())
        for kind, (_, count) in enumerate(self.blocks):
            row += straight(*self._block_lines(kind)) * count
            row += straight("set_word D_BLOCKS, 0") + closing(count, "repeat D_BLOCKS, 7b") if count > 1 else straight()
        return straight(*self._first_window()) + row * rows + closing(rows, "repeat D_ROWS, 6b")
