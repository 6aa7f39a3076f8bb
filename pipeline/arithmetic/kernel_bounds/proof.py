"""Intervals of integers, and the proof that every intermediate of a kernel call stays in its C type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import RequantizeParams
from pipeline.graph.tensor import Array

TYPES = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1)}


@dataclass(frozen=True, eq=False)
class Interval:
    """Python integers from `low` to `high`, or arrays of them, one for each channel."""

    low: Any
    high: Any

    def __add__(self, other: "Interval | Array | int") -> "Interval":
        other = as_interval(other)
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: "Interval | Array | int") -> "Interval":
        other = as_interval(other)
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, other: "Interval | Array | int") -> "Interval":
        other = as_interval(other)
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(least(*ends), most(*ends))

    def __rshift__(self, shift: Any) -> "Interval":
        return Interval(self.low >> shift, self.high >> shift)

    @property
    def ends(self) -> tuple[int, int]:
        """Over all channels."""
        return int(np.min(self.low)), int(np.max(self.high))


@dataclass(frozen=True)
class Bound:
    """One intermediate: what it is, its C type, and the least and largest value that it can take."""

    name: str
    ctype: str
    low: int
    high: int


class Proof:
    """The intermediates of one call, in the order in which its kernel computes them."""

    def __init__(self, call: KernelCall, inputs: Sequence[Interval]) -> None:
        self.call, self.inputs = call, inputs
        self.bounds: dict[str, Bound] = {}

    def keep(self, name: str, value: Interval, ctype: str = "int32") -> Interval:
        """Bound an intermediate; raises ChipfitError when it can leave its type."""
        low, high = value.ends
        self.bounds[name] = Bound(name, ctype, low, high)
        bottom, top = TYPES[ctype]
        if low < bottom or high > top:
            reached = low if low < bottom else high
            raise ChipfitError(
                f"{self.call.node}: {name} of kernel {self.call.kernel} can reach {reached}, beyond {ctype}",
                hint="Scales or zero points of this layer are extreme: calibrate or quantize it with wider ranges.",
            )
        return value

    def need(self, name: str, value: Any, low: int, high: int) -> None:
        """A parameter that must lie in [low, high], such as a shift."""
        ends = Interval(value, value).ends if np.size(value) else (low, low)
        if ends[0] < low or ends[1] > high:
            raise ChipfitError(f"{self.call.node}: {name} of kernel {self.call.kernel} is {ends}, not {low} to {high}")

    def clamp(self, value: Interval, low: int, high: int) -> None:
        """max_int32 and min_int32 subtract."""
        self.keep("value - low", value - low)
        self.keep("value - high", Interval(most(value.low, low), most(value.high, low)) - high)

    def rescale(self, what: str, value: Interval, multiplier: Any, exponent: Any) -> Interval:
        """rescale.h, whose steps all rise with the value."""
        self.need("multiplier", multiplier, 0, 2**31 - 1)
        self.need("exponent", exponent, -31, 30)
        left, right = most(exponent, 0), most(-exponent, 0)
        wide = self.keep(f"{what} << exponent", value * 2**left)
        ends = [_divided((e * multiplier + 2**30) >> 31, right) for e in (wide.low, wide.high)]
        return Interval(*ends)

    def requantized(self, acc: Interval, requantize: RequantizeParams) -> None:
        """requantize_*.h: what becomes of a 32-bit accumulator."""
        low, high = requantize.low, requantize.high
        if requantize.shift is not None:
            shift = flat(requantize.shift)
            self.need("shift", shift, 0, 31)
            self.clamp(acc >> shift, low, high)
            return
        zero_point = requantize.zero_point
        assert requantize.multiplier is not None and requantize.exponent is not None and zero_point is not None
        multiplier, exponent = flat(requantize.multiplier), flat(requantize.exponent)
        if not self.call.kernel.endswith("once"):
            value = self.rescale("acc", acc, multiplier, exponent)
        else:
            self.need("multiplier", multiplier, 0, 2**31 - 1)
            self.need("exponent", exponent, -31, 30)
            left, right = most(exponent, 0), most(-exponent, 0)
            wide = self.keep("acc << exponent", acc * 2**left)
            half = np.where(right == 0, 2**30, 0).astype(object)
            floored = Interval((wide.low * multiplier + half) >> 31, (wide.high * multiplier + half) >> 31)
            value = self.keep("floored + half", floored + (2**right >> 1)) >> right
        self.clamp(self.keep("value + zero_point", value + zero_point), low, high)


def flat(table: Array) -> Array:
    """Its numbers as Python integers, which no sum or product makes wrap around."""
    return table.astype(object).reshape(-1)


def as_interval(value: "Interval | Array | int") -> Interval:
    return value if isinstance(value, Interval) else Interval(value, value)


def least(first: Any, *others: Any) -> Any:
    """Element by element."""
    for other in others:
        arrays = isinstance(first, np.ndarray) or isinstance(other, np.ndarray)
        first = np.minimum(first, other) if arrays else min(first, other)
    return first


def most(first: Any, *others: Any) -> Any:
    """Element by element."""
    return -least(-first, *(-o for o in others))


def _divided(high: Any, right: Any) -> Any:
    mask = 2**right - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0)) * 1
