"""Intervals of integers, and the proof that every intermediate of a kernel call stays in its C type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.facts.errors import ChipfitError
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import RequantizeParams
from pipeline.graph.tensor import Array

TYPES = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1)}


Integers = int | Array
"""A Python integer, or an array of them with one entry for each channel."""


@dataclass(frozen=True, eq=False)
class Interval:
    """An interval [low, high]."""

    low: Integers
    high: Integers

    def __add__(self, other: "Interval | Integers") -> "Interval":
        other = as_interval(other)
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: "Interval | Integers") -> "Interval":
        other = as_interval(other)
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, other: "Interval | Integers") -> "Interval":
        other = as_interval(other)
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(minimum(*ends), maximum(*ends))

    def __rshift__(self, shift: Integers) -> "Interval":
        return Interval(self.low >> shift, self.high >> shift)

    @property
    def ends(self) -> tuple[int, int]:
        """Least and largest value over all channels."""
        return int(np.min(self.low)), int(np.max(self.high))


@dataclass(frozen=True)
class IntermediateBound:
    """Bound of an intermediate: its name, its C type, and the least and largest value that it can take."""

    name: str
    ctype: str
    low: int
    high: int


class OverflowProof:
    """Proof for one kernel call: its intermediates by name, in the order in which the kernel computes them."""

    def __init__(self, call: KernelCall, inputs: Sequence[Interval]) -> None:
        self.call, self.inputs = call, inputs
        self.bounds: dict[str, IntermediateBound] = {}

    def check(self, name: str, value: Interval, ctype: str = "int32") -> Interval:
        """Record the bound of an intermediate, and return `value`; raises ChipfitError where it can leave its type."""
        low, high = value.ends
        self.bounds[name] = IntermediateBound(name, ctype, low, high)
        bottom, top = TYPES[ctype]
        if low < bottom or high > top:
            reached = low if low < bottom else high
            raise ChipfitError(
                f"{self.call.node}: {name} of kernel {self.call.kernel} can reach {reached}, beyond {ctype}",
                hint="Scales or zero points of this layer are extreme: calibrate or quantize it with wider ranges.",
            )
        return value

    def require(self, name: str, value: Integers, low: int, high: int) -> None:
        """Raise ChipfitError for a parameter outside [low, high], such as a shift."""
        ends = Interval(value, value).ends if np.size(value) else (low, low)
        if ends[0] < low or ends[1] > high:
            raise ChipfitError(f"{self.call.node}: {name} of kernel {self.call.kernel} is {ends}, not {low} to {high}")

    def clamp(self, value: Interval, low: int, high: int) -> None:
        """Check the differences that max_int32 and min_int32 compute when they clamp `value` to [low, high]."""
        self.check("value - low", value - low)
        self.check("value - high", Interval(maximum(value.low, low), maximum(value.high, low)) - high)

    def rescale(self, what: str, value: Interval, multiplier: Integers, exponent: Integers) -> Interval:
        """Interval of rescale.h's result for `value`; all of its steps are monotone. `what` names the value."""
        self.require("multiplier", multiplier, 0, 2**31 - 1)
        self.require("exponent", exponent, -31, 30)
        left, right = maximum(exponent, 0), maximum(-exponent, 0)
        wide = self.check(f"{what} << exponent", value * 2**left)
        high = (Interval(wide.low * multiplier, wide.high * multiplier) + 2**30) >> 31
        return Interval(_divide_by_pot(high.low, right), _divide_by_pot(high.high, right))

    def requantize(self, acc: Interval, requantize: RequantizeParams) -> None:
        """Check the steps of requantize_*.h on a 32-bit accumulator."""
        low, high = requantize.low, requantize.high
        if requantize.shift is not None:
            shift = flat(requantize.shift)
            self.require("shift", shift, 0, 31)
            self.clamp(acc >> shift, low, high)
            return
        zero_point = requantize.zero_point
        assert requantize.multiplier is not None and requantize.exponent is not None and zero_point is not None
        multiplier, exponent = flat(requantize.multiplier), flat(requantize.exponent)
        if self.call.requantizer != "once":
            value = self.rescale("acc", acc, multiplier, exponent)
        else:
            self.require("multiplier", multiplier, 0, 2**31 - 1)
            self.require("exponent", exponent, -31, 30)
            left, right = maximum(exponent, 0), maximum(-exponent, 0)
            wide = self.check("acc << exponent", acc * 2**left)
            half = np.where(right == 0, 2**30, 0).astype(object)
            floored = Interval((wide.low * multiplier + half) >> 31, (wide.high * multiplier + half) >> 31)
            value = self.check("floored + half", floored + (2**right >> 1)) >> right
        self.clamp(self.check("value + zero_point", value + zero_point), low, high)


def flat(table: Array) -> Array:
    """The numbers of `table` as Python integers, of which no sum or product wraps around, in one dimension."""
    return table.astype(object).reshape(-1)


def as_interval(value: "Interval | Integers") -> Interval:
    return value if isinstance(value, Interval) else Interval(value, value)


def minimum(first: Integers, *others: Integers) -> Integers:
    """Minimum of numbers or arrays, element by element."""
    for other in others:
        arrays = isinstance(first, np.ndarray) or isinstance(other, np.ndarray)
        first = np.minimum(first, other) if arrays else min(first, other)
    return first


def maximum(first: Integers, *others: Integers) -> Integers:
    """Maximum of numbers or arrays, element by element."""
    return -minimum(-first, *(-o for o in others))


def _divide_by_pot(high: Integers, right: Integers) -> Integers:
    mask = 2**right - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0)) * 1
