"""Kernel variants: other ways to compute a call, each with its cost; the plan chooses among them.

A variant is a module with NAME, SUMMARY and `offer(call)`: the call as a routine, or None where it does not apply; or
`offer(calls, core)`, for those that take several calls at once. Its macros lie in `kernels/<instruction set>`; what it
costs is derived from them, exactly, and the emulator confirms it.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

from pipeline.facts.cores import CORES
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.variants import armv6m
from pipeline.planning.variants.without_offset import plain

VARIANTS: Mapping[str, Sequence[ModuleType]] = {"cortex-m0": armv6m.ONE_CALL, "cortex-m0plus": armv6m.ONE_CALL}
"""For each core, what may replace the C kernels; other cores run C."""
CHAINS: Mapping[str, Sequence[ModuleType]] = {
    "cortex-m0": armv6m.SEVERAL_CALLS,
    "cortex-m0plus": armv6m.SEVERAL_CALLS,
}
"""For each core, what may replace several calls, each of which is the only reader of the one before."""


def routines(call: KernelCall, core: str) -> Sequence[Routine]:
    """Every routine that can compute the call on `core`."""
    offered = (v.offer(plain(call)) for v in VARIANTS.get(core, ()))
    return [r for r in offered if r is not None]


def chained(calls: Sequence[KernelCall], core: str) -> Sequence[Routine]:
    """Every routine that can compute these calls in one."""
    offered = (v.offer([plain(c) for c in calls], CORES[core]) for v in CHAINS.get(core, ()))
    return [r for r in offered if r is not None]
