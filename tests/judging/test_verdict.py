"""The verdict in words: budgets first, then correctness."""

import pytest

from pipeline.judging.verdict import Finding, verdict_of

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
