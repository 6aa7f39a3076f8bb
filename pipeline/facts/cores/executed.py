"""Instructions counted by kind: what a core's table turns into cycles."""

from dataclasses import dataclass, fields

from pipeline.facts.cores.core import Core


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
        c = core.costs
        each = (
            c.alu, (multiplier, multiplier), c.load, c.load, c.block, (1, 1), c.pop_pc, c.branch, c.untaken,
            c.branch_link, c.branch_exchange,
        )  # fmt: skip
        assert core.exact and c.load == c.store, f"{core.name} has no exact costs"
        return sum(n * low for n, (low, _) in zip(self.counts, each, strict=True))


KINDS = tuple(f.name for f in fields(Executed))
