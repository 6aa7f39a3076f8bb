"""Where a layer's code and tables lie, and about what the flash's wait states then add to its cycles.

The verdict's wait states are counted in the emulator. The plan needs them before there is any code, so it takes them
from what the variants have in common, and from the tables that each reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, get_args

from pipeline.calls import KernelCall, Place, Routine
from pipeline.cores import CORES
from pipeline.waits import WORD, FlashReads, Reads, most

PLACES: Mapping[Place, str] = {"flash": "", "code": "code in RAM", "all": "code and tables in RAM"}
"""What is said of a variant's place."""


def named(variant: str, place: Place) -> str:
    """A variant and where it lies, for people."""
    return f"{variant}, {PLACES[place]}" if PLACES[place] else variant


_THUMB = 2  # bytes of an instruction


class _Mix(NamedTuple):
    """In one cycle at zero wait states: instructions (loads, stores and branches take more than one cycle each), blocks
    that run, and those that a branch ends. Measured on the benchmark's networks."""

    instructions: float = 0.71
    blocks: float = 0.013
    ends: float = 0.009


_MIXES: Mapping[str, _Mix] = {
    "sparse": _Mix(0.82, 0.003, 0.001),
    "shifts": _Mix(0.82, 0.004, 0.001),
    "tight": _Mix(0.85),
    "windows": _Mix(blocks=0.045, ends=0.03),
    "c": _Mix(0.77, 0.033, 0.026),
}
"""Of variants that differ from the others."""


def placed(routine: Routine) -> Iterator[tuple[Routine, int]]:
    """The routine in every place, and the bytes of RAM that it takes there; shared routines not counted."""
    tables = sum(t.nbytes for t in routine.tables.values())
    sizes = {"flash": 0, "code": routine.code, "all": routine.code + tables}
    for place in get_args(Place):
        if place != "all" or tables:
            yield replace(routine, place=place), sizes[place]


def waits(call: KernelCall, routine: Routine | None, cycles: int, flash: FlashReads, core: str) -> int:
    """About the upper bound of the cycles that wait states add to a call of `cycles`; `routine` None for C."""
    if not flash.wait_states or (routine is not None and routine.place == "all"):
        return 0
    # The C kernels read every weight anew.
    reads = routine.reads if routine is not None else call.macs if "weights" in call.tables else 0
    if routine is not None and routine.place == "code":
        return most(flash, Reads(0, 0, 0, reads, 0, 0, 0), CORES[core])
    mix = _MIXES.get("c" if routine is None else routine.variant, _Mix())
    code, blocks = _THUMB * mix.instructions * cycles, mix.blocks * cycles
    lines, words = (round(code / unit + blocks * (1 - _THUMB / unit)) for unit in (flash.line, WORD))
    return most(flash, Reads(lines, words, round(mix.ends * cycles), reads, 0, 0, 0), CORES[core])
