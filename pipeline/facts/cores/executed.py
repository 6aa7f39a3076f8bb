"""Instructions counted by kind: what a core's table turns into cycles."""

from dataclasses import dataclass, fields

from pipeline.facts.cores.core import Core


@dataclass(frozen=True)
class Executed:
    """Numbers of instructions of each kind that a stretch of code executes, independent of the core."""

    alu: int = 0
    multiplies: int = 0
    accesses: int = 0
    """Loads and stores of one register, without those of literals."""
    literals: int = 0
    blocks: int = 0
    """Loads and stores of several registers."""
    registers: int = 0
    """Registers that `blocks` and `pops_pc` move."""
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
        """The numbers in the order of KINDS."""
        return tuple(getattr(self, k) for k in KINDS)

    @property
    def leaves(self) -> int:
        """How often control continues elsewhere than at the next instruction."""
        return self.pops_pc + self.branches + self.links + self.exchanges

    @property
    def instructions(self) -> int:
        return sum(self.counts) - self.registers

    def cycles(self, core: Core, multiplier: int = 1) -> int:
        """Upper bound of the cycles at zero wait states; exact on a core whose costs are exact.

        `multiplier`: cycles of one MULS, where the core leaves that to the chip.
        """
        costs, stall = core.costs, core.costs.address_stall[1]
        access = max(costs.load[1], costs.store[1]) + stall
        each = {
            "alu": costs.alu[1],
            "multiplies": multiplier if core.slow_multiplier else costs.multiply[1],
            "accesses": access,
            "literals": access,
            "blocks": costs.block[1] + stall,
            "registers": 1,
            "pops_pc": costs.pop_pc[1] + stall,
            "branches": costs.branch[1],
            "untaken": costs.untaken[1],
            "links": costs.branch_link[1],
            "exchanges": costs.branch_exchange[1],
        }
        return sum(getattr(self, kind) * cost for kind, cost in each.items())


KINDS = tuple(f.name for f in fields(Executed))
