"""simulate.json: cycles, layers, vectors, accuracy and stack of the library on the emulated chip."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunCycles:
    """Cycles of one inference: `min` is the fewest seen, `max` the most that there can be.

    `zero_wait`: cycles of the slowest inference without wait states. `overhead`: the part of `max` outside any layer.
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
    """Numbers of inputs that were run, of real samples among them, and of wrong answers on the chip and on the host."""

    run: int
    real: int
    mismatches: int
    host_mismatches: int


@dataclass(frozen=True)
class RunAccuracy:
    """Share of right answers among `samples` samples; None without labels."""

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
