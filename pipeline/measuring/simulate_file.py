"""simulate.json: what the emulated chip did with the library."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunCycles:
    """Of one inference: the fewest seen, the most that there can be, those of the slowest with no wait states.

    `overhead`: those of the most that are of no layer.
    """

    min: int
    max: int
    zero_wait: int
    depends_on_input: bool
    overhead: int


@dataclass(frozen=True)
class RunLayer:
    """A kernel call of the slowest inference."""

    name: str
    kernel: str
    macs: int
    cycles: int
    zero_wait: int
    instructions: int


@dataclass(frozen=True)
class RunVectors:
    """Inputs that were run, those of them that are real samples, and how many answers differ on the chip and here."""

    run: int
    real: int
    mismatches: int
    host_mismatches: int


@dataclass(frozen=True)
class RunAccuracy:
    """The share of right answers among so many samples; None without labels."""

    integer: float | None
    samples: int


@dataclass(frozen=True)
class RunStack:
    """Bytes of stack that were written."""

    watermark: int


@dataclass(frozen=True)
class SimulateFile:
    cycles: RunCycles
    instructions: int
    latency_us: float
    clock_hz: int
    layers: tuple[RunLayer, ...]
    vectors: RunVectors
    accuracy: RunAccuracy
    stack: RunStack
