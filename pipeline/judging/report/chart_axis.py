"""Axes of a chart: a range that ends at round numbers, linear or logarithmic, and its ticks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

_ROUND = (1, 2, 5)
_MOST_TICKS = 7
_WIDE = 20
"""Between values that far apart a linear axis would press most points into one corner."""


@dataclass(frozen=True)
class Axis:
    """A range of values, and where in it round numbers lie."""

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where `value` lies between both ends, 0 to 1."""
        scale: Callable[[float], float] = log10 if self.logarithmic else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


def is_wide(values: Sequence[float]) -> bool:
    """Whether the values are so far apart that only a logarithmic axis shows them all."""
    return min(values) > 0 and max(values) / min(values) > _WIDE


def linear_axis(values: Sequence[float], most: float | None = None) -> Axis:
    """An axis that holds all values between multiples of a round step; none of its ends is above `most`."""
    low, high = min(values), max(values)
    step = _round_step(max((high - low) / (_MOST_TICKS - 1), abs(high) / 1e6, 1e-6))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    if low >= 0:
        first = max(first, 0)
    if most is not None and last * step > most + 1e-9:
        last = floor(most / step + 1e-9)
        first = min(first, last - 1)
    ticks = tuple(round(n * step, 10) for n in range(first, last + 1))
    return Axis(ticks[0], max(ticks[-1], high), False, ticks)


def logarithmic_axis(values: Sequence[float]) -> Axis:
    """An axis that holds all values, which are above 0, between two of 1, 2, 5, 10, 20 and so on."""
    decades = range(floor(log10(min(values))) - 1, ceil(log10(max(values))) + 2)
    marks = [float(f"{n}e{e}") for e in decades for n in _ROUND]
    below = [m for m in marks if m <= min(values)][-1:]
    above = [m for m in marks if m >= max(values)]
    end = next((m for m in above if m > below[0]), above[-1])
    inside = tuple(m for m in marks if below[0] <= m <= end)
    decade = tuple(m for m in inside if f"{m:e}".startswith("1.0"))
    return Axis(below[0], end, True, inside if len(inside) <= _MOST_TICKS else decade)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 and so on that is at least `least`."""
    exponent = floor(log10(least))
    return next(s for e in (exponent, exponent + 1) for n in _ROUND if (s := float(f"{n}e{e}")) >= least * (1 - 1e-9))
