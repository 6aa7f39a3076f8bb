"""What calibration decides, in texts that are exact and short: what a lock keeps, so that nothing is calibrated again.

Calibration sums floats, and their last bits differ between processors; whoever takes its decisions from here need not
make them. All else in an integer network follows from these, the model file and the settings.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, ldexp
from typing import Annotated

from pydantic import ConfigDict, Field

from pipeline.facts.errors import ChipfitError

_SCALE = r"[1-9][0-9]{0,39}(/2\^[1-9][0-9]{0,3})?"
_NUMBERS = r"-?[0-9]{1,16}( -?[0-9]{1,16})*"
_CHECKED = ConfigDict(extra="forbid")

ExactScale = Annotated[str, Field(pattern=f"^{_SCALE}$")]
"""A positive float as `mantissa/2^k`: scales are rounded to 12 bits, so that this is shorter than its decimals."""
ExactScales = Annotated[str, Field(pattern=f"^{_SCALE}( {_SCALE})*$")]
"""Scales of each channel, or the one that all have."""
Integers = Annotated[str, Field(pattern=f"^{_NUMBERS}$")]
"""Integers of each channel, or the one that all have."""
ShortDigest = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Float32 = Annotated[float, Field(ge=-3.4028235e38, le=3.4028235e38, allow_inf_nan=False)]
Base64 = Annotated[str, Field(pattern="^[A-Za-z0-9+/=\n]*$")]


@dataclass(frozen=True)
class ActivationDecision:
    """Scale and zero point of a tensor, and the least and largest value that calibration data gave it (float32)."""

    __pydantic_config__ = _CHECKED

    scale: ExactScale
    zero_point: Annotated[int, Field(ge=-(1 << 15), lt=1 << 15)]
    low: Float32
    high: Float32


@dataclass(frozen=True)
class LayerDecision:
    """Requantizer of a layer with weights, and a digest of all its integers.

    `shift` is there where that is the requantizer. Weights of less than eight bits are fitted to calibration data, so
    that their layer has more: `scales` (where `shift` does not say them), `bias`, and `rounding`: a bit for each
    weight, set where its integer is the farther of its two neighbours (base64, the first weight in the highest bit).
    Channels `constant` have no weights. `changed` are the fields of ChangedChannels.
    """

    __pydantic_config__ = _CHECKED

    requantizer: Annotated[str, Field(pattern="^[a-z]{1,20}$")]
    integers: ShortDigest
    shift: Integers | None = None
    scales: ExactScales | None = None
    bias: Integers | None = None
    rounding: Base64 | None = None
    constant: Integers | None = None
    changed: tuple[int, int, int, Annotated[float, Field(allow_inf_nan=False)], int] | None = None


@dataclass(frozen=True)
class Decisions:
    """By the names of tensors and layers in the float network."""

    __pydantic_config__ = _CHECKED

    activations: Mapping[str, ActivationDecision]
    layers: Mapping[str, LayerDecision]


def exact_scale(value: float) -> str:
    """A positive finite float, exactly, as `mantissa/2^k`."""
    numerator, denominator = value.as_integer_ratio()
    return str(numerator) if denominator == 1 else f"{numerator}/2^{denominator.bit_length() - 1}"


def scale_of(text: str) -> float:
    """The float of `exact_scale`; raises ValueError for what no float is."""
    matched = re.fullmatch(r"([0-9]+)(?:/2\^([0-9]+))?", text)
    if matched is None:
        raise ValueError(f"{text!r} is no mantissa/2^k")
    value = ldexp(int(matched[1]), -int(matched[2] or 0))
    if not value or not isfinite(value):
        raise ValueError(f"{text!r} is beyond the range of a float")
    return value


def in_one_text(values: Sequence[object]) -> str:
    """Values of each channel, parted by spaces: one alone where all are the same."""
    texts = [str(v) for v in values]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def of_each_channel(text: str, channels: int, what: str) -> list[str]:
    """The texts of `in_one_text` for so many channels; raises ChipfitError where there are others."""
    texts = text.split()
    if len(texts) not in (1, channels):
        raise ChipfitError(f"{what} has {len(texts)} values, the layer has {channels} channels")
    return texts * channels if len(texts) == 1 else texts
