"""Products side by side: which of them no other beats, and what index.json says of each."""

from dataclasses import replace

from test_page import VERDICT

from pipeline.facts.records import from_json, json_bytes
from pipeline.judging.comparison import Comparison, ComparisonFile, Unfinished, beats, best_products, comparison_file
from pipeline.judging.verdict import Finding, Used, Verdict

FITS = replace(VERDICT, passed=True, verdict="fits", model="net.onnx", weights="int5", activations="int8", policy="mse")


def product(name: str, flash: int, us: float, accuracy: float | None, fits: bool = True) -> Verdict:
    verdict = replace(FITS, product=name, flash=Used(flash, 9999), latency_us=us, passed=fits)
    verdict = replace(verdict, verdict="fits" if fits else "does not fit")
    return replace(verdict, accuracy=replace(FITS.accuracy, integer=accuracy))


def test_one_beats_another_that_is_nowhere_better_and_somewhere_worse() -> None:
    assert beats((1, 2, 3), (1, 2, 4)) and beats((0, 0, 0), (1, 1, 1))
    assert not beats((1, 2, 3), (1, 2, 3)) and not beats((0, 5), (1, 4))


def test_the_best_are_those_that_fit_and_that_no_other_beats_in_all_three() -> None:
    small, fast, right = product("small", 100, 90, 0.8), product("fast", 200, 10, 0.8), product("right", 300, 90, 0.9)
    same, worse, unknown = (
        replace(small, product="same"),
        product("worse", 300, 90, 0.8),
        product("unknown", 100, 90, None),
    )
    misses = product("misses", 1, 1, 1.0, fits=False)
    assert best_products([small, fast, right, same, worse, unknown, misses]) == {"small", "fast", "right", "same"}
    assert best_products([unknown]) == {"unknown"} and best_products([misses]) == set() == best_products([])


def test_the_file_has_every_product_and_of_its_rules_those_that_are_missed() -> None:
    findings = (
        Finding("budget.ram", True, 1, 2, "uses", budget=True),
        Finding("accuracy", False, 0.8, 0.9, "has", "Try."),
    )
    file = comparison_file(Comparison((replace(FITS, findings=findings),), (Unfinished("cut", ("why",)),), ("old",)))
    (row,) = file.products
    assert (row.product, row.report, row.weights, row.best) == ("net", "net/report/index.html", "int5", True)
    assert [(m.rule, m.measured, m.limit, m.hint) for m in row.missed] == [("accuracy", 0.8, 0.9, "Try.")]
    assert (file.unfinished, file.left_out) == (("cut",), ("old",))
    assert from_json(ComparisonFile, json_bytes(file), "index.json") == file
