"""Text of others in what chipfit writes: lengths, and what stays as it is. tests/test_hostile_names.py has the rest."""

import pytest

from pipeline.facts.text import MAX_NAME, in_comment, in_markdown, in_sentence, is_code, shortened, visible


@pytest.mark.parametrize("longest", [10, 31, MAX_NAME])
def test_a_long_text_loses_its_middle_and_never_exceeds_its_limit(longest: int) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(1000))
    short = shortened(text, longest)
    begin, _, end = short.partition("...")
    assert len(short) <= longest and text.startswith(begin) and text.endswith(end) and begin and end
    assert shortened(text[:longest], longest) == text[:longest]


def test_what_is_harmless_stays() -> None:
    plain = "conv1_relu.out [3x3] <= 7 & (a|b) ~c^d"
    assert in_comment(plain) == plain and is_code(plain)
    assert visible("Größe 3 µs, 漢字") == "Größe 3 µs, 漢字"
    assert in_markdown("layer 3: 7 cycles, snake_case") == "layer 3: 7 cycles, snake_case"


@pytest.mark.parametrize(("text", "shown"), [("a\nb", "a\\nb"), ("\u202ea", "\\u202ea"), ("\x1b[1m", "\\x1b[1m")])
def test_what_is_not_seen_is_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_sentence_shortens_words_and_keeps_their_number() -> None:
    sentence = in_sentence("the tensor " + "x" * 900 + " is wrong")
    assert sentence.startswith("the tensor xxx") and sentence.endswith("xxx is wrong")
    assert max(len(w) for w in sentence.split()) <= MAX_NAME


@pytest.mark.parametrize("text", ["a\\", "a\\9", "/*", "//", "??=", "\t", "é"])
def test_what_could_begin_or_end_a_comment_is_no_code(text: str) -> None:
    assert not is_code(text) and is_code(in_comment(text))


def test_an_escape_of_c_is_code() -> None:
    assert is_code('puts("a\\n");')
