"""The integer program: against brute force, shared code once, one plan for all that are as good."""

import itertools
import random

import pytest

from pipeline.planning.integer_program import Option, Point, Problem, SharedCode, combined
from pipeline.planning.variants import c_costs
from pipeline.planning.variants.armv6m.shared_routines import IM2COL

KERNELS = [SharedCode(k, c_costs.CODE[k]) for k in ("dense_shift", "conv2d_shift", "depthwise_shift")]
SHARED = (*KERNELS, SharedCode("im2col", IM2COL.code), SharedCode("im2col", IM2COL.code, IM2COL.code))


def options(rng: random.Random, calls: int) -> list[list[Option]]:
    def one(name: int) -> Option:
        shared = tuple(rng.sample(SHARED, rng.randint(0, 2)))
        wait_cycles, ram = rng.choice(((0, rng.randint(1, 900)), (rng.randint(0, 900), 0)))
        return Option(f"v{name}", rng.randint(1, 2000), rng.randint(10, 3000), 0, shared, None, wait_cycles, ram)

    return [[one(i) for i in range(rng.randint(1, 4))] for _ in range(calls)]


def every(problem: Problem) -> list[Point]:
    return [problem.point(chosen) for chosen in itertools.product(*(range(len(o)) for o in problem.options))]


@pytest.mark.parametrize("seed", range(12))
def test_the_choice_is_the_best_of_all_that_fit(seed: int) -> None:
    rng = random.Random(seed)
    problem = Problem(options(rng, rng.randint(1, 5)), free_ram=rng.choice((0, 600, 1500, 10_000)))
    points = [p for p in every(problem) if p.ram <= problem.free_ram]
    if points:
        for _ in range(4):
            assert_best(problem, points, rng)
    else:
        assert problem.least_flash() is None


def assert_best(problem: Problem, points: list[Point], rng: random.Random) -> None:
    flash = rng.randint(min(p.flash for p in points) - 100, max(p.flash for p in points) + 100)
    fitting = [p for p in points if p.flash <= flash]
    found = problem.fewest_cycles(flash)
    assert (found is None) == (not fitting)
    if found is not None:
        best = min(p.total for p in fitting)
        assert (found.total, found.flash) == (best, min(p.flash for p in fitting if p.total == best))
        assert found.ram <= problem.free_ram
        assert problem.canonical(found).total == best
    cycles = rng.randint(min(p.total for p in points), max(p.total for p in points))
    smallest = problem.least_flash(cycles)
    assert smallest is not None
    assert smallest.flash == min(p.flash for p in points if p.total <= cycles)


def test_shared_code_is_paid_once() -> None:
    one = [Option("c", 5, 100, 0, (KERNELS[0],), None)]
    single, double = Problem([one]).fewest_cycles(None), Problem([one, one]).fewest_cycles(None)
    assert single is not None and double is not None
    assert double.flash - single.flash < 100 + KERNELS[0].flash


def test_layers_that_are_alike_take_their_choices_in_order() -> None:
    """Which of two equal layers is the fast one changes neither cycles nor flash, so no solver need say the same."""
    one = [Option("c", 900, 100, 0, (), None), Option("fast", 100, 900, 0, (), None)]
    other = [Option("c", 700, 300, 0, (), None)]
    problem = Problem([one, other, one, one, one])
    found = problem.fewest_cycles(problem.point((0, 0, 0, 0, 0)).flash + 1600)
    assert found is not None
    for swapped in itertools.permutations((0, 0, 1, 1)):
        first, *rest = swapped
        point = problem.canonical(problem.point((first, 0, *rest)))
        assert (point.chosen, point.cycles, point.flash) == ((0, 0, 0, 1, 1), found.cycles, found.flash)


def test_plans_from_small_to_fast_never_get_slower() -> None:
    points = Problem(options(random.Random(3), 8), free_ram=2000).frontier()
    assert list(points) == sorted(points, key=lambda p: p.flash)
    assert [p.total for p in points] == sorted((p.total for p in points), reverse=True)


def test_an_option_that_spans_calls_is_taken_instead_of_theirs_where_it_is_faster() -> None:
    one = [Option("c", 900, 100, 0, (), None)]
    for cycles, chosen in ((1700, (1, -1, 0)), (1900, (0, 0, 0))):
        problem = Problem([[*one, Option("fused", cycles, 300, 0, (), None, span=2)], one, one])
        found = problem.fewest_cycles(None)
        assert found is not None and found.chosen == chosen
        assert [o is None for o in problem.chosen_options(found)] == [k < 0 for k in chosen]
        assert found.total == min(cycles, 1800) + 900


def test_several_options_are_summed_and_need_the_deepest_stack() -> None:
    both = combined([Option("a", 5, 10, 64, (KERNELS[0],), None, 1, 0), Option("b", 7, 20, 32, (), None, 2, 8)])
    assert (both.variant, both.cycles, both.flash, both.stack, both.wait_cycles, both.ram, both.shared) == (
        "a + b", 12, 30, 64, 3, 8, (),
    )  # fmt: skip
