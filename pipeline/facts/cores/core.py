"""Facts of a processor core, as one record; `pipeline.facts.cores` holds the table of cores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline.facts.cores.isa import Isa

Cost = tuple[int, int]
"""Cycles as (low, high)."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Cycles of each kind of instruction at zero wait states; (0, 0) for a kind that a core does not have, which is
    refused where it occurs."""

    alu: Cost = (1, 1)
    multiply: Cost = (1, 1)
    """MUL; the chip's value replaces it on a core with `slow_multiplier`."""
    multiply_add: Cost = (0, 0)
    long_multiply: Cost = (0, 0)
    long_multiply_add: Cost = (0, 0)
    divide: Cost = (0, 0)
    load: Cost
    store: Cost
    address_stall: Cost = (0, 0)
    """Added for a load or store whose address the instruction before computed, and for a literal, which may meet the
    fetch unit on the bus."""
    block: Cost = (1, 1)
    """Load or store of several registers: this + one per register."""
    pop_pc: Cost
    """POP of N registers, PC among them: this + N."""
    load_pc: Cost = (0, 0)
    table_branch: Cost = (0, 0)
    """TBB, TBH: the table says 2 + P; the timings say two for the load, one for the addition, then the refill."""
    branch: Cost
    """B and a taken conditional branch; any other write to PC."""
    branch_link: Cost
    branch_exchange: Cost
    untaken: Cost = (1, 1)
    if_then: Cost = (0, 0)
    """IT: folded into a 16-bit instruction before it, it takes no cycle."""
    state_change: Cost
    """CPS."""
    system: Cost
    """MRS, MSR, barriers (a DSB or DMB may wait for whatever the bus still does)."""


class Rate(NamedTuple):
    """Cycles per multiply-accumulate of a whole network without wait states, and where both numbers come from."""

    low: float
    high: float
    source: str


class Mix(NamedTuple):
    """Instruction mix of C kernels per cycle without wait states: instructions, blocks, blocks that a branch ends."""

    instructions: float
    blocks: float
    ends: float


@dataclass(frozen=True, kw_only=True)
class Core:
    """A processor core; `name` is that of a chip's YAML."""

    name: str
    isa: Isa
    costs: Costs
    compilers: Mapping[str, str] = field(hash=False)
    """Values of -mcpu= by toolchain."""
    emulator_model: str
    """Unicorn's name of the CPU model."""
    requantizer: Literal["auto", "multiplier"]
    """Meaning of `requantize: auto` on this core; `auto`: shift wherever it can represent a layer's scale, for cores
    without a long multiply."""
    slow_multiplier: bool = False
    """Whether MULS may take 32 cycles, a silicon option."""
    prefetch_unit: bool
    """Whether a unit of the core fetches ahead, and the target of a branch before it knows whether that is taken."""
    least_cycles_per_mac: float
    """Lower bound of any kernel's cycles per multiply-accumulate, for weights of any width."""
    cycles_per_mac: Rate
    c_code: Mix
