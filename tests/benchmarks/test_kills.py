"""Builds that are killed, alone and two with one store: nothing is lost, and nothing wrong is believed."""

from pathlib import Path

import pytest
from kills import run


@pytest.mark.exhaustive
def test_kills_lose_and_poison_nothing(tmp_path: Path) -> None:
    counts = run(24, 1, tmp_path)
    assert counts["killed"] >= 24
    assert set(counts) <= {"killed", "ended before the kill"}, counts
