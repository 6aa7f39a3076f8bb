"""What an instruction costs on each core, from Arm's Technical Reference Manuals, zero wait states.

Cortex-M0: DDI 0432C table 3-1. Cortex-M0+: DDI 0484C table 3-1. Cortex-M3: DDI 0337I table 3-1. Cortex-M4:
DDI 0439D table 3-1. Costs are (low, high); on M0 and M0+ they are equal. On M3 and M4 a pipeline refill P takes 1 to
3 cycles, a load may pipeline behind another, and divides (and M3's long multiplies) end early. What the tables leave
out is in the manuals' section "Load/store timings": stalls of an address, of a literal and of an unaligned access.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

Cost = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Core:
    """Costs in cycles. What a core does not have costs (0, 0) and is refused where it is met."""

    name: str
    armv7m: bool
    dsp: bool = False
    """Whether it has the packed and saturating arithmetic of Armv7E-M."""
    alu: Cost = (1, 1)
    multiply: Cost = (1, 1)
    """MUL; on M0 and M0+ the chip's own choice of 1 or 32 replaces it."""
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
    """MRS, MSR, barriers (on M3 and M4 a DSB or DMB waits for whatever the bus still does)."""


@dataclass(frozen=True)
class Executed:
    """How many instructions of each kind a stretch of code runs, whatever the core."""

    alu: int = 0
    multiplies: int = 0
    accesses: int = 0
    """Loads and stores of one value, but for literals."""
    literals: int = 0
    blocks: int = 0
    """Those of several."""
    registers: int = 0
    """That these move, and those below."""
    pops_pc: int = 0
    branches: int = 0
    """B, and conditional branches that are taken."""
    untaken: int = 0
    links: int = 0
    exchanges: int = 0

    def __add__(self, other: "Executed") -> "Executed":
        return Executed(*(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def __sub__(self, other: "Executed") -> "Executed":
        return self + other * -1

    def __mul__(self, times: int) -> "Executed":
        return Executed(*(n * times for n in self.counts))

    @property
    def counts(self) -> tuple[int, ...]:
        """In the order of KINDS."""
        return tuple(getattr(self, k) for k in KINDS)

    @property
    def leaves(self) -> int:
        """How often it goes on elsewhere than at the next instruction."""
        return self.pops_pc + self.branches + self.links + self.exchanges

    @property
    def instructions(self) -> int:
        return sum(self.counts) - self.registers

    def cycles(self, core: Core, multiplier: int = 1) -> int:
        """On a core whose costs are exact (Armv6-M), at zero wait states; `multiplier`: cycles of one MULS."""
        costs = (
            core.alu, (multiplier, multiplier), core.load, core.load, core.block, _exact(1), core.pop_pc, core.branch,
            core.untaken, core.branch_link, core.branch_exchange,
        )  # fmt: skip
        assert core.load == core.store and all(low == high for low, high in costs), f"{core.name} has no exact costs"
        return sum(n * low for n, (low, _) in zip(self.counts, costs, strict=True))


KINDS = tuple(f.name for f in fields(Executed))


def _exact(n: int) -> Cost:
    return (n, n)


_M0 = Core(
    name="cortex-m0",
    armv7m=False,
    load=_exact(2),
    store=_exact(2),
    pop_pc=_exact(4),
    branch=_exact(3),
    branch_link=_exact(4),
    branch_exchange=_exact(3),
    state_change=_exact(1),
    system=_exact(4),
)
_M0_PLUS = replace(
    _M0,
    name="cortex-m0plus",
    pop_pc=_exact(3),
    branch=_exact(2),
    branch_link=_exact(3),
    branch_exchange=_exact(2),
    system=_exact(3),
)
_M3 = Core(
    name="cortex-m3",
    armv7m=True,
    multiply_add=_exact(2),
    long_multiply=(3, 5),
    long_multiply_add=(4, 7),
    divide=(2, 12),
    load=(1, 2),
    store=(1, 2),
    address_stall=(0, 1),
    pop_pc=(2, 4),
    load_pc=(3, 5),
    table_branch=(3, 6),
    branch=(2, 4),
    branch_link=(2, 4),
    branch_exchange=(2, 4),
    if_then=(0, 1),
    state_change=(1, 2),
    system=(1, 4),
)
_M4 = replace(
    _M3,
    name="cortex-m4",
    dsp=True,
    multiply_add=_exact(1),
    long_multiply=_exact(1),
    long_multiply_add=_exact(1),
)
CORES: Mapping[str, Core] = {c.name: c for c in (_M0, _M0_PLUS, _M3, _M4)}
