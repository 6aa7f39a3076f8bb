"""Where a layer's code and tables lie, and about what the flash's wait states then add to its cycles.

The verdict's wait states are counted in the emulator. The plan needs them before there is any code, so it takes them
from the instructions that a routine runs, as if they lay anywhere, and from the tables that it reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import get_args

from pipeline.facts.cores import CORES
from pipeline.facts.flash_wait_states import WORD, FlashTiming, ReadCounts, max_wait_states
from pipeline.graph.kernel_call import KernelCall, Routine, RoutineMemory
from pipeline.graph.kernel_params.linear import (
    Conv2dOffsetParams,
    ConvS16Params,
    DenseOffsetParams,
    LinearParams,
)

SUFFIXES: Mapping[RoutineMemory, str] = {"flash": "", "code": "code in RAM", "all": "code and tables in RAM"}
"""By memory, the words behind a variant's name."""

_PARAMS_WITH_WEIGHTS = LinearParams | ConvS16Params | DenseOffsetParams | Conv2dOffsetParams


def variant_label(variant: str, memory: RoutineMemory) -> str:
    """Name of a variant with the memory of its routine, for people."""
    return f"{variant}, {SUFFIXES[memory]}" if SUFFIXES[memory] else variant


def in_each_memory(routine: Routine) -> Iterator[tuple[Routine, int]]:
    """The routine in every memory, and the bytes of RAM that it takes there; shared routines not counted."""
    tables = sum(t.nbytes for t in routine.tables.values())
    sizes = {"flash": 0, "code": routine.code, "all": routine.code + tables}
    for memory in get_args(RoutineMemory):
        if memory != "all" or tables:
            yield replace(routine, memory=memory), sizes[memory]


def estimate_wait_cycles(call: KernelCall, routine: Routine | None, cycles: int, timing: FlashTiming, core: str) -> int:
    """Estimated upper bound on the cycles that wait states add to a call of `cycles`; `routine` is None for C."""
    core_facts = CORES[core]
    size, mix = core_facts.isa.code.instruction, core_facts.c_code
    if not timing.wait_states or (routine is not None and routine.memory == "all"):
        return 0
    if routine is None:
        # The C kernels read every weight anew.
        code, blocks, ends = size * mix.instructions * cycles, mix.blocks * cycles, round(mix.ends * cycles)
        reads = call.macs if isinstance(call.params, _PARAMS_WITH_WEIGHTS) else 0
    elif routine.memory == "code":
        return max_wait_states(timing, ReadCounts(0, 0, 0, routine.reads, 0, 0, 0), core_facts)
    else:
        run = routine.executed
        code, blocks, ends = size * (run.instructions + run.links), run.leaves + run.untaken, run.leaves
        reads = routine.reads + run.literals
    lines, words = (round(code / unit + blocks * (1 - size / unit)) for unit in (timing.line, WORD))
    return max_wait_states(timing, ReadCounts(lines, words, ends, reads, 0, 0, 0), core_facts)
