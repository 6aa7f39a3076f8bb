"""The summary of a CI job: what fails comes first, every name is only text, and it stays below GitHub's 1 MiB."""

from dataclasses import replace

from conftest import some
from test_comparison import FITS, product
from test_comparison_page import EVIL
from test_junit import EVERYTHING, EXACT, FLASH

from pipeline.judging.comparison import Comparison, Unfinished
from pipeline.judging.report.job_summary import render_summary


def test_what_fails_comes_first_and_says_by_how_much() -> None:
    misses = replace(product("z", 2048, 90, 0.9, fits=False), findings=(FLASH, EXACT))
    lines = render_summary(Comparison((FITS, misses), (Unfinished("c", ("c.yaml:1: wrong.",)),))).splitlines()
    assert lines[0] == "### chipfit: 1 of 3 products fit"
    assert lines[4].startswith("| z | chip | 2.0 KiB of 9.8 KiB |") and lines[4].endswith("| **FAIL** does not fit |")
    assert lines[5].startswith("| net |") and lines[5].endswith("| fits |")
    assert lines[7:] == [
        "- c: c.yaml&#58;1: wrong.",
        "- z: budget.flash: needs 2.0 KiB, limit 1.0 KiB. Hint: Prune it.",
    ]


def test_of_one_product_that_fits_there_is_nothing_below_the_table() -> None:
    lines = render_summary(Comparison((FITS,))).splitlines()
    assert lines[0] == "### chipfit: 1 of 1 product fit" and len(lines) == 5


def test_names_are_only_text() -> None:
    text = render_summary(
        Comparison((*EVERYTHING.verdicts, replace(FITS, product=EVIL, chip=EVIL)), EVERYTHING.unfinished)
    )
    for line in some(text.splitlines()):
        assert "<" not in line and "\u202e" not in line and "\x1b" not in line
        assert not line.startswith("|") or line.count("|") == 10


def test_it_stays_below_what_github_shows() -> None:
    long = replace(FLASH, sentence="*" * 5000)
    verdicts = [replace(product(f"p{i:04}" + "x" * 35, 1, 1, 0.5, fits=False), findings=(long,)) for i in range(2000)]
    text = render_summary(Comparison(tuple(verdicts)))
    assert len(text.encode()) < 1 << 20 and "and 1500 more products" in text and "and 1800 more lines" in text
