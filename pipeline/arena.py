"""One static arena for every buffer: those that live at the same time do not overlap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4
STEPS = 20_000
"""How many placements the exact search tries at most: under a second."""


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

    No plan can be smaller than that `lower_bound`; `optimal` says whether none is smaller than this one.
    """

    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    size: int
    lower_bound: int
    optimal: bool


def place(buffers: Sequence[Buffer]) -> Placement:
    """The best of several first-fit orders, and where that misses the lower bound, of an exact search.

    The search is bounded by a number of steps, so that the same buffers give the same plan on every machine.
    """
    orders: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
        lambda b: (-b.size, b.first),
        lambda b: (b.first, -b.size),
        lambda b: (-b.last, -b.size),
        lambda b: (-(b.last - b.first), -b.size),
        lambda b: (-b.size * (b.last - b.first + 1), b.first),
    )
    plans = [_first_fit(sorted(buffers, key=lambda b: (order(b), b.name))) for order in orders]
    offsets, size = min(plans, key=lambda p: p[1])
    bound = lower_bound(buffers)
    if size == bound:
        return Placement(tuple(buffers), offsets, size, bound, True)
    search = _Search(buffers, bound, offsets, size)
    search.run()
    return Placement(tuple(buffers), search.offsets, search.size, bound, search.proven)


class _Search:
    """Branch and bound over the order of the buffers by address: each lies on those below it that it meets.

    Some order gives the best plan, since every buffer of a plan can be let down until it rests on another.
    """

    def __init__(self, buffers: Sequence[Buffer], bound: int, offsets: Mapping[str, int], size: int) -> None:
        self.buffers = sorted(buffers, key=lambda b: (-b.size, b.first, b.name))
        self.meets = [[i for i, a in enumerate(self.buffers) if a is not b and a.meets(b)] for b in self.buffers]
        self.bound, self.offsets, self.size = bound, offsets, size
        self.steps, self.at = 0, [-1] * len(self.buffers)

    @property
    def proven(self) -> bool:
        return self.size == self.bound or self.steps < STEPS

    def run(self) -> None:
        self.descend(0, 0)

    def descend(self, placed: int, lowest: int) -> None:
        """Place one more buffer, none below `lowest`, the address of the one before."""
        if placed == len(self.buffers):
            ends = (o + _aligned(b.size) for o, b in zip(self.at, self.buffers, strict=True))
            self.size = max(ends, default=0)
            self.offsets = {b.name: o for b, o in zip(self.buffers, self.at, strict=True)}
            return
        for index, buffer in enumerate(self.buffers):
            if self.at[index] >= 0 or self.steps >= STEPS or self.size == self.bound:
                continue
            below = [self.at[i] + _aligned(self.buffers[i].size) for i in self.meets[index] if self.at[i] >= 0]
            offset = max(below, default=0)
            if offset < lowest or offset + _aligned(buffer.size) >= self.size:
                continue
            self.steps += 1
            self.at[index] = offset
            self.descend(placed + 1, offset)
            self.at[index] = -1


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
