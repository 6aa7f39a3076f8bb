"""Numbers with units: exact whatever their decimals, refused with what was expected."""

from fractions import Fraction

import pytest

from pipeline.facts.units import (
    CYCLES,
    FREQUENCIES,
    SIZES,
    TIMES,
    parse,
    parse_allowance,
    parse_integer,
    show_exactly,
    show_size,
    show_time,
)


def test_decimals_are_exact_in_the_base_unit() -> None:
    assert parse("0.1 us", TIMES, "1 ms") == Fraction(1, 10**7)
    assert parse_integer(" 2.5KiB ", SIZES, "8 KiB") == 2560
    assert parse_integer("16.000001 MHz", FREQUENCIES, "48 MHz") == 16_000_001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.3 B", "is not a whole number of the smallest unit"),
        ("-1 KiB", "is negative"),
        ("100", "is not a number with a unit"),
        ("1e3 B", "is not a number with a unit"),
        ("1 kb", "is not a number with a unit"),
        (100, "is not a number with a unit"),
    ],
)
def test_anything_else_is_refused_with_an_example(text: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        parse_integer(text, SIZES, "8 KiB")
    assert "expected for example 8 KiB" in str(refused.value)


def test_people_read_the_largest_unit_that_is_reached() -> None:
    assert [show_size(n) for n in (0, 1023, 1024, 1024**2 - 1, 1024**2)] == [
        "0 B", "1023 B", "1.0 KiB", "1024.0 KiB", "1.0 MiB"
    ]  # fmt: skip
    assert [show_time(t) for t in (3.57e-4, 9.6e-3, 1.2, Fraction(1, 10**8))] == [
        "357 us",
        "9.6 ms",
        "1.2 s",
        "0.01 us",
    ]


def test_what_is_shown_exactly_reads_as_the_same_number() -> None:
    assert show_exactly(102_400, SIZES) == "100 KiB" and show_exactly(48_000_000, FREQUENCIES) == "48 MHz"
    assert show_exactly(Fraction(1, 10_000), TIMES) == "100 us" and show_exactly(1, CYCLES) == "1 cycle"
    assert show_exactly(Fraction(1, 3 * 10**9), TIMES) == "1/3 ns"
    for count in (0, 1, 1000, 1023, 1024, 1500, 1 << 20, 10**6, 123_456_789):
        assert parse(show_exactly(count, SIZES), SIZES, "8 KiB") == count
        assert parse(show_exactly(count, FREQUENCIES), FREQUENCIES, "1 MHz") == count


def test_allowances_are_a_share_or_absolute() -> None:
    assert parse_allowance("1 %", CYCLES, "1 %").of(3964) == Fraction(3964, 100)
    assert parse_allowance("0.5%", {}, "0.5 %").amount == Fraction(1, 200)
    assert parse_allowance(" 1 KiB ", SIZES, "256 B").of(10**6) == 1024
    for wrong in ("1", "-1 %", "1 % %", "1 dB", 1, None):
        with pytest.raises(ValueError, match="expected for example 256 B"):
            parse_allowance(wrong, SIZES, "256 B")
