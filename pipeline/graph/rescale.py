"""The requantization from a layer's accumulator to its output, as a node holds it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rescale:
    """`kind` is one of the requantizers of `pipeline.arithmetic.fixedpoint`.

    `shift` (and `multiplier`, for that requantizer) name constant tensors of one entry per output channel.
    """

    shift: str
    multiplier: str | None
    zero_point: int
    low: int
    high: int
    kind: str = "multiplier"
