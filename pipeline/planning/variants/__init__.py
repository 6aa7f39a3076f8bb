"""Kernel variants: other ways to compute a call, each with its cost; the plan chooses among them.

A variant is a module with NAME, SUMMARY and `offer(call)`: the call as a routine, or None where it does not apply; or
`offer(calls, core)`, for those that take several calls at once. Its macros lie in `kernels/<instruction set>`; what it
costs is derived from them, exactly, and the emulator confirms it.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

from pipeline.facts.cores import CORES, Core
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.variants import armv6m
from pipeline.planning.variants.without_offset import without_offset

INSTRUCTION_SETS: Mapping[str, ModuleType] = {"armv6m": armv6m}
"""By an Isa's name, the folder that says ONE_CALL, variants of one call, and SEVERAL_CALLS; other cores run C."""


def variants(core: Core) -> Sequence[ModuleType]:
    """What may replace one C kernel on `core`."""
    return INSTRUCTION_SETS[core.isa.name].ONE_CALL if core.isa.name in INSTRUCTION_SETS else ()


def fusing_variants(core: Core) -> Sequence[ModuleType]:
    """What may replace several calls on `core`, each of which is the only reader of the one before."""
    return INSTRUCTION_SETS[core.isa.name].SEVERAL_CALLS if core.isa.name in INSTRUCTION_SETS else ()


def routines(call: KernelCall, core: str) -> Sequence[Routine]:
    """Every routine that can compute the call on `core`."""
    offered = (v.offer(without_offset(call)) for v in variants(CORES[core]))
    return [r for r in offered if r is not None]


def fused_routines(calls: Sequence[KernelCall], core: str) -> Sequence[Routine]:
    """Every routine that can compute these calls in one."""
    offered = (v.offer([without_offset(c) for c in calls], CORES[core]) for v in fusing_variants(CORES[core]))
    return [r for r in offered if r is not None]
