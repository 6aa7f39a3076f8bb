"""Products by patterns of names."""

import pytest

from pipeline.facts.config import Loaded
from pipeline.facts.errors import ChipfitError
from stages.app.selection import selected

LOADED: list[Loaded] = [(n, ChipfitError(n)) for n in ("touch_rp2040", "touch_m0", "digits_m0")]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], ["touch_rp2040", "touch_m0", "digits_m0"]),
        (["touch_*"], ["touch_rp2040", "touch_m0"]),
        (["digits_m0", "*_rp2040"], ["touch_rp2040", "digits_m0"]),
        (["touch_m0"], ["touch_m0"]),
        (["*"], ["touch_rp2040", "touch_m0", "digits_m0"]),
    ],
)
def test_a_product_is_taken_when_a_pattern_matches_its_name(patterns: list[str], names: list[str]) -> None:
    assert [name for name, _ in selected(LOADED, patterns)] == names


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ChipfitError, match=r"--only touch_m1: no product .* Did you mean 'touch_m0'"):
        selected(LOADED, ["touch_*", "touch_m1"])
    with pytest.raises(ChipfitError, match="no product has such a name"):
        selected([], ["*"])
