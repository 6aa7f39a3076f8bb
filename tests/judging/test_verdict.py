"""The verdict in words: budgets first, then correctness."""

import pytest
from test_page import VERDICT

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import json_bytes
from pipeline.judging.verdict import Finding, read_verdict, verdict_of

PASSED = Finding("flash", True, budget=True, measured=1, limit=2, sentence="")
TOO_LARGE = Finding("flash", False, budget=True, measured=3, limit=2, sentence="")
WRONG = Finding("bit-exact", False, measured=1, limit=0, sentence="")


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([], "fits"),
        ([PASSED, PASSED], "fits"),
        ([PASSED, TOO_LARGE], "does not fit"),
        ([PASSED, WRONG], "check failed"),
        ([WRONG, TOO_LARGE], "does not fit"),
    ],
)
def test_a_missed_budget_comes_before_any_other_miss(findings: list[Finding], words: str) -> None:
    assert verdict_of(findings) == words


def test_a_verdict_is_read_once_whoever_asks_and_another_is_another() -> None:
    data = json_bytes(VERDICT)
    assert read_verdict(data) == VERDICT and read_verdict(bytes(bytearray(data))) is read_verdict(data)
    assert read_verdict(data.replace(b'"does not fit"', b'"else"')).verdict == "else"
    for _ in range(2):
        with pytest.raises(ChipfitError, match="is damaged"):
            read_verdict(data[:-3])
