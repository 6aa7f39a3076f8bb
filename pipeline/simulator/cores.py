"""What an instruction costs on each core, from Arm's Technical Reference Manuals, zero wait states.

Cortex-M0: DDI 0432C table 3-1. Cortex-M0+: DDI 0484C table 3-1. Cortex-M3: DDI 0337I table 3-1. Cortex-M4:
DDI 0439D table 3-1. Costs are (low, high); on M0 and M0+ they are equal. On M3 and M4 a pipeline refill P takes 1 to
3 cycles, a load may pipeline behind another, and divides (and M3's long multiplies) end early.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Cost = tuple[int, int]


@dataclass(frozen=True)
class Core:
    """Costs in cycles. `block` is per load or store of several registers: base + one per register."""

    name: str
    armv7m: bool
    alu: Cost
    multiply: Cost
    """MUL; on M0 and M0+ the chip's own choice of 1 or 32 replaces it."""
    multiply_add: Cost
    long_multiply: Cost
    long_multiply_add: Cost
    divide: Cost
    load: Cost
    store: Cost
    block: Cost
    pop_pc: Cost
    """POP of N registers, PC among them: this + N."""
    load_pc: Cost
    branch: Cost
    """B and a taken conditional branch."""
    branch_link: Cost
    branch_exchange: Cost
    untaken: Cost
    system: Cost
    """MRS, MSR, barriers."""


def _exact(n: int) -> Cost:
    return (n, n)


CORES: Mapping[str, Core] = {
    c.name: c
    for c in (
        Core(
            "cortex-m0",
            False,
            alu=_exact(1),
            multiply=_exact(1),
            multiply_add=_exact(0),
            long_multiply=_exact(0),
            long_multiply_add=_exact(0),
            divide=_exact(0),
            load=_exact(2),
            store=_exact(2),
            block=_exact(1),
            pop_pc=_exact(4),
            load_pc=_exact(0),
            branch=_exact(3),
            branch_link=_exact(4),
            branch_exchange=_exact(3),
            untaken=_exact(1),
            system=_exact(4),
        ),
        Core(
            "cortex-m0plus",
            False,
            alu=_exact(1),
            multiply=_exact(1),
            multiply_add=_exact(0),
            long_multiply=_exact(0),
            long_multiply_add=_exact(0),
            divide=_exact(0),
            load=_exact(2),
            store=_exact(2),
            block=_exact(1),
            pop_pc=_exact(3),
            load_pc=_exact(0),
            branch=_exact(2),
            branch_link=_exact(3),
            branch_exchange=_exact(2),
            untaken=_exact(1),
            system=_exact(3),
        ),
        Core(
            "cortex-m3",
            True,
            alu=_exact(1),
            multiply=_exact(1),
            multiply_add=_exact(2),
            long_multiply=(3, 5),
            long_multiply_add=(4, 7),
            divide=(2, 12),
            load=(1, 2),
            store=(1, 2),
            block=_exact(1),
            pop_pc=(2, 4),
            load_pc=(3, 5),
            branch=(2, 4),
            branch_link=(2, 4),
            branch_exchange=(2, 4),
            untaken=_exact(1),
            system=(1, 4),
        ),
        Core(
            "cortex-m4",
            True,
            alu=_exact(1),
            multiply=_exact(1),
            multiply_add=_exact(1),
            long_multiply=_exact(1),
            long_multiply_add=_exact(1),
            divide=(2, 12),
            load=(1, 2),
            store=(1, 2),
            block=_exact(1),
            pop_pc=(2, 4),
            load_pc=(3, 5),
            branch=(2, 4),
            branch_link=(2, 4),
            branch_exchange=(2, 4),
            untaken=_exact(1),
            system=(1, 4),
        ),
    )
}
