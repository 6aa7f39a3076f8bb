"""Numbers with their units written out: sizes in bytes, frequencies in Hz, times as exact seconds, cycles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

SIZES: Mapping[str, int] = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2}
FREQUENCIES: Mapping[str, int] = {"Hz": 1, "kHz": 1000, "MHz": 10**6}
TIMES: Mapping[str, Fraction] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
}
RATIOS: Mapping[str, int] = {"dB": 1}
CYCLES: Mapping[str, int] = {"cycle": 1, "cycles": 1}
PERCENT: Mapping[str, Fraction] = {"%": Fraction(1, 100)}


def parse(text: object, units: Mapping[str, int] | Mapping[str, Fraction], example: str) -> Fraction:
    """`text` such as "100 KiB" as an exact number of the base unit; ValueError says what was expected."""
    matched = (
        re.fullmatch(r"\s*(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+|%)\s*", text) if isinstance(text, str) else None
    )
    if matched is None or matched[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"{text!r} is not a number with a unit, expected for example {example} (units: {known})")
    if matched[1].startswith("-"):
        raise ValueError(f"{text!r} is negative, expected for example {example}")
    return Fraction(matched[1]) * units[matched[2]]


def parse_integer(text: object, units: Mapping[str, int], example: str) -> int:
    """`text` such as "48 MHz" as an integer of the base unit (bytes, Hz, cycles); ValueError says what was expected."""
    value = parse(text, units, example)
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of the smallest unit, expected for example {example}")
    return int(value)


def show_exactly(value: Fraction | int, units: Mapping[str, int] | Mapping[str, Fraction]) -> str:
    """A number of the base unit as text that `parse` reads as the same number: 100 KiB, 48 MHz, 62500 B.

    The largest unit of which it is a whole number; a fraction of the smallest where it is of none.
    """
    factors = {name: Fraction(factor) for name, factor in units.items()}
    for name, factor in sorted(factors.items(), key=lambda x: -x[1]):
        if (Fraction(value) / factor).denominator == 1:
            return f"{Fraction(value) / factor} {name}"
    name, least = min(factors.items(), key=lambda x: x[1])
    return f"{Fraction(value) / least} {name}"


@dataclass(frozen=True)
class Allowance:
    """How much worse a figure may become: by `amount` in the base unit, or by that share of what it was."""

    text: str
    amount: Fraction
    is_share: bool

    def of(self, before: int) -> Fraction:
        """The allowance in the base unit, for a figure that was `before`."""
        return self.amount * before if self.is_share else self.amount


def parse_allowance(text: object, units: Mapping[str, int], example: str) -> Allowance:
    """`text` such as "1 %" or "256 B"; ValueError says what was expected."""
    amount = parse(text, {**{u: Fraction(f) for u, f in units.items()}, **PERCENT}, example)
    written = str(text).strip()
    return Allowance(written, amount, written.endswith("%"))


def show_size(count: int) -> str:
    """A number of bytes as text for people: 512 B, 2.3 KiB, 61.0 MiB."""
    for unit, factor in (("MiB", 1024**2), ("KiB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def show_time(seconds: Fraction | float) -> str:
    """A number of seconds as text for people: 357 us, 9.6 ms, 1.20 s."""
    value = float(seconds)
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= factor or unit == "us":
            scaled = value / factor
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.3g} {unit}"
    raise AssertionError
