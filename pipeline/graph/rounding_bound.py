"""Upper bounds on the error of an integer node against the real value that it stands for, as operators state them."""

from dataclasses import dataclass
from math import inf

from pipeline.graph.tensor import Array, QuantParams

ULP = 2.0**-24
"""Half a unit in the last place of a float32, relative."""


@dataclass(frozen=True, eq=False)
class RoundingBound:
    """Upper bounds in steps of the output; arrays have one entry for each index of the last axis.

    `slack`: besides the last rounding, which adds at most half a step; infinite where nothing is proven.
    `gain`: by how many steps one step of any input moves the output at most.
    `floats`: how far a float32 evaluation of the same layer may be off.
    """

    slack: Array | float = inf
    gain: float = inf
    floats: Array | float = 0.0


def precision(quant: QuantParams) -> float:
    """The error of a few float32 operations on a tensor's real values, in its steps."""
    return 16 * ULP * (quant.limits[1] - quant.limits[0] + 1)
