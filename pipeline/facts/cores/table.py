"""The cores that chipfit generates code for: a core of a known instruction set is one entry here.

Costs are those of Arm's Technical Reference Manuals. Cortex-M0: DDI 0432C table 3-1. Cortex-M0+: DDI 0484C table 3-1.
Cortex-M3: DDI 0337I table 3-1. Cortex-M4: DDI 0439D table 3-1. On M0 and M0+ they are exact. On M3 and M4 a pipeline
refill P takes 1 to 3 cycles, a load may pipeline behind another, and divides (and M3's long multiplies) end early. What
the tables leave out is in the manuals' section "Load/store timings": stalls of an address, of a literal and of an
unaligned access.

A product has to be added: that bounds the cycles of a multiply-accumulate from below. One ADDS adds two of them, packed
in a word (a 32-bit word has no room for a third of 16 bits), and one USADA8 four (Cortex-M4). Cortex-M3 has no USADA8;
it is counted like M4, which is lower still.
"""

from collections.abc import Mapping
from dataclasses import replace

from pipeline.facts.cores.core import Core, Cost, Costs, Mix, Rate
from pipeline.facts.cores.isa import ARMV6M, ARMV7EM, ARMV7M


def _exact(n: int) -> Cost:
    return (n, n)


_M0 = Core(
    name="cortex-m0",
    isa=ARMV6M,
    costs=Costs(
        load=_exact(2),
        store=_exact(2),
        pop_pc=_exact(4),
        branch=_exact(3),
        branch_link=_exact(4),
        branch_exchange=_exact(3),
        state_change=_exact(1),
        system=_exact(4),
    ),
    compilers={"ziglang": "cortex_m0", "gcc": "cortex-m0"},
    emulator_model="CORTEX_M0",
    requantizer="auto",
    slow_multiplier=True,
    prefetch_unit=False,
    least_cycles_per_mac=0.5,
    cycles_per_mac=Rate(
        1.7,
        25.0,
        "low: narrow weights in whole lanes; measured for whole networks: 2.4 (AD) to 4.1 (CNN); high: the portable "
        "kernels took 10.2 (MLP), 17.4 (CNN), 20.9 (keyword spotting), and a fifth more",
    ),
    c_code=Mix(instructions=0.77, blocks=0.033, ends=0.026),  # measured on the benchmark's networks
)
_M0_PLUS = replace(
    _M0,
    name="cortex-m0plus",
    costs=replace(
        _M0.costs,
        pop_pc=_exact(3),
        branch=_exact(2),
        branch_link=_exact(3),
        branch_exchange=_exact(2),
        system=_exact(3),
    ),
    compilers={"ziglang": "cortex_m0plus", "gcc": "cortex-m0plus"},
    cycles_per_mac=Rate(
        1.7,
        24.0,
        "low: as cortex-m0, branches a cycle shorter; high: the portable kernels took 9.6 (MLP) to 17.4 (KWS)",
    ),
)
_M3 = Core(
    name="cortex-m3",
    isa=ARMV7M,
    costs=Costs(
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
    ),
    compilers={"ziglang": "cortex_m3", "gcc": "cortex-m3"},
    emulator_model="CORTEX_M3",
    requantizer="multiplier",
    prefetch_unit=True,
    least_cycles_per_mac=0.25,
    cycles_per_mac=Rate(2.3, 20.0, "low: Armv6-M code runs here too; high: the portable kernels took 10.9 to 16.2"),
    c_code=_M0.c_code,
)
_M4 = replace(
    _M3,
    name="cortex-m4",
    isa=ARMV7EM,
    costs=replace(_M3.costs, multiply_add=_exact(1), long_multiply=_exact(1), long_multiply_add=_exact(1)),
    compilers={"ziglang": "cortex_m4", "gcc": "cortex-m4"},
    emulator_model="CORTEX_M4",
    cycles_per_mac=Rate(
        1.4,
        19.0,
        "low: MLPerf Tiny entries of silicon vendors (1.4 to 2; CMSIS-NN 2.7 to 3.9); high: the portable kernels took "
        "9.7 to 15.1",
    ),
)
CORES: Mapping[str, Core] = {c.name: c for c in (_M0, _M0_PLUS, _M3, _M4)}

APPLICATION = "cortex-a8"
"""The core of a class of chips that no code is generated for: an estimate names it beside the others."""
APPLICATION_RATE = Rate(0.15, 2.0, "assumed: NEON multiplies 8 int8 values in a cycle at best; scalar code needs two")


def with_slow_multiplier() -> str:
    """Names of the cores whose multiplier may take 32 cycles, for a sentence."""
    return " and ".join(c.name for c in CORES.values() if c.slow_multiplier)
