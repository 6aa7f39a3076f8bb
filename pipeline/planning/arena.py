"""One static arena for every buffer: those that live at the same time do not overlap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 4
WORK = 400_000
"""How many buffers the exact search looks at for one capacity: a fraction of a second."""
MOST = 250
"""More buffers than this are not searched: the search is recursive."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes, one at least, written first by call `first` and read last by call `last` (both inclusive)."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
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
    if size == bound or len(buffers) > MOST:
        return Allocation(tuple(buffers), offsets, size, bound, size == bound)
    search = _Search(buffers)
    possible, proven = bound, True  # no plan is smaller than `possible`: proven if the last search was finished
    capacity = bound  # met more often than not; where it is not, halve what lies between
    while possible < size:
        found = search.within(capacity)
        if found:
            offsets, size = found, max(found[b.name] + _aligned(b.size) for b in buffers)
        else:
            possible, proven = capacity + ALIGNMENT, found is not None
        capacity = possible + (size - ALIGNMENT - possible) // 2 // ALIGNMENT * ALIGNMENT
    return Allocation(tuple(buffers), offsets, size, bound, proven)


class _Search:
    """Whether buffers fit a capacity, by placing them in the order of their addresses (ties: of their indices).

    In a plan where no buffer can be let down, each lies at 0 or on one that it meets, so its address is known once
    those below it are placed. Cut off are buffers under which another would fit whole, moments that overflow even if
    every buffer is let down as far as it goes, and what was found impossible before. This is branching on active
    schedules (B. Giffler and G. L. Thompson, Operations Research 8, 1960) with addresses for times.
    """

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self.buffers = sorted(buffers, key=lambda b: (-b.size * (b.last - b.first + 1), b.first, b.name))
        self.sizes = [_aligned(b.size) for b in self.buffers]
        self.meets = [[i for i, a in enumerate(self.buffers) if a is not b and a.meets(b)] for b in self.buffers]
        moments = sorted({b.first for b in buffers})
        self.alive = [[i for i, b in enumerate(self.buffers) if b.first <= m <= b.last] for m in moments]
        self.price = sum(map(len, self.alive))

    def within(self, capacity: int) -> dict[str, int] | None:
        """Offsets that need no more than `capacity`; none ({}) when there are none, None when WORK was too little."""
        self.capacity, self.work = capacity, WORK
        self.at = [-1] * len(self.buffers)
        self.dead: set[tuple[int, ...]] = set()
        found = self._descend([0] * len(self.buffers), len(self.buffers), (0, -1))
        if not found:
            return None if found is None else {}
        return {b.name: o for b, o in zip(self.buffers, self.at, strict=True)}

    def _descend(self, lowest: list[int], left: int, before: tuple[int, int]) -> bool | None:
        """Place the rest: no buffer below its `lowest`, none earlier in the order than `before`."""
        if not left:
            return True
        if self.work <= 0:
            return None
        self.work -= self.price
        if self._overflows(lowest, before[0]):
            return False
        free = [i for i, at in enumerate(self.at) if at < 0]
        state = (*before, *(x for i in free for x in (i, lowest[i])))
        if state in self.dead:
            return False
        under = min(lowest[i] + self.sizes[i] for i in free)
        for at, index in sorted((lowest[i], i) for i in free if before < (lowest[i], i) and lowest[i] < under):
            above = list(lowest)
            for i in self.meets[index]:
                above[i] = max(above[i], at + self.sizes[index])
            self.at[index] = at
            found = self._descend(above, left - 1, (at, index))
            if found is not False:
                return found
            self.at[index] = -1
        self.dead.add(state)
        return False

    def _overflows(self, lowest: list[int], floor: int) -> bool:
        """Whether some moment's buffers, each as low as it may go, end above the capacity."""
        for alive in self.alive:
            end = 0
            for at, size in sorted((max(lowest[i], floor), self.sizes[i]) for i in alive if self.at[i] < 0):
                end = max(end, at) + size
            if end > self.capacity:
                return True
        return False


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
