"""Buffers that live at the same time never overlap, and the arena is near its lower bound."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.arena import Buffer, _first_fit, lower_bound, place


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    made = []
    for i in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, 8))
        made.append(Buffer(f"b{i}", draw(st.integers(1, 300)), first, first + draw(st.integers(0, 4))))
    return made


@settings(deadline=None)
@given(buffers())
def test_buffers_alive_together_do_not_overlap(given_buffers: list[Buffer]) -> None:
    placed = place(given_buffers)
    assert placed.size >= placed.lower_bound == lower_bound(given_buffers)
    for a in given_buffers:
        assert placed.offsets[a.name] % 4 == 0
        assert placed.offsets[a.name] + a.size <= placed.size
        for b in given_buffers:
            if a.name < b.name and a.meets(b):
                ends = placed.offsets[a.name] + a.size, placed.offsets[b.name] + b.size
                assert ends[0] <= placed.offsets[b.name] or ends[1] <= placed.offsets[a.name]


def test_a_chain_reaches_the_lower_bound() -> None:
    chain = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate((100, 400, 200, 40))]
    assert place(chain).size == lower_bound(chain) == 600


@settings(deadline=None)
@given(buffers().filter(lambda b: len(b) <= 6))
def test_small_plans_are_optimal(given_buffers: list[Buffer]) -> None:
    placed = place(given_buffers)
    best = min(_first_fit(order)[1] for order in permutations(given_buffers))
    assert placed.optimal
    assert placed.size <= best


def test_sixty_buffers_are_near_the_lower_bound() -> None:
    many = [Buffer(f"b{i}", 16 + 37 * i % 400, i // 2, i // 2 + 1 + i % 5) for i in range(60)]
    placed = place(many)
    assert placed.size <= 1.15 * placed.lower_bound


def test_no_buffers_need_no_arena() -> None:
    assert place([]).size == 0
