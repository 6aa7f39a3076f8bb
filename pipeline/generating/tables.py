"""Arrays of constants as C."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from pipeline.graph.kernel_call import C_TYPES
from pipeline.graph.tensor import Array

WIDTH = 110
"""Characters of a line of numbers, at most."""
_INDENT = 4

Use = Literal["always", "portable", "assembly"]
"""Which form of the library a table is part of: both, that in C alone, that with layers in assembly."""


@dataclass(frozen=True)
class Table:
    """One array of constants: its C name and type, how many numbers and bytes, and the lines of numbers."""

    name: str
    title: str
    ctype: str
    size: int
    bytes: int
    rows: tuple[str, ...]
    use: Use
    ram: bool
    """Whether startup copies the table to RAM."""


def table(name: str, title: str, array: Array, use: Use, ram: bool = False) -> Table:
    """The table of `array` under the name TABLE(name)."""
    shape = "x".join(str(d) for d in array.shape)
    ctype = C_TYPES[array.dtype.name]
    return Table(f"TABLE({name})", f"{title}, {shape}", ctype, array.size, array.nbytes, lines(array), use, ram)


def lines(array: Array) -> tuple[str, ...]:
    """Numbers in lines of at most WIDTH characters; each index of the first axis begins a new line."""
    smallest = int(array.min())
    words = list(map(str, array.reshape(-1).tolist()))
    if smallest == -(2**31):
        words = ["(-2147483647 - 1)" if w == "-2147483648" else w for w in words]
        widest = len("(-2147483647 - 1)") + 2
    else:
        widest = max(len(str(smallest)), len(str(int(array.max())))) + 2
    fitting = max(1, (WIDTH - 2 * _INDENT) // widest)
    axes = [d for d in array.shape if d > 1]
    row = prod(axes[1:]) if len(axes) > 1 else max(1, array.size)
    return tuple(
        (" " * _INDENT if row < len(words) and i > begin else "") + ", ".join(words[i : min(i + fitting, begin + row)])
        for begin in range(0, len(words), row)
        for i in range(begin, begin + row, fitting)
    )
