"""Buffers that live at the same time never overlap, and the arena is near its lower bound."""

import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.planning.arena import Buffer, _first_fit, allocate, lower_bound


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    drawn = []
    for i in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, 8))
        drawn.append(Buffer(f"b{i}", draw(st.integers(1, 300)), first, first + draw(st.integers(0, 4))))
    return drawn


@settings(deadline=None)
@given(buffers())
def test_buffers_alive_together_do_not_overlap(given_buffers: list[Buffer]) -> None:
    placed = allocate(given_buffers)
    assert placed.size >= placed.lower_bound == lower_bound(given_buffers)
    for a in given_buffers:
        assert placed.offsets[a.name] % 4 == 0
        assert placed.offsets[a.name] + a.size <= placed.size
        for b in given_buffers:
            if a.name < b.name and a.lifetimes_overlap(b):
                ends = placed.offsets[a.name] + a.size, placed.offsets[b.name] + b.size
                assert ends[0] <= placed.offsets[b.name] or ends[1] <= placed.offsets[a.name]


def test_a_chain_reaches_the_lower_bound() -> None:
    chain = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate((100, 400, 200, 40))]
    assert allocate(chain).size == lower_bound(chain) == 600


@settings(deadline=None)
@given(buffers().filter(lambda b: len(b) <= 6))
def test_small_plans_are_optimal(given_buffers: list[Buffer]) -> None:
    placed = allocate(given_buffers)
    best = min(_first_fit(order)[1] for order in permutations(given_buffers))
    assert placed.optimal
    assert placed.size <= best


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("life", [6, 40])
def test_sixty_buffers_are_proven_optimal(life: int, seed: int) -> None:
    rng = random.Random(seed)
    firsts = [rng.randrange(30) for _ in range(60)]
    many = [Buffer(f"b{i}", rng.randrange(1, 1200), f, f + rng.randrange(life)) for i, f in enumerate(firsts)]
    assert allocate(many).optimal


KNOT = [
    Buffer(f"b{i}", 4 * size, first, last)
    for i, (size, first, last) in enumerate(
        [(1, 1, 3), (4, 2, 4), (1, 2, 4), (1, 3, 4), (3, 1, 2), (4, 0, 1), (3, 5, 5), (1, 2, 3), (3, 5, 5), (4, 4, 5),
         (2, 0, 1)]
    )
]  # fmt: skip
"""No plan of these reaches the lower bound, which is rare: one in a million random sets of this size."""


def fits(capacity: int, left: list[Buffer], placed: list[tuple[int, Buffer]]) -> bool:
    """Whether some order by address fits, by trying them all."""
    floor = placed[-1][0] if placed else 0
    for buffer in left:
        at = max((o + b.size for o, b in placed if b.lifetimes_overlap(buffer)), default=0)
        if floor <= at <= capacity - buffer.size and fits(
            capacity, [b for b in left if b is not buffer], [*placed, (at, buffer)]
        ):
            return True
    return not left


def test_what_cannot_reach_the_lower_bound_is_proven_too() -> None:
    placed = allocate(KNOT)
    assert placed.optimal
    assert placed.size > placed.lower_bound
    assert fits(placed.size, KNOT, [])
    assert not fits(placed.size - 4, KNOT, [])


def test_a_search_cut_short_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.planning.arena.SEARCH_LIMIT", 0)
    placed = allocate(KNOT)
    assert placed.size > placed.lower_bound
    assert not placed.optimal


def test_no_buffers_need_no_arena() -> None:
    assert allocate([]).size == 0
