"""`strips`: depthwise convolution with up to six neighbouring outputs at once, from a widened strip of one channel.

See kernels/armv6m/depthwise.inc. The cost formulas count the instructions of its macros (Cortex-M0 TRM, table 3-1).
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from pipeline.calls import KernelCall, Routine
from pipeline.ir import Array
from pipeline.variants.gather import spread_cycles, widen_cycles
from pipeline.variants.requantizer import Ending, ending_of, int32

NAME = "strips"
SUMMARY = "depthwise: six neighbouring outputs at once, from a widened strip of one channel"

_STRIP = 704  # words: what a strip may take of the stack
_FIXED = 17
_AT_ONCE = 6
_MACROS = {
    "requantize_shift": ("depthwise_shift", 11, 20),
    "requantize_climb": ("depthwise_climb", 16, 30),
    "requantize_dip": ("depthwise_dip", 24, 42),
}
"""Macro, cycles and bytes of code for one output, without the addition that an odd lower bound needs."""


def offer(call: KernelCall) -> Routine | None:
    """The call as strips; None for what it does not do: batches, a row too long for the stack."""
    if call.family != "depthwise" or call.params["batch"] != 1:
        return None
    weights = call.tables["weights"]
    taps = weights.reshape(-1, weights.shape[-1]).T
    ending = ending_of(call)
    if ending is None or taps.shape[1] > 64:
        return None
    strip = _strip_of({k: v for k, v in call.params.items() if isinstance(v, int)})
    if strip is None:
        return None
    made = _Strips(strip, taps, ending)
    return made.routine() if made.within_reach() else None


@dataclass(frozen=True)
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


def _strip_of(p: dict[str, int]) -> _Strip | None:
    needed = (p["out_width"] - 1) * p["stride_x"] + (p["kernel_width"] - 1) * p["dilation_x"] + 1
    made = _Strip(
        p["channels"], p["height"], p["width"], p["out_height"], p["out_width"],
        (p["kernel_height"], p["kernel_width"]), (p["stride_y"], p["stride_x"]), (p["dilation_y"], p["dilation_x"]),
        p["pad_top"], p["pad_left"], p["input_zero_point"], ceil(needed / p["stride_x"]), 1,
    )  # fmt: skip
    fits = [r for r in range(1, made.out_height + 1) if made.source_rows(r) * made.line <= _STRIP]
    if not fits or made.line > 250 or not made.phases() or p["width"] > 255:
        return None
    strips = ceil(made.out_height / fits[-1])
    return _Strip(**{**made.__dict__, "rows": ceil(made.out_height / strips)})


class _Strips:
    def __init__(self, strip: _Strip, weights: Array, ending: Ending) -> None:
        self.strip, self.weights, self.ending = strip, -weights.astype(np.int64), ending
        self.wide = bool(np.abs(weights.astype(np.int64)).max(initial=0) > 127)
        parts = ceil(strip.out_width / _AT_ONCE)
        small, more = divmod(strip.out_width, parts)
        self.blocks = [(n, c) for n, c in ((small + 1, more), (small, parts - more)) if c]
        self.buffer = _FIXED + weights.shape[1]
        self.plane = self._plane_of()
        self.words = self.buffer + strip.source_rows(strip.rows) * strip.line
        self.macro, self.each, self.bytes = _MACROS[ending.macro]
        self.constants = ending.constants.shape[1]

    def routine(self) -> Routine:
        return Routine(
            variant=NAME,
            includes=("routine.inc", "requantize.inc", "depthwise.inc"),
            shared=("gather",),
            lines=tuple(self._lines()),
            tables={"channels": self._stream()},
            cycles=self._cycles(),
            multiplies=self._multiplies(),
            code=self._code(),
            stack=36 + 4 * self.words,
            roof=2 * self.weights.size * self.strip.out_height * self.strip.out_width,
            reads=self.weights.shape[0] * (1 + self.constants + self.weights.shape[1]),
        )

    def within_reach(self) -> bool:
        """Whether a branch reaches back over a channel's code, and a load the literals behind a block."""
        places = self.strip.places()
        far = any(4 * abs(b - a - n) > 255 for n, _ in self.blocks for a, b in pairwise(places))
        block = max(self._block_code(n) for n, _ in self.blocks)
        return self._code() < 1900 and (not far or block < 900)

    def _stream(self) -> Array:
        """Of each channel: the accumulator's start, the requantizer's constants, negated weights in whole words."""
        channels, taps = self.weights.shape
        padded = self.weights.astype("<i4").view(np.int8).reshape(channels, -1)
        if not self.wide:
            padded = np.zeros((channels, -(-taps // 4) * 4), np.int8)
            padded[:, :taps] = self.weights
        words = np.concatenate([int32(self.ending.start)[:, None], int32(self.ending.constants)], axis=1)
        bytes_ = np.concatenate([words.astype("<i4").view(np.int8).reshape(channels, -1), padded], axis=1)
        return np.ascontiguousarray(bytes_).view("<i4").reshape(-1)

    def _lines(self) -> list[str]:
        s, taps = self.strip, self.weights.shape[1]
        places = s.places()
        lines = [
            "function LAYER({layer})",
            f"enter {self.words}",
            *self._padding(),
            "ldr r0, ={channels}",
            "str r0, [sp, #4 * D_STREAM]",
            f"set_word D_CHANNELS, {s.channels}",
            "3:",
            f"depthwise_channel {self.constants}, {taps}, SHARED({{widen}}), {int(self.wide)}",
            "ldr r0, [sp, #4 * F_Y]",
            "str r0, [sp, #4 * D_OUT]",
            "adds r0, #1",
            "str r0, [sp, #4 * F_Y]",
            *(self._strip_lines() if self.plane is None else self._plane_lines(*self.plane)),
            f"add r0, sp, #{4 * self.buffer}",
            "str r0, [sp, #4 * D_Q]",
            "6:",
        ]
        for kind, (outputs, count) in enumerate(self.blocks):
            label = 7 + kind
            if count > 1:
                lines.append(f"set_word D_BLOCKS, {count}")
            step = 4 * outputs + (0 if kind < len(self.blocks) - 1 else self.to_next_row())
            lines += [f"{label}:", f"depthwise_begin {outputs}, {step}"]
            steps = [4 * (b - a) for a, b in zip(places, [*places[1:], places[-1] + outputs], strict=True)]
            lines += [f"depthwise_tap {outputs}, {t}, {step}" for t, step in enumerate(steps)]
            lines.append(f"depthwise_constants {self.constants}, {s.channels}")
            for lane in range(outputs):
                register = ("r8", "r9", "r10", "r11", "r12", "lr")[lane]
                lines.append(f"{self.macro} {register}, {self.ending.arguments}")
            lines.append("depthwise_end")
            if count > 1:
                lines.append(f"repeat D_BLOCKS, {label}b")
        row = self.row_step() - self.to_next_row()
        lines += [
            f"add_word D_Q, {row}" if row else "",
            "repeat D_ROWS, 6b",
            *(["ldr r0, [sp, #4 * D_LEFT]", "cmp r0, #0", "beq 2f", "b 4b", "2:"] if self.plane is None else []),
            "ldr r0, [sp, #4 * F_X]",
            "adds r0, #1",
            "str r0, [sp, #4 * F_X]",
            "repeat D_CHANNELS, 3b",
            f"leave {self.words}",
            "end_function LAYER({layer})",
        ]
        return [line for line in lines if line]

    def row_step(self) -> int:
        """Bytes from behind one row's windows to the first of the next."""
        return 4 * (self.strip.strides[0] * self.strip.line - self.strip.out_width)

    def to_next_row(self) -> int:
        """Of these, what the row's last block adds by the way: all, if it is not repeated and one addition reaches."""
        outputs, count = self.blocks[-1]
        return self.row_step() if count == 1 and 0 <= 4 * outputs + self.row_step() <= 255 else 0

    def _padding(self) -> list[str]:
        """Every word of the strip is padding first: what lies beside the image stays so."""
        words = self.words - self.buffer
        return [
            f"add r1, sp, #{4 * self.buffer}",
            f"ldr r4, ={words}",
            f"ldr r5, ={self.strip.padding}",
            "bl SHARED({spread})",
        ]

    def _strip_lines(self) -> list[str]:
        """Bring the rows of the strip, then set up its output rows."""
        s = self.strip
        inside = [f"depthwise_phase {n}, {first * s.channels}, {to}, {s.strides[1] * s.channels}, 1"
                  for n, first, to in s.phases()]  # fmt: skip
        outside = [f"depthwise_phase {n}, 0, {to}, 0, 0" for n, _, to in s.phases()]
        extra = s.source_rows(1) - s.strides[0]
        return [
            f"set_word D_LEFT, {s.out_height}",
            f"set_word D_ROW, {-s.top}",
            "4:",
            f"depthwise_twice {s.strides[1] * s.channels}",
            "depthwise_rows " + f"{s.rows}, {s.strides[0]}, {extra}",
            f"add r2, sp, #{4 * self.buffer}",
            "5:",
            f"depthwise_inside {s.height}, {s.width * s.channels}, 8f",
            *inside,
            "b 9f",
            ".pool",
            "8:",
            f"ldr r5, ={s.padding}",
            *outside,
            "9:",
            f"depthwise_next {4 * s.line}, 5b",
            f"depthwise_over {extra}",
        ]

    def _plane_of(self) -> tuple[int, int, int, int] | None:
        """(rows, columns, first word, words between rows) when one strip takes the whole plane, rows as they lie."""
        s = self.strip
        first, gap = self.buffer + s.top * s.line + s.left, s.line - s.width
        rows = min(s.height, s.source_rows(s.out_height) - s.top)
        whole = s.rows == s.out_height and s.strides[1] == 1 and s.phases() == [(s.width, 0, s.left)]
        return (rows, s.width, first, gap) if whole and s.width <= 24 and first <= 255 and gap < 64 else None

    def _plane_lines(self, rows: int, columns: int, first: int, gap: int) -> list[str]:
        twice = f"depthwise_twice {self.strip.channels}"
        plane = f"depthwise_plane {rows}, {columns}, {self.strip.channels}, {first}, {gap}"
        # A place for literals, within reach of what is before and behind it.
        return [twice, plane, f"set_word D_ROWS, {self.strip.out_height}", "b 9f", ".pool", "9:"]

    def _multiplies(self) -> int:
        outputs = self.strip.channels * self.strip.out_height * self.strip.out_width
        return outputs * (self.weights.shape[1] + self.ending.multiplies)

    def _block_code(self, outputs: int) -> int:
        return 40 + self.weights.shape[1] * (6 + 4 * outputs) + outputs * (self.bytes + 2)

    def _code(self) -> int:
        """An upper bound within a few words: every distance counted as a literal."""
        blocks = sum(self._block_code(n) for n, _ in self.blocks)
        phases = sum(16 + 3 * min(n, 24) + 24 for n, _, _ in self.strip.phases())
        return 298 + blocks + phases + (self.weights.shape[1] + 4 if self.wide else 0)

    def _cycles(self) -> int:
        s, adjust = self.strip, -(-self.words // 127)
        total = 37 + 2 * adjust + 9 + spread_cycles(self.words - self.buffer) + 4 + 4
        remaining, top, strips = s.out_height, -s.top, 8
        if self.plane is not None:
            rows, columns, _, gap = self.plane
            strips = 3 + 7 + rows * (_bytes_once(columns) + bool(gap) + 4) - 2 + 4 + 3 + self._rows_cycles(s.out_height)
            remaining = 0
        while remaining:
            rows = min(s.rows, remaining)
            strips += self._strip_cycles(rows, top, rows == s.rows)
            strips += 7 if remaining > rows else 6
            remaining, top = remaining - rows, top + rows * s.strides[0]
        taps, n = self.weights.shape[1], self.constants
        moved = 2 * (7 + 2) if n == 6 else 2 * (2 + n)
        weights = taps // 4 * 10 + (2 * (1 + taps % 4) if taps % 4 else 0)
        if not self.wide:
            weights = 1 + 4 + widen_cycles(taps) + bool(taps & 3)
        channel = 2 + 1 + moved + 1 + weights + 2 + 7
        return total + s.channels * (channel + strips + 5 + 9) - 1

    def _strip_cycles(self, rows: int, top: int, whole: bool) -> int:
        s, extra = self.strip, self.strip.source_rows(1) - self.strip.strides[0]
        cycles = 3 + 2 + 1 + 1 + (3 if s.rows <= rows or whole else 2) + 1 + 2 + 2 + 1 + 1 + _move(extra) + 2 + 1
        inside = (
            16
            + 3
            + sum(1 + _move(4 * to) + 2 + _move(first * s.channels) + 2 + 1 + _bytes(n) for n, first, to in s.phases())
        )
        outside = 9 + 2 + sum(1 + _move(4 * to) + 1 + 6 * n - 2 for n, _, to in s.phases())
        source = s.source_rows(rows)
        held = sum(0 <= top + i < s.height for i in range(source))
        cycles += held * inside + (source - held) * outside + source * (_move(4 * s.line) + 5 + 9) - 1
        return cycles + 2 + _move(-extra) + 2 + self._rows_cycles(rows)

    def _rows_cycles(self, rows: int) -> int:
        """Of so many rows of outputs, from setting the first window."""
        row = sum(c * self._block_cycles(n) + (4 + 9 * c - 1 if c > 1 else 0) for n, c in self.blocks)
        row += 7 if self.row_step() != self.to_next_row() else 0
        return 3 + rows * (row + 9) - 1

    def _block_cycles(self, outputs: int) -> int:
        places = self.strip.places()
        steps = [b - a for a, b in zip(places, [*places[1:], places[-1] + outputs], strict=True)]
        taps = sum(2 + 1 + 3 * outputs + _move(4 * (step - outputs)) for step in steps)
        constants = 1 + (2 if self.constants == 1 else 5) + 2 + 2
        return 8 + outputs + taps + constants + outputs * (self.each + self.ending.low) + 2


def _move(bytes_: int) -> int:
    """Cycles of the macro move_by."""
    return 3 if abs(bytes_) > 255 else int(bytes_ != 0)


def _bytes(count: int) -> int:
    """Cycles of bringing so many bytes of one phase."""
    if count > 16:
        return 1 + count // 8 * 36 - 2 + _bytes(count & 7)
    return _bytes_once(count)


def _bytes_once(count: int) -> int:
    """Cycles of the macro depthwise_bytes."""
    return count // 2 * 8 + (count & 1) * 5
