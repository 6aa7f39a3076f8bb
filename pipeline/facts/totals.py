"""What a product takes and how well it answers, in seven numbers: what a lock keeps and two builds are compared by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Totals:
    """Bytes of flash, RAM and stack; cycles and microseconds of the slowest inference; shares of right answers.

    `stack` is None where no bound is known, an accuracy where there are no labels or, as `float_accuracy`, where the
    model came quantized. Cycles and latency count every wait state.
    """

    flash: int
    ram: int
    stack: int | None
    cycles: int
    latency_us: float
    float_accuracy: float | None
    accuracy: float | None
