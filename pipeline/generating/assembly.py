"""The assembly file: the macros it includes, and for each memory every layer's invocations of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from pipeline.generating.layers import Layer
from pipeline.graph.kernel_call import RoutineMemory


@dataclass(frozen=True)
class Lines:
    """One layer's routine, line by line; `entry` is what C calls, and the only name that others see."""

    title: str
    entry: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """The routines of one memory, with the `shared` ones that they call before them."""

    code_in_ram: int
    constants_in_ram: int
    shared: tuple[str, ...]
    routines: tuple[Lines, ...]


@dataclass(frozen=True)
class Assembly:
    """Variables of the assembly file's template."""

    includes: tuple[str, ...]
    parts: tuple[Section, ...]


def assembly_of(layers: Sequence[Layer]) -> Assembly:
    """The assembly file of all layers that have a routine."""
    routines = [x.invocation.routine for x in layers if x.invocation]
    includes = [*(i for r in routines for i in r.includes), *(f"{s.name}.inc" for r in routines for s in r.shared)]
    sections: list[Section] = []
    for memory in (m for m in get_args(RoutineMemory) if any(r.memory == m for r in routines)):
        defined = {line for s in sections for line in s.shared}
        sections.append(_section(memory, layers, defined))
    return Assembly(tuple(dict.fromkeys(includes)), tuple(sections))


def _section(memory: RoutineMemory, layers: Sequence[Layer], defined: set[str]) -> Section:
    """`defined`: the invocations of shared routines in the sections before."""
    chosen = [(x.title, x.invocation) for x in layers if x.invocation and x.invocation.routine.memory == memory]
    routines = sorted({s for _, i in chosen for s in i.routine.shared}, key=lambda s: s.name)
    # In RAM they have another name: a call does not reach from one memory to the other.
    names = {f: f if memory == "flash" else f"{f}_ram" for s in routines for f in s.functions}
    shared = [f"{s.name}_routines {', '.join(f'SHARED({names[f]})' for f in s.functions)}" for s in routines]
    return Section(
        code_in_ram=int(memory != "flash"),
        constants_in_ram=int(memory == "all"),
        shared=tuple(line for line in shared if line not in defined),
        routines=tuple(
            Lines(title, i.entry, tuple(t.format(**i.names, **names) for t in i.routine.lines)) for title, i in chosen
        ),
    )
