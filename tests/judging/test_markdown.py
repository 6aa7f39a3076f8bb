"""Markdown of a comparison: folded where something changed, a line where nothing did, no name means anything else."""

import re

from two_builds import layers, snapshot, symbols

from pipeline.judging.differences import compare
from pipeline.judging.differences.markdown import MAX_CHARACTERS, render_differences
from pipeline.judging.differences.wording import MAX_ROWS

HOSTILE = "</summary></details><script>| a |\n\n# x ![i](http://evil) @you #1 `c` \x1b[31m\u202e"


def test_a_product_that_did_not_change_has_one_line() -> None:
    text = render_differences(compare("HEAD", {"p": snapshot()}, "working tree", {"p": snapshot()}))
    assert text == "### chipfit: HEAD → working tree\n\nno change: p\n"
    assert render_differences(compare("a", {}, "b", {})) == "### chipfit: a → b\n\nno products\n"


def test_hostile_names_mean_only_themselves() -> None:
    old = snapshot(layers=layers((HOSTILE, HOSTILE, 9, 9)), symbols=symbols(**{HOSTILE: 5}))
    new = snapshot(layers=(), symbols=(), settings={HOSTILE: HOSTILE}, cycles=1, verdict=HOSTILE)
    side = {HOSTILE: old, "broken": "no model", "gone": snapshot()}
    text = render_differences(compare(HOSTILE, side, HOSTILE, {HOSTILE: new, "broken": HOSTILE}))
    assert re.findall(r"<[^>]*>", text) == ["<details>", "<summary>", "<b>", "</b>", "</summary>", "</details>"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e`@!\[\]]", text)
    assert not [x for x in text.splitlines() if x.startswith("#") and not x.startswith("### chipfit: ")]
    tables = [x for x in text.splitlines() if x.startswith("|")]
    assert {x.count("|") for x in tables} <= {5, 6}, "a cell has a border of its own"
    assert "http://" not in text


def test_long_tables_are_cut_and_say_so() -> None:
    many = tuple(x for n in range(MAX_ROWS + 5) for x in layers((f"l{n}", "packed", n + 1, 0)))
    text = render_differences(compare("a", {"p": snapshot(layers=many)}, "b", {"p": snapshot(layers=())}))
    assert text.count("| packed → not there |") == MAX_ROWS
    assert "\n5 more, which `--json` has\n" in text


def test_a_comment_is_never_longer_than_one_may_be() -> None:
    old = {f"p{n}": snapshot() for n in range(200)}
    new = {name: snapshot(cycles=n) for n, name in enumerate(old)}
    text = render_differences(compare("a", old, "b", new))
    assert len(text) <= MAX_CHARACTERS and "<details>" not in text
    assert text.count("**: cycles ") == 200 and text.endswith("`--product` shows one.\n")
