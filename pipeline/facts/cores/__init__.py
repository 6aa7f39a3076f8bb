"""Cores and their instruction sets: no other module knows one by its name."""

from pipeline.facts.cores.core import Core, Cost, Costs, Mix, Rate
from pipeline.facts.cores.executed import KINDS, Executed
from pipeline.facts.cores.isa import THUMB, Isa, MachineCode
from pipeline.facts.cores.table import (
    APPLICATION,
    APPLICATION_RATE,
    CORES,
    with_slow_multiplier,
)

__all__ = [
    "APPLICATION",
    "APPLICATION_RATE",
    "CORES",
    "KINDS",
    "THUMB",
    "Core",
    "Cost",
    "Costs",
    "Executed",
    "Isa",
    "MachineCode",
    "Mix",
    "Rate",
    "with_slow_multiplier",
]
