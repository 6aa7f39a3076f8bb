"""Errors as one line each: place, sentence, hint."""

import pytest

from pipeline.facts.errors import ChipfitError, ManyErrors, Place, did_you_mean


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ChipfitError("it is wrong"), "it is wrong."),
        (ChipfitError("it is wrong", place=Place("a.yaml")), "a.yaml: it is wrong."),
        (
            ChipfitError("it is wrong", place=Place("a.yaml", 7), hint="Mend it."),
            "a.yaml:7: it is wrong. Hint: Mend it.",
        ),
        (ChipfitError("line\nend", place="a\x1b"), "a\\x1b: line\\nend."),
    ],
)
def test_an_error_is_one_line(error: ChipfitError, line: str) -> None:
    assert str(error) == line


def test_several_errors_are_a_line_each() -> None:
    first, second = ChipfitError("one", place=Place("a", 1)), ChipfitError("two")
    both = ManyErrors([first, second])
    assert str(both) == "a:1: one.\ntwo." and both.message == "one; two" and both.errors == (first, second)


def test_the_closest_word_is_proposed_else_all() -> None:
    known = ["flash", "ram", "stack"]
    assert did_you_mean("flahs", known) == "Did you mean 'flash'?"
    assert did_you_mean("clock", known) == "Known: flash, ram, stack."
