"""Where a linear layer's inputs lie, and what it costs to bring those of every position to the stack as words.

See kernels/armv6m/im2col.inc, whose branches are listed here in the order of execution.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams
from pipeline.planning.variants.armv6m.macro_costs import executed_shared


@dataclass(frozen=True)
class Contiguous:
    """The inputs of all positions follow one another in memory, so many bytes for each."""

    positions: int
    inputs: int


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Kernel rows of `row` bytes in an image of `height` rows of `line` bytes; steps, and where the first one begins.

    `stride_y`, `dilation` and `top` count image rows, `stride_x` and `left` bytes.
    """

    out_height: int
    out_width: int
    height: int
    line: int
    row: int
    rows: int
    dilation: int
    padding: int
    stride_y: int
    stride_x: int
    top: int
    left: int

    @property
    def positions(self) -> int:
        return self.out_height * self.out_width


Inputs = Contiguous | Windows


def inputs_of(call: KernelCall) -> Inputs | None:
    """The inputs of a dense or conv2d call; None for more than one image, or a kernel row of more than 240 bytes."""
    p = call.params
    if isinstance(p, DenseParams):
        return Contiguous(p.rows, p.inputs)
    assert isinstance(p, Conv2dParams)
    channels = p.channels
    windows = Windows(
        out_height=p.out_height,
        out_width=p.out_width,
        height=p.height,
        line=p.width * channels,
        row=p.row,
        rows=p.kernel_height,
        dilation=p.dilation_y,
        padding=p.input_zero_point,
        stride_y=p.stride_y,
        stride_x=p.stride_x * channels,
        top=-p.pad_top,
        left=-p.pad_left * channels,
    )
    inside = (windows.out_height, windows.out_width * channels) == (windows.height, windows.line)
    if inside and windows.row == windows.stride_x == channels and windows.rows == windows.stride_y == 1:
        return Contiguous(p.batch * windows.positions, channels)
    return windows if p.batch == 1 and windows.row <= 240 else None


@cache
def widen(count: int) -> Executed:
    """Instructions of the shared routine `widen` on `count` bytes."""
    eights, rest = divmod(count, 8)
    by_eights = [not eights, *(n > 1 for n in range(eights, 0, -1))]
    by_bits = [not rest, *(not rest & bit for bit in (4, 2, 1) if rest)]
    return executed_shared("widen", (*by_eights, *by_bits))


@cache
def fill(count: int) -> Executed:
    """Instructions of the shared routine `fill` on `count` words."""
    return executed_shared("fill", (not count, *(n > 1 for n in range(count, 0, -1))))


def im2col(windows: Windows, rows: int, below: int) -> Executed:
    """Instructions of `im2col` at every position of the output, for `rows` kernel rows from `below` image rows down."""
    tops = (windows.top + below + i * windows.stride_y for i in range(windows.out_height))
    inside = Counter(sum(0 <= top + i * windows.dilation < windows.height for i in range(rows)) for top in tops)
    columns = Counter(_column(windows, windows.left + c * windows.stride_x) for c in range(windows.out_width))
    total = Executed()
    for (edges, begin, end), wide in columns.items():
        for held, high in inside.items():
            total += _window(windows.row, edges, begin, end, held, rows) * (wide * high)
    return total


def _column(windows: Windows, left: int) -> tuple[tuple[bool, ...], int, int]:
    """Which branches a window takes before its rows, and its first byte and the one behind its last in the image."""
    before = max(0, -left)
    begin, reach = min(before, windows.row), min(windows.line - left, windows.row)
    edges = (left <= 0, before <= windows.row, windows.line - left <= windows.row, reach >= begin)
    return edges, begin, max(reach, begin)


@cache
def _window(row: int, edges: tuple[bool, ...], begin: int, end: int, held: int, rows: int) -> Executed:
    """Instructions of one window, `held` of whose `rows` the image has, in whatever order."""
    whole = begin == 0 and end == row
    turns = (t for i in range(rows) for t in (i >= held, i < rows - 1))
    of_row = widen(row) if whole else fill(begin) + widen(end - begin) + fill(row - end)
    return executed_shared("im2col", (*edges, whole, *turns)) + of_row * held + fill(row) * (rows - held)
