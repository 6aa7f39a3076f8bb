"""plan.json: the plan of codegen, for the other stages, the report and other tools."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.facts.records import Key
from pipeline.graph.kernel_call import RoutineMemory


@dataclass(frozen=True)
class ChannelsLeftOut:
    """How many channels of layers with weights, and of their multiply-accumulates, a graph does without."""

    channels: int
    macs: int


@dataclass(frozen=True)
class PlannedBuffer:
    """A buffer of the arena: `offset` and `size` in bytes, alive from the first to the last of `calls`."""

    name: str
    offset: int
    size: int
    calls: tuple[int, int]


@dataclass(frozen=True)
class PlannedArena:
    """Bytes; `needed`: whether anything but layers fused in assembly reads or writes it."""

    size: int
    lower_bound: int
    optimal: bool
    needed: bool
    buffers: tuple[PlannedBuffer, ...]


@dataclass(frozen=True)
class PlannedPoint:
    """One plan: planned cycles and cycles of wait states, bytes of flash and RAM, the variant of every call."""

    cycles: int
    wait_cycles: Annotated[int, Key("waits")]
    flash: int
    ram: int
    variants: tuple[str, ...]
    memories: Annotated[tuple[RoutineMemory, ...], Key("places")]

    @property
    def total(self) -> int:
        """Cycles with wait states."""
        return self.cycles + self.wait_cycles


@dataclass(frozen=True)
class MoreFlash:
    """Cycles with wait states, and bytes of flash, of the plan that another KiB of it allows."""

    cycles: int
    flash: int


@dataclass(frozen=True)
class MoreRam:
    """Cycles with wait states, and bytes of RAM, of the plan that has code there."""

    cycles: int
    ram: int


@dataclass(frozen=True)
class ChosenPlan:
    """The plan that was chosen, as `PlannedPoint` has it, and others that could have been."""

    optimize: str
    cycles: int
    wait_cycles: Annotated[int, Key("waits")]
    flash: int
    ram: int
    variants: tuple[str, ...]
    memories: Annotated[tuple[RoutineMemory, ...], Key("places")]
    next_kib: MoreFlash
    from_ram: MoreRam | None
    frontier: tuple[PlannedPoint, ...]

    @property
    def total(self) -> int:
        """Cycles with wait states."""
        return self.cycles + self.wait_cycles


@dataclass(frozen=True)
class PlannedOption:
    """A variant that could compute a call: planned cycles, cycles of wait states, bytes of flash, RAM and stack."""

    memory: Annotated[RoutineMemory, Key("place")]
    variant: str
    cycles: int
    wait_cycles: Annotated[int, Key("waits")]
    flash: int
    ram: int
    stack: int


@dataclass(frozen=True)
class Refusal:
    """A variant that could compute a call but is no option."""

    variant: str
    why: str


@dataclass(frozen=True)
class PlannedCall:
    """A call in the order of execution; `least_cycles` is None in C.

    `inputs` and `outputs`: which memory, offset in the arena or number of the port, and byte offset in a port unless 0.
    """

    layer: str
    kernel: str
    macs: int
    least_cycles: Annotated[int | None, Key("roof")]
    options: tuple[PlannedOption, ...]
    refused: tuple[Refusal, ...]
    inputs: tuple[tuple[int | str, ...], ...]
    outputs: tuple[tuple[int | str, ...], ...]


@dataclass(frozen=True)
class PlanFile:
    """`port_offsets`: where in the arena every input and then every output lies; None where the caller has it.

    `arithmetic`: names of docs/arithmetic.md, those that the integer network follows.
    """

    arithmetic: tuple[str, ...]
    arena: PlannedArena
    port_offsets: Annotated[tuple[int | None, ...], Key("places")]
    left_out: ChannelsLeftOut
    plan: ChosenPlan
    calls: tuple[PlannedCall, ...]
