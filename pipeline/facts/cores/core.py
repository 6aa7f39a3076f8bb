"""What a core is to everything that depends on it: one record, of which `pipeline.facts.cores` holds a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline.facts.cores.isa import Isa

Cost = tuple[int, int]
"""Cycles, (low, high)."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of each kind of instruction, zero wait states. What a core does not have costs (0, 0) and is refused where it is
    met."""

    alu: Cost = (1, 1)
    multiply: Cost = (1, 1)
    """MUL; the chip's own choice replaces it where the core leaves one."""
    multiply_add: Cost = (0, 0)
    long_multiply: Cost = (0, 0)
    long_multiply_add: Cost = (0, 0)
    divide: Cost = (0, 0)
    load: Cost
    store: Cost
    address_stall: Cost = (0, 0)
    """More for a load or store whose address the instruction before computed, and for a literal, which may meet the
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
    """Of C kernels, in one cycle at zero wait states: instructions, blocks that run, and those that a branch ends."""

    instructions: float
    blocks: float
    ends: float


@dataclass(frozen=True, kw_only=True)
class Core:
    """`name` is what a chip's YAML calls it."""

    name: str
    isa: Isa
    costs: Costs
    compilers: Mapping[str, str] = field(hash=False)
    """By toolchain: what follows -mcpu=."""
    emulator_model: str
    """Unicorn's name of the CPU model."""
    requantizer: Literal["auto", "multiplier"]
    """What `requantize: auto` means here; `auto`: shift wherever it can say a layer's scale, for want of a long
    multiply."""
    slow_multiplier: bool = False
    """Whether MULS may take 32 cycles, a silicon option."""
    prefetch_unit: bool
    """Whether a unit of the core fetches ahead, and the target of a branch before it knows whether that is taken."""
    least_cycles_per_mac: float
    """Cycles that no kernel can go below per multiply-accumulate, whatever its weights' width."""
    cycles_per_mac: Rate
    c_code: Mix
