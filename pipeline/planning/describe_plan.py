"""A choice of kernels as plan.json describes it, with what else could have been chosen."""

from bisect import bisect_right
from collections.abc import Sequence

from pipeline.arithmetic.versions import arithmetic_of
from pipeline.graph.ir import Graph
from pipeline.planning.choose_kernels import Choice
from pipeline.planning.dead_channels import channels_left_out
from pipeline.planning.integer_program import Option, Point, combined
from pipeline.planning.plan import Location, Program
from pipeline.planning.plan_file import (
    ChosenPlan,
    MoreFlash,
    MoreRam,
    PlanFile,
    PlannedArena,
    PlannedBuffer,
    PlannedCall,
    PlannedOption,
    PlannedPoint,
    Refusal,
)


def plan_file(graph: Graph, lean: Graph, choice: Choice, optimize: str) -> PlanFile:
    """The file of a choice for `lean`, which is `graph` without the channels that change no output."""
    program = choice.program
    return PlanFile(
        arithmetic=arithmetic_of(graph),
        arena=_arena(program, choice.begins),
        port_offsets=tuple(program.port_offsets),
        left_out=channels_left_out(graph, lean),
        plan=_chosen(choice, optimize),
        calls=tuple(
            PlannedCall(
                layer=c.node,
                kernel=c.routine.variant if c.routine else c.kernel,
                macs=c.macs,
                least_cycles=c.routine.least_cycles if c.routine else None,
                options=tuple(_option(o) for o in _alternatives(choice, begin)),
                refused=tuple(Refusal(variant, why) for variant, why in choice.refused[begin]),
                inputs=tuple(_location(program.locations[n]) for n in c.inputs if n in program.locations),
                outputs=tuple(_location(program.locations[n]) for n in c.outputs),
            )
            for c, begin in zip(program.calls, choice.begins, strict=True)
        ),
    )


def _arena(program: Program, begins: Sequence[int]) -> PlannedArena:
    def during(calls: tuple[int, int]) -> tuple[int, int]:
        first, last = (bisect_right(begins, i) - 1 for i in calls)
        return first, last

    arena = program.arena
    buffers = [PlannedBuffer(b.name, arena.offsets[b.name], b.size, during((b.first, b.last))) for b in arena.buffers]
    return PlannedArena(arena.size, arena.lower_bound, arena.optimal, program.needs_arena, tuple(buffers))


def _chosen(choice: Choice, optimize: str) -> ChosenPlan:
    point, from_ram = _point(choice, choice.point), choice.from_ram
    return ChosenPlan(
        optimize=optimize,
        cycles=point.cycles,
        wait_cycles=point.wait_cycles,
        flash=point.flash,
        ram=point.ram,
        variants=point.variants,
        memories=point.memories,
        next_kib=MoreFlash(choice.next_kib.total, choice.next_kib.flash),
        from_ram=None if from_ram is None else MoreRam(from_ram.total, from_ram.ram),
        frontier=tuple(_point(choice, p) for p in choice.frontier),
    )


def _point(choice: Choice, point: Point) -> PlannedPoint:
    chosen = [options[i] for options, i in zip(choice.options, point.chosen, strict=True) if i >= 0]
    variants, memories = tuple(o.variant for o in chosen), tuple(o.memory for o in chosen)
    return PlannedPoint(point.cycles, point.wait_cycles, point.flash, point.ram, variants, memories)


def _alternatives(choice: Choice, begin: int) -> list[Option]:
    """All options for the call that begins at `begin`; for fused layers, also each of them alone."""
    chosen = choice.options[begin][choice.point.chosen[begin]]
    same_span = [o for o in choice.options[begin] if o.span == chosen.span]
    if chosen.span == 1:
        return same_span
    fastest_alone = [
        min((o for o in of if o.span == 1), key=lambda o: o.cycles + o.wait_cycles)
        for of in choice.options[begin : begin + chosen.span]
    ]
    return [*same_span, combined(fastest_alone)]


def _option(option: Option) -> PlannedOption:
    return PlannedOption(
        option.memory, option.variant, option.cycles, option.wait_cycles, option.flash, option.ram, option.stack
    )


def _location(at: Location) -> tuple[int | str, ...]:
    if at.memory == "arena":
        return at.memory, at.offset
    return (at.memory, at.port, at.offset) if at.offset else (at.memory, at.port)
