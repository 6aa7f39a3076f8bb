"""The line that says where results came from."""

import pytest

from stages.app.outcomes import origins


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"restored": 8, "shared": 12, "up to date": 6, "ran": 2},
         "28 stages: 20 restored, 12 of them from the shared store; 6 up to date; 2 ran\n"),
        ({"ran": 1}, "1 stage: 1 ran\n"),
        ({"failed": 1, "not run": 4, "restored": 2}, "7 stages: 2 restored; 1 failed; 4 not run\n"),
        ({}, ""),
    ],
)  # fmt: skip
def test_every_outcome_is_counted_once(counts: dict[str, int], line: str) -> None:
    assert origins(counts) == line
