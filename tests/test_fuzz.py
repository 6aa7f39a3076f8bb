"""A bounded number of mutated model files: each builds or is refused in one sentence. `tests/fuzz.py` runs more."""

import pytest

pytest.importorskip("resource", reason="limits on memory exist on Unix alone")

from fuzz import run


def test_mutated_models_build_or_are_refused() -> None:
    counts, failures = run(600, 1)
    assert not failures
    assert any(k.endswith("built") for k in counts)


@pytest.mark.exhaustive
def test_many_mutated_models_build_or_are_refused() -> None:
    counts, failures = run(4000, 1000)
    assert not failures
    assert sum(counts.values()) == 4000
