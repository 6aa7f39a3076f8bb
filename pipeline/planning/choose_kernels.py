"""One variant for every layer, chosen together so that the product fits: an integer program, solved exactly.

Latency: fewest cycles within the free flash and RAM. Flash: least flash within the latency. Code that several layers
share is paid once. The stack is no sum: what needs more than the free stack is no option.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.integer_program import Option, Point, Problem, SharedCode
from pipeline.planning.placement import estimate_wait_cycles, in_each_memory
from pipeline.planning.plan import Program
from pipeline.planning.variants import c_costs, fused_routines, routines

ENTRY_STACK = 64
CallOptions = tuple[Option, ...]
Refusals = tuple[tuple[str, str], ...]
"""Variants that could compute a call but are no option, and why."""


@dataclass(frozen=True)
class Limits:
    """What the chip leaves free, None where nothing is asked. `cycles`: with wait states; `multiplier`: cycles of one
    MULS; `ram`: bytes that code and tables may take, `spare_ram`: that they could, if their owner wanted it."""

    flash: int | None
    stack: int | None
    cycles: int | None
    multiplier: int = 1
    ram: int = 0
    spare_ram: int = 0
    timing: FlashTiming = field(default=FlashTiming())


@dataclass(frozen=True, eq=False)
class Choice:
    """`program` with its routines, `options` of every call, what was chosen, and plans for other amounts of flash.

    Fused calls are one call of `program`: `begins` says for each where it begins among the calls that there were, whose
    `options` and `refused` these are.
    """

    program: Program
    begins: tuple[int, ...]
    options: tuple[CallOptions, ...]
    refused: tuple[Refusals, ...]
    point: Point
    next_kib: Point
    frontier: tuple[Point, ...]
    from_ram: Point | None
    """The plan with code in the spare RAM, where it is the better one."""


def choose(program: Program, core: str, limits: Limits, optimize: str) -> Choice:
    """`optimize` is latency or flash. Where nothing fits, the plan that comes nearest: the verdict then says so.

    Raises ChipfitError for a network without a call.
    """
    if not program.calls:
        raise ChipfitError("the network computes nothing: its outputs are its inputs", hint="Leave it out.")
    offered, refused = _options_by_call(program, core, replace(limits, ram=max(limits.ram, limits.spare_ram)))
    options = offered if limits.ram else tuple(tuple(o for o in of if not o.ram) for of in offered)
    problem = Problem(options, limits.ram)
    point = problem.canonical(_best_plan(problem, limits, optimize))
    chosen = {i: o for i, o in enumerate(problem.chosen_options(point)) if o is not None}
    calls = tuple(_with_option(program.calls[i : i + o.span], o) for i, o in chosen.items())
    next_kib = problem.fewest_cycles(flash=point.flash + 1024) or point
    asked = optimize == "latency" and limits.spare_ram
    from_ram = Problem(offered, limits.spare_ram).fewest_cycles(flash=limits.flash) if asked else None
    faster = from_ram if from_ram is not None and from_ram.total < point.total else None
    return Choice(
        replace(program, calls=calls),
        tuple(chosen),
        options,
        refused,
        point,
        next_kib,
        problem.frontier(),
        faster,
    )


def _best_plan(problem: Problem, limits: Limits, optimize: str) -> Point:
    if optimize == "latency":
        point = problem.fewest_cycles(flash=limits.flash) or problem.least_flash()
    else:
        point = problem.least_flash(limits.cycles) or problem.fewest_cycles(flash=None)
    assert point is not None, "without limits there is always a plan"
    return point


def _with_option(calls: Sequence[KernelCall], option: Option) -> KernelCall:
    first, last = calls[0], calls[-1]
    if option.span == 1:
        return replace(first, routine=option.routine)
    return replace(
        first,
        node=" + ".join(c.node for c in calls),
        outputs=last.outputs,
        macs=sum(c.macs for c in calls),
        routine=option.routine,
        parts=tuple(calls),
    )


def _options_by_call(
    program: Program, core: str, limits: Limits
) -> tuple[tuple[CallOptions, ...], tuple[Refusals, ...]]:
    """Options and refused variants of every call; those of fused calls stand at the first of them."""
    calls = program.calls
    offered = [_options(c, core, limits) for c in calls]
    feeds_only_next = _feeds_only_next(program)
    longest = min(_MOST_FUSED, max(2, _FUSED_TRIED // max(1, len(calls))))
    for begin in range(len(calls)):
        for end in range(begin + 1, min(begin + longest, len(calls))):
            fused = calls[begin : end + 1]
            candidates = fused_routines(fused, core) if feeds_only_next[end - 1] else ()
            if not candidates:
                break  # what cannot be fused is no part of more that can
            fused_call = replace(calls[begin], macs=sum(c.macs for c in fused))
            options, refused = _within_stack(fused_call, candidates, core, limits)
            offered[begin][0].extend(replace(o, span=len(fused)) for o in options)
            offered[begin][1].extend(refused)
    return tuple(tuple(o) for o, _ in offered), tuple(tuple(r) for _, r in offered)


def _feeds_only_next(program: Program) -> list[bool]:
    """For each call but the last, whether the next call reads its output alone, and is that output's only reader."""
    readers = program.graph.consumers()
    outputs = {p.tensor for p in program.graph.outputs}
    return [
        a.outputs == b.inputs
        and a.outputs[0] not in outputs
        and [n.name for n in readers.get(a.outputs[0], ())] == [b.node]
        for a, b in pairwise(program.calls)
    ]


