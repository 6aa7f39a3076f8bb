"""One static arena for every buffer: those that live at the same time do not overlap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4
SEARCH_LIMIT = 400_000
"""Buffers that the exact search looks at for one capacity: a fraction of a second."""
MOST_SEARCHED = 250
"""More buffers than this are not searched: the search is recursive."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes, one at least, written first by call `first` and read last by call `last` (both inclusive)."""

    name: str
    size: int
    first: int
    last: int

    def lifetimes_overlap(self, other: "Buffer") -> bool:
        """Whether some call needs both."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Allocation:
    """The buffers and their offsets in bytes, the arena's size, and the most bytes that are ever alive at once.

    No plan can be smaller than that `lower_bound`; `optimal` says whether none is smaller than this one.
    """

    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int]
    size: int
    lower_bound: int
    optimal: bool


def allocate(buffers: Sequence[Buffer]) -> Allocation:
    """The best of several first-fit orders, and where that misses the lower bound, of an exact search.

    The search is bounded by what it looks at, not by a clock: the same buffers give the same plan on every machine.
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
    if size == bound or len(buffers) > MOST_SEARCHED:
        return Allocation(tuple(buffers), offsets, size, bound, size == bound)
    search = _Search(buffers)
    possible, proven = bound, True  # no plan is smaller than `possible`: proven if the last search was finished
    capacity = bound  # met more often than not; where it is not, halve what lies between
    while possible < size:
        found = search.offsets_within(capacity)
        if found:
            offsets, size = found, max(found[b.name] + _aligned(b.size) for b in buffers)
        else:
            possible, proven = capacity + ALIGNMENT, found is not None
        capacity = possible + (size - ALIGNMENT - possible) // 2 // ALIGNMENT * ALIGNMENT
    return Allocation(tuple(buffers), offsets, size, bound, proven)


class _Search:
    """Whether buffers fit a capacity, by placing them in the order of their addresses (ties: of their indices).

    In a plan where no buffer can move to a lower address, each lies at 0 or directly above one whose lifetime overlaps,
    so its address is known once those below it are placed. Pruned are buffers under which another would fit whole,
    states in which the buffers of one call exceed the capacity even at their lowest offsets, and states found
    infeasible before. This is branching on active schedules (B. Giffler and G. L. Thompson, Operations Research 8,
    1960) with addresses for times.
    """

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self.buffers = sorted(buffers, key=lambda b: (-b.size * (b.last - b.first + 1), b.first, b.name))
        self.sizes = [_aligned(b.size) for b in self.buffers]
        self.conflicts = [
            [i for i, a in enumerate(self.buffers) if a is not b and a.lifetimes_overlap(b)] for b in self.buffers
        ]
        first_calls = sorted({b.first for b in buffers})
        self.alive = [[i for i, b in enumerate(self.buffers) if b.first <= m <= b.last] for m in first_calls]
        self.step_cost = sum(map(len, self.alive))

    def offsets_within(self, capacity: int) -> dict[str, int] | None:
        """Offsets in bytes by name within `capacity`; {} when there are none, None when SEARCH_LIMIT was too little."""
        self.capacity, self.work = capacity, SEARCH_LIMIT
        self.offsets = [-1] * len(self.buffers)
        self.infeasible: set[tuple[int, ...]] = set()
        found = self._place_rest([0] * len(self.buffers), len(self.buffers), (0, -1))
        if not found:
            return None if found is None else {}
        return {b.name: o for b, o in zip(self.buffers, self.offsets, strict=True)}

    def _place_rest(self, lowest: list[int], left: int, before: tuple[int, int]) -> bool | None:
        """Whether the `left` other buffers fit, none below its `lowest`, none earlier in the order than `before`."""
        if not left:
            return True
        if self.work <= 0:
            return None
        self.work -= self.step_cost
        if self._overflows(lowest, before[0]):
            return False
        free = [i for i, offset in enumerate(self.offsets) if offset < 0]
        state = (*before, *(x for i in free for x in (i, lowest[i])))
        if state in self.infeasible:
            return False
        under = min(lowest[i] + self.sizes[i] for i in free)
        for offset, index in sorted((lowest[i], i) for i in free if before < (lowest[i], i) and lowest[i] < under):
            above = list(lowest)
            for i in self.conflicts[index]:
                above[i] = max(above[i], offset + self.sizes[index])
            self.offsets[index] = offset
            found = self._place_rest(above, left - 1, (offset, index))
            if found is not False:
                return found
            self.offsets[index] = -1
        self.infeasible.add(state)
        return False

    def _overflows(self, lowest: list[int], lowest_free: int) -> bool:
        """Whether the buffers alive at some call, each at its lowest possible offset, end above the capacity."""
        for alive in self.alive:
            end = 0
            for offset, size in sorted(
                (max(lowest[i], lowest_free), self.sizes[i]) for i in alive if self.offsets[i] < 0
            ):
                end = max(end, offset) + size
            if end > self.capacity:
                return True
        return False


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes of the buffers alive at one call, at the most; no arena is smaller."""
    first_calls = {b.first for b in buffers}
    return max((sum(_aligned(b.size) for b in buffers if b.first <= m <= b.last) for m in first_calls), default=0)


def _first_fit(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    placed: list[tuple[int, Buffer]] = []
    for buffer in buffers:
        start = 0
        for offset, other in sorted((p for p in placed if p[1].lifetimes_overlap(buffer)), key=lambda p: p[0]):
            if start + _aligned(buffer.size) <= offset:
                break
            start = max(start, offset + _aligned(other.size))
        placed.append((start, buffer))
    size = max((offset + _aligned(b.size) for offset, b in placed), default=0)
    return {b.name: offset for offset, b in placed}, size


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
