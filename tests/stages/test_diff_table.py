"""The tables of `chipfit diff`: whatever a name is, a terminal shows it and nothing else happens."""

import pytest
from two_builds import layers, snapshot, symbols

from pipeline.judging.differences import compare
from pipeline.judging.differences.wording import MAX_ROWS
from stages.app.diff_table import print_differences

HOSTILE = "[red]x[/red]\x1b[2J\u202e\n| a"


def test_hostile_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    old = snapshot(layers=layers((HOSTILE, HOSTILE, 9, 9)), symbols=symbols(**{HOSTILE: 5}))
    new = snapshot(layers=(), symbols=(), settings={HOSTILE: HOSTILE}, cycles=1, verdict=HOSTILE)
    side = {HOSTILE: old, "broken": HOSTILE}
    print_differences(compare(HOSTILE, side, HOSTILE, {HOSTILE: new}))
    text = capsys.readouterr().out
    assert not set(text) & {"\x1b", "\u202e"}
    assert text.count("[red]x[/red]") > 5 and r"\x1b[2J" in text


def test_long_tables_are_cut_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    many = tuple(x for n in range(MAX_ROWS + 5) for x in layers((f"l{n}", "packed", n + 1, 0)))
    print_differences(compare("a", {"p": snapshot(layers=many)}, "b", {"p": snapshot(layers=())}))
    text = capsys.readouterr().out
    assert text.count("packed → not there") == MAX_ROWS and "5 more, which --json has\n" in text


def test_nothing_to_compare_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_differences(compare("a", {}, "b", {}))
    assert capsys.readouterr().out == "a → b\nno products\n"
