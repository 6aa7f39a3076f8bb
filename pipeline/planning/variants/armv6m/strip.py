"""The strip of a depthwise convolution: how many rows of a channel's plane lie widened in the frame, and where.

See kernels/armv6m/strip.inc for the order of its columns.
"""

from dataclasses import dataclass, replace
from math import ceil

from pipeline.graph.kernel_params.linear import DepthwiseParams

_MOST_WORDS = 704  # words: what a strip may take of the stack


@dataclass(frozen=True, kw_only=True)
class Strip:
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

    @property
    def extra(self) -> int:
        """Input rows under one row of outputs, beyond those that its stride passes."""
        return self.source_rows(1) - self.strides[0]

    def source_rows(self, rows: int) -> int:
        """Input rows under `rows` output rows."""
        return (rows - 1) * self.strides[0] + (self.kernel[0] - 1) * self.dilations[0] + 1

    def phases(self) -> list[tuple[int, int, int]]:
        """(count, first column, word in the strip's row) of the image's columns in each phase."""
        columns_by_phase = []
        needed = (self.out_width - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1
        for phase in range(self.strides[1]):
            columns = [j for j in range(phase, needed, self.strides[1]) if 0 <= j - self.left < self.width]
            if columns:
                columns_by_phase.append(
                    (len(columns), columns[0] - self.left, phase * self.phase + columns[0] // self.strides[1])
                )
        return columns_by_phase

    def tap_offsets(self) -> list[int]:
        """Offset of each tap in words, from the output's row and first column in the strip."""
        return [
            ky * self.dilations[0] * self.line
            + kx * self.dilations[1] % self.strides[1] * self.phase
            + kx * self.dilations[1] // self.strides[1]
            for ky in range(self.kernel[0])
            for kx in range(self.kernel[1])
        ]


def strip_of(p: DepthwiseParams) -> Strip | None:
    """As many rows of outputs at once as the stack holds; None where it holds none, or a row is too long."""
    needed = (p.out_width - 1) * p.stride_x + (p.kernel_width - 1) * p.dilation_x + 1
    strip = Strip(
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
    fits = [r for r in range(1, strip.out_height + 1) if strip.source_rows(r) * strip.line <= _MOST_WORDS]
    if not fits or strip.line > 250 or not strip.phases() or p.width > 255:
        return None
    strips = ceil(strip.out_height / fits[-1])
    return replace(strip, rows=ceil(strip.out_height / strips))
