"""Charts of the comparison page: where products lie, what stands beside them, and the front."""

from dataclasses import replace
from itertools import pairwise

from conftest import some
from test_comparison import product

from pipeline.judging.comparison import ComparedProduct, Comparison, comparison_file
from pipeline.judging.report.comparison_plot import HEIGHT, LEFT, WIDTH, Chart, accuracy_chart, latency_chart


def compared(*verdicts: object) -> tuple[ComparedProduct, ...]:
    return comparison_file(Comparison(verdicts)).products  # type: ignore[arg-type]


SMALL, MIDDLE, LARGE = product("small", 1024, 900, 0.8), product("mid", 2048, 950, 0.7), product("large", 4096, 90, 0.9)


def chart(*verdicts: object) -> Chart:
    found = latency_chart(compared(*verdicts))
    assert found is not None
    return found


def test_less_flash_is_further_left_and_less_latency_further_down() -> None:
    points = {p.lines[0].partition(" ")[0]: p for p in chart(SMALL, MIDDLE, LARGE).points}
    assert LEFT <= points["small"].x < points["mid"].x < points["large"].x < WIDTH
    assert points["mid"].y < points["small"].y < points["large"].y < HEIGHT
    accuracy = accuracy_chart(compared(SMALL, MIDDLE, LARGE))
    assert accuracy is not None
    heights = {p.lines[0].partition(" ")[0]: p.y for p in accuracy.points}
    assert heights["large"] < heights["small"] < heights["mid"]


def test_the_front_steps_through_the_best_of_both_figures_and_leaves_out_what_does_not_fit() -> None:
    drawn = chart(SMALL, MIDDLE, LARGE, product("misses", 100, 1, 1.0, fits=False))
    points = {p.lines[0].partition(" ")[0]: p for p in drawn.points}
    small, large = points["small"], points["large"]
    corners = [(small.x, small.y), (large.x, small.y), (large.x, large.y), (drawn.right, large.y)]
    assert drawn.front == " ".join(f"{x},{y}" for x, y in corners)
    assert not points["misses"].passed and not points["mid"].best


def test_products_of_the_same_figures_are_one_point_that_names_all() -> None:
    (point,) = chart(SMALL, replace(SMALL, product="other")).points
    assert len(point.lines) == 2 and point.label is not None and point.label.text == "small +1"
    assert "1.0 KiB, 900 us, 80.00 %" in point.lines[0]


def test_names_do_not_cover_each_other_and_of_many_products_only_the_best_are_named() -> None:
    many = [product(f"product_{i}", 1024 + 200 * i, 500.0 + 400 * i, 0.5) for i in range(50)]
    assert [p.label.text for p in chart(*many).points if p.label] == ["product_0"]
    few = [p.label for p in chart(*many[:9]).points if p.label]
    heights = sorted(label.y for label in some(few))
    assert len(few) == 9 and min(b - a for a, b in pairwise(heights)) >= 13


def test_without_a_measured_accuracy_there_is_no_second_chart() -> None:
    assert accuracy_chart(compared(product("a", 10, 10, None))) is None
    assert latency_chart(()) is None and accuracy_chart(()) is None
