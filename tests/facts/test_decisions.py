"""Decisions in short, exact texts: each float comes back as it was."""

import math
import random

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.facts.decisions import ActivationDecision, exact_scale, in_one_text, of_each_channel, scale_of
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_plain, to_plain


def test_a_scale_is_a_short_mantissa_over_a_power_of_two() -> None:
    assert exact_scale(0.018745422363281250) == "2457/2^17"
    assert exact_scale(1.0) == "1" and exact_scale(0.5) == "1/2^1" and exact_scale(96.0) == "96"


def test_every_float_comes_back() -> None:
    rng = random.Random(0)
    floats = [math.ldexp(rng.random() + 1e-9, rng.randint(-126, 127)) for _ in range(2000)]
    assert all(scale_of(exact_scale(f)) == f for f in [*floats, 2.0**-126, 2.0**127, 1 / 3])


@pytest.mark.parametrize("text", ["", "1/3", "-1/2^3", "1e5", "1/2^-3", "0", "1/2^5000", "x"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no mantissa|is beyond"):
        scale_of(text)


def test_equal_values_of_all_channels_are_written_once() -> None:
    assert in_one_text([7, 7, 7]) == "7" and in_one_text([7, 8]) == "7 8"
    assert of_each_channel("7", 3, "shift") == ["7", "7", "7"] and of_each_channel("7 8", 2, "shift") == ["7", "8"]
    with pytest.raises(ChipfitError, match="shift has 2 values, the layer has 3 channels"):
        of_each_channel("7 8", 3, "shift")


@pytest.mark.parametrize(
    "change", [{"scale": "0.5"}, {"zero_point": 1 << 20}, {"low": float("nan")}, {"high": 1e39}, {"more": 1}]
)
def test_the_form_of_a_decision_is_checked(change: dict[str, object]) -> None:
    good = {"scale": "3/2^7", "zero_point": -5, "low": -1.0, "high": 1.0}
    checked = TypeAdapter(ActivationDecision)
    assert to_plain(checked.validate_python(good)) == good
    assert from_plain(ActivationDecision, good) == ActivationDecision(**good)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        checked.validate_python(good | change)
