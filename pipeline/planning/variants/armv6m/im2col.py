"""Where a linear layer's inputs lie, and what it costs to bring those of every position to the stack as words.

See kernels/armv6m/im2col.inc, whose branches are told here in the order in which they come.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams
from pipeline.planning.variants.armv6m.macro_costs import shared


@dataclass(frozen=True)
class Shape:
    """Bytes and rows of the image; `contiguous` when the inputs of all positions follow one another in memory."""

    contiguous: bool
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


def shape_of(call: KernelCall) -> Shape | None:
    """Of a dense or conv2d call; None for more than one image, or a kernel row of more than 240 bytes."""
    p = call.params
    if isinstance(p, DenseParams):
        return Shape(True, p.rows, 1, 0, 0, p.inputs, 1, 1, 0, 0, 0, 0, 0)
    assert isinstance(p, Conv2dParams)
    channels = p.channels
    shape = Shape(
        contiguous=False,
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
    inside = (shape.out_height, shape.out_width * channels) == (shape.height, shape.line)
    if inside and shape.row == shape.stride_x == channels and shape.rows == shape.stride_y == 1:
        return Shape(True, p.batch * shape.positions, 1, 0, 0, channels, 1, 1, 0, 0, 0, 0, 0)
    if p.batch != 1 or shape.row > 240:
        return None
    return shape


@cache
def widen(count: int) -> Executed:
    """Of the shared routine `widen` on so many bytes."""
    eights, rest = divmod(count, 8)
    by_eights = [not eights, *(n > 1 for n in range(eights, 0, -1))]
    by_bits = [not rest, *(not rest & bit for bit in (4, 2, 1) if rest)]
    return shared("widen", (*by_eights, *by_bits))


@cache
def fill(count: int) -> Executed:
    """Of the shared routine `fill` on so many words."""
    return shared("fill", (not count, *(n > 1 for n in range(count, 0, -1))))


def im2col(shape: Shape, rows: int, below: int) -> Executed:
    """Of `im2col` at every position of the output, for `rows` kernel rows from `below` image rows down."""
    tops = range(shape.top + below, shape.top + below + shape.stride_y * shape.out_height, shape.stride_y or 1)
    inside = Counter(
        sum(0 <= top + i * shape.dilation < shape.height for i in range(rows)) for top in list(tops)[: shape.out_height]
    )
    columns = Counter(_column(shape, shape.left + c * shape.stride_x) for c in range(shape.out_width))
    total = Executed()
    for (edges, begin, end), wide in columns.items():
        for held, high in inside.items():
            total += _window(shape.row, edges, begin, end, held, rows) * (wide * high)
    return total


def _column(shape: Shape, left: int) -> tuple[tuple[bool, ...], int, int]:
    """Which branches a window takes before its rows, and its first byte and the one behind its last in the image."""
    before = max(0, -left)
    begin, reach = min(before, shape.row), min(shape.line - left, shape.row)
    edges = (left <= 0, before <= shape.row, shape.line - left <= shape.row, reach >= begin)
    return edges, begin, max(reach, begin)


@cache
def _window(row: int, edges: tuple[bool, ...], begin: int, end: int, held: int, rows: int) -> Executed:
    """Of one window, `held` of whose `rows` the image has; in which order they come makes no difference."""
    whole = begin == 0 and end == row
    turns = (t for i in range(rows) for t in (i >= held, i < rows - 1))
    of_row = widen(row) if whole else fill(begin) + widen(end - begin) + fill(row - end)
    return shared("im2col", (*edges, whole, *turns)) + of_row * held + fill(row) * (rows - held)
