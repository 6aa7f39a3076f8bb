"""What the verdict says of a build from a lock."""

from pathlib import Path

import pytest
from verdict_evidence import findings_of

from pipeline.judging.evidence import LockedLibrary


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return tmp_path / "p.yaml"


def test_a_locked_build_says_that_its_library_is_the_locked_one(product: Path) -> None:
    found = findings_of(product, "", library=LockedLibrary("p.lock.yaml", 12, ()))["lock"]
    assert found.passed
    assert found.sentence == "12 files of the library are, byte for byte, those of p.lock.yaml"


def test_another_library_fails(product: Path) -> None:
    found = findings_of(product, "", library=LockedLibrary("p.lock.yaml", 12, ("src/p.c", "src/q.c")))["lock"]
    assert (found.passed, found.measured, found.limit) == (False, 2, 0)
    assert found.sentence == "2 files of the library are not those of p.lock.yaml, first src/p.c"


def test_a_build_without_a_lock_says_nothing(product: Path) -> None:
    assert "lock" not in findings_of(product, "")
