"""Where a linear layer's inputs lie, and what it costs to bring those of every position to the stack as words.

See kernels/armv6m/gather.inc; cycles are those of its instructions (Cortex-M0 TRM, table 3-1).
"""

from collections import Counter
from dataclasses import dataclass

from pipeline.calls import KernelCall


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
    p = {k: v for k, v in call.params.items() if isinstance(v, int)}
    if call.family == "dense":
        return Shape(True, p["rows"], 1, 0, 0, p["inputs"], 1, 1, 0, 0, 0, 0, 0)
    channels = p["channels"]
    shape = Shape(
        contiguous=False,
        out_height=p["out_height"],
        out_width=p["out_width"],
        height=p["height"],
        line=p["width"] * channels,
        row=p["row"],
        rows=p["kernel_height"],
        dilation=p["dilation_y"],
        padding=p["input_zero_point"],
        stride_y=p["stride_y"],
        stride_x=p["stride_x"] * channels,
        top=-p["pad_top"],
        left=-p["pad_left"] * channels,
    )
    inside = (shape.out_height, shape.out_width * channels) == (shape.height, shape.line)
    if inside and shape.row == shape.stride_x == channels and shape.rows == shape.stride_y == 1:
        return Shape(True, p["batch"] * shape.positions, 1, 0, 0, channels, 1, 1, 0, 0, 0, 0, 0)
    if p["batch"] != 1 or shape.row > 240:
        return None
    return shape


def widen_cycles(count: int) -> int:
    """Of `widen` on so many bytes, its return included."""
    eights, rest = divmod(count, 8)
    cycles = 12 + (3 if not eights else 1 + eights * (30 + 1 + 3) - 2)
    if not rest:
        return cycles + 5 + 3
    tests = (17 if rest & 4 else 4) + (11 if rest & 2 else 5) + (8 if rest & 1 else 5)
    return cycles + 3 + tests + 3


def spread_cycles(count: int) -> int:
    """Of `spread`, its return included."""
    return 1 + (3 if not count else 1 + count * 6 - 2) + 3


def _whole_rows(row: int, inside: int, outside: int) -> int:
    """Of kernel rows that the image holds from end to end, or that lie above or below it."""
    return inside * (14 + widen_cycles(row)) + outside * (9 + 11 + spread_cycles(row)) + (inside + outside) * 14 - 2


def gather_cycles(shape: Shape, rows: int, below: int) -> int:
    """Of `gather` at every position of the output, for `rows` kernel rows from `below` image rows down."""
    tops = range(shape.top + below, shape.top + below + shape.stride_y * shape.out_height, shape.stride_y or 1)
    inside = Counter(
        sum(0 <= top + i * shape.dilation < shape.height for i in range(rows)) for top in list(tops)[: shape.out_height]
    )
    total = 0
    for column in range(shape.out_width):
        left = shape.left + column * shape.stride_x
        begin = min(max(0, -left), shape.row)
        end = max(min(shape.line - left, shape.row), begin)
        edges = 8 + 1 + 2 + 1 + 2
        edges += 3 if left <= 0 else 1 + 1
        edges += 1 + (3 if max(0, -left) <= shape.row else 1 + 1)
        edges += 2 + 1 + 1 + (3 if shape.line - left <= shape.row else 1 + 1)
        edges += 1 + (3 if min(shape.line - left, shape.row) >= begin else 1 + 1)
        edges += 1 + 2 + 1 + 2
        fills = spread_cycles(begin) + spread_cycles(shape.row - end)
        row_inside = 10 + 1 + 1 + 2 + 4 + 3 + 2 + 1 + 2 + 1 + 2 + 1 + 2 + 4 + 6 + 3 + fills + widen_cycles(end - begin)
        row_outside = 10 + 1 + 3 + 2 + spread_cycles(shape.row)
        tail = 4 + 2 + 2 + 2 + 1 + 2 + 2 + 1 + 2 + 3
        whole = begin == 0 and end == shape.row
        for count, times in inside.items():
            body = count * row_inside + (rows - count) * row_outside + rows * tail - 2 + 1 + 3
            if whole:
                body = 3 + 20 + _whole_rows(shape.row, count, rows - count)
            total += times * (edges + 1 + body + 1 + 4 + 7)
    return total
