"""What a product takes and how well it answers, in seven numbers: what a lock keeps and two builds are compared by."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

LARGEST = 1 << 53
"""Bound of every figure: what a program in another language reads exactly from JSON."""

Count = Annotated[int, Field(strict=True, ge=0, lt=LARGEST)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Microseconds = Annotated[float, Field(strict=True, ge=0, lt=LARGEST, allow_inf_nan=False)]


@dataclass(frozen=True)
class Totals:
    """Bytes of flash, RAM and stack; cycles and microseconds of the slowest inference; shares of right answers.

    `stack` is None where no bound is known, an accuracy where there are no labels or, as `float_accuracy`, where the
    model came quantized. Cycles and latency count every wait state.
    """

    flash: Count
    ram: Count
    stack: Count | None
    cycles: Count
    latency_us: Microseconds
    float_accuracy: Share | None
    accuracy: Share | None