def _options(call: KernelCall, core: str, limits: Limits) -> tuple[list[Option], list[tuple[str, str]]]:
    code = SharedCode(call.kernel, c_costs.CODE[call.kernel])
    c = Option("c", c_costs.cycles(call), c_costs.flash(call), c_costs.stack(), (code,), None)
    if limits.multiplier > 1:
        c = replace(c, cycles=c.cycles + call.macs * (limits.multiplier - 1))
    c = replace(c, wait_cycles=estimate_wait_cycles(call, None, c.cycles, limits.timing, core))
    options, refused = _within_stack(call, routines(call, core), core, limits)
    return [c, *options], refused


def _within_stack(
    call: KernelCall, offered: Sequence[Routine], core: str, limits: Limits
) -> tuple[list[Option], list[tuple[str, str]]]:
    """Options, in every memory, of the routines that the free stack can hold, and the reasons against the others."""
    options: list[Option] = []
    refused = []
    for r in offered:
        if limits.stack is None or r.stack + ENTRY_STACK <= limits.stack:
            options += _routine_options(call, r, core, limits)
        else:
            refused.append((r.variant, f"needs {r.stack + ENTRY_STACK} B of stack, {limits.stack} B are free"))
    return options, refused


def _routine_options(call: KernelCall, routine: Routine, core: str, limits: Limits) -> list[Option]:
    """The routine in flash and, where flash makes it wait and there is room, in RAM."""
    cycles = routine.executed.cycles(CORES[core], limits.multiplier)
    flash = routine.code + sum(t.nbytes for t in routine.tables.values())
    options: list[Option] = []
    for r, ram in in_each_memory(routine):
        wait_cycles = estimate_wait_cycles(call, r, cycles, limits.timing, core)
        if not options or (wait_cycles < options[-1].wait_cycles and ram <= limits.ram):
            shared = tuple(SharedCode(s.name, s.code, 0 if r.memory == "flash" else s.code) for s in r.shared)
            options.append(Option(r.variant, cycles, flash, r.stack, shared, r, wait_cycles, ram))
    return options


_MOST_FUSED, _FUSED_TRIED = 16, 1600
"""Calls that one routine may replace, and how many such routines are tried: their number grows with the calls of one,
what it saves does not."""
