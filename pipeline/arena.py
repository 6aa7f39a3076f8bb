"""One static arena for every buffer: those that live at the same time do not overlap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4


@dataclass(frozen=True)
class Buffer:
    """`size` bytes, written first by call `first` and read last by call `last` (both inclusive)."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """The buffers and their offsets in bytes, the arena's size, and the most bytes that are ever alive at once.

    No plan can be smaller than that `lower_bound`.
    """

    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    size: int
    lower_bound: int


def place(buffers: Sequence[Buffer]) -> Placement:
    """The best of several first-fit orders."""
    orders: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
        lambda b: (-b.size, b.first),
        lambda b: (b.first, -b.size),
        lambda b: (-b.last, -b.size),
        lambda b: (-(b.last - b.first), -b.size),
        lambda b: (-b.size * (b.last - b.first + 1), b.first),
    )
    plans = [_first_fit(sorted(buffers, key=lambda b: (order(b), b.name))) for order in orders]
    offsets, size = min(plans, key=lambda p: p[1])
    return Placement(tuple(buffers), offsets, size, lower_bound(buffers))


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The largest total that is alive at one call."""
    moments = {b.first for b in buffers}
    return max((sum(_aligned(b.size) for b in buffers if b.first <= m <= b.last) for m in moments), default=0)


def _first_fit(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        at = 0
        for offset, other in sorted((p for p in placed if p[1].meets(buffer)), key=lambda p: p[0]):
            if at + _aligned(buffer.size) <= offset:
                break
            at = max(at, offset + _aligned(other.size))
        placed.append((at, buffer))
    size = max((offset + _aligned(b.size) for offset, b in placed), default=0)
    return {b.name: offset for offset, b in placed}, size


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
