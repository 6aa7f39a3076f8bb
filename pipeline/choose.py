"""One variant for every layer, chosen together so that the product fits: an integer program, solved exactly.

Latency: fewest cycles within the free flash and RAM. Flash: least flash within the latency. Code that several layers
share is paid once. The stack is no sum: what needs more than the free stack is no option.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.calls import KernelCall, Place, Routine
from pipeline.cores import CORES
from pipeline.errors import ChipfitError
from pipeline.ir import Array
from pipeline.places import placed, waits
from pipeline.plan import Program
from pipeline.variants import chained, portable, routines
from pipeline.variants.shared import SHARED
from pipeline.waits import FlashReads

_ENTRY = 300  # bytes: the run function, its literals, and what aligns functions
_CALL = 24
ENTRY_STACK = 64
_STEPS = 12
_ROUND = tuple(n * 1024 for n in (16, 32, 48, 64, 100, 128, 256))
"""Free flash that owners of small chips speak of: the frontier has plans for these too."""


@dataclass(frozen=True, eq=False)
class Option:
    """One way to compute a call, or `span` calls from this one on.

    `flash`: bytes of its own code and constants, `ram`: of what of them startup copies; `shared`: the names of what it
    needs beside; `waits`: cycles that wait states add to `cycles`, about.
    """

    variant: str
    cycles: int
    flash: int
    stack: int
    shared: tuple[str, ...]
    routine: Routine | None
    waits: int = 0
    ram: int = 0
    span: int = 1

    @property
    def place(self) -> Place:
        return "flash" if self.routine is None else self.routine.place


def together(options: Sequence[Option]) -> Option:
    """What several options take, as one."""
    return Option(
        variant=" + ".join(o.variant for o in options),
        cycles=sum(o.cycles for o in options),
        flash=sum(o.flash for o in options),
        stack=max(o.stack for o in options),
        shared=(),
        routine=None,
        waits=sum(o.waits for o in options),
        ram=sum(o.ram for o in options),
    )


Offers = tuple[Option, ...]
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
    reads: FlashReads = field(default=FlashReads())


@dataclass(frozen=True)
class Point:
    """One plan: estimated cycles, what wait states add, flash, RAM of code and tables, and the option of every call; -1
    where an option of a call before spans this one."""

    cycles: int
    waits: int
    flash: int
    ram: int
    chosen: tuple[int, ...]

    @property
    def total(self) -> int:
        """What is minimized."""
        return self.cycles + self.waits


@dataclass(frozen=True, eq=False)
class Choice:
    """`program` with its routines, `options` of every call, what was chosen, and plans for other amounts of flash.

    A chain is one call of `program`: `begins` says for each where it begins among the calls that there were, whose
    `options` and `refused` these are.
    """

    program: Program
    begins: tuple[int, ...]
    options: tuple[Offers, ...]
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
    offered, refused = _offered(program, core, replace(limits, ram=max(limits.ram, limits.spare_ram)))
    options = offered if limits.ram else tuple(tuple(o for o in of if not o.ram) for of in offered)
    problem = Problem(options, limits.ram)
    point = problem.settled(_best(problem, limits, optimize))
    taken = {i: o for i, o in enumerate(problem.taken(point)) if o is not None}
    calls = tuple(_as_chosen(program.calls[i : i + o.span], o) for i, o in taken.items())
    more = problem.solve(flash=point.flash + 1024) or point
    asked = optimize == "latency" and limits.spare_ram
    from_ram = Problem(offered, limits.spare_ram).solve(flash=limits.flash) if asked else None
    better = from_ram if from_ram is not None and from_ram.total < point.total else None
    return Choice(
        replace(program, calls=calls), tuple(taken), options, refused, point, more, problem.frontier(), better
    )


def _best(problem: "Problem", limits: Limits, optimize: str) -> Point:
    if optimize == "latency":
        point = problem.solve(flash=limits.flash) or problem.least_flash()
    else:
        point = problem.least_flash(limits.cycles) or problem.solve(flash=None)
    assert point is not None, "without limits there is always a plan"
    return point


def _as_chosen(calls: Sequence[KernelCall], option: Option) -> KernelCall:
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


def _offered(program: Program, core: str, limits: Limits) -> tuple[tuple[Offers, ...], tuple[Refusals, ...]]:
    """What may be chosen for every call, chains of calls with their first, and what may not."""
    calls = program.calls
    offered = [_options(c, core, limits) for c in calls]
    linked = _linked(program)
    for begin in range(len(calls)):
        for end in range(begin + 1, min(begin + _LONGEST, len(calls))):
            chain = calls[begin : end + 1]
            found = chained(chain, core) if linked[end - 1] else ()
            if not found:
                break  # what cannot be chained is no part of a longer chain
            whole = replace(calls[begin], macs=sum(c.macs for c in chain))
            made, refused = _within_stack(whole, found, core, limits)
            offered[begin][0].extend(replace(o, span=len(chain)) for o in made)
            offered[begin][1].extend(refused)
    return tuple(tuple(o) for o, _ in offered), tuple(tuple(r) for _, r in offered)


def _linked(program: Program) -> list[bool]:
    """For each call but the last, whether the next reads what it makes and nothing else, and nobody else does."""
    readers = program.graph.consumers()
    outputs = {p.tensor for p in program.graph.outputs}
    return [
        a.outputs == b.inputs
        and a.outputs[0] not in outputs
        and [n.name for n in readers.get(a.outputs[0], ())] == [b.node]
        for a, b in pairwise(program.calls)
    ]


def _options(call: KernelCall, core: str, limits: Limits) -> tuple[list[Option], list[tuple[str, str]]]:
    c = Option("c", portable.cycles(call), portable.flash(call), portable.stack(), (call.kernel,), None)
    if limits.multiplier > 1:
        c = replace(c, cycles=c.cycles + call.macs * (limits.multiplier - 1))
    c = replace(c, waits=waits(call, None, c.cycles, limits.reads, core))
    made, refused = _within_stack(call, routines(call, core), core, limits)
    return [c, *made], refused


def _within_stack(
    call: KernelCall, offered: Sequence[Routine], core: str, limits: Limits
) -> tuple[list[Option], list[tuple[str, str]]]:
    """Routines that the free stack can hold, in every place, and why the others are none."""
    made: list[Option] = []
    refused = []
    for r in offered:
        if limits.stack is None or r.stack + ENTRY_STACK <= limits.stack:
            made += _in_each_place(call, r, core, limits)
        else:
            refused.append((r.variant, f"needs {r.stack + ENTRY_STACK} B of stack, {limits.stack} B are free"))
    return made, refused


def _in_each_place(call: KernelCall, routine: Routine, core: str, limits: Limits) -> list[Option]:
    """The routine in flash and, where flash makes it wait and there is room, in RAM."""
    cycles = routine.executed.cycles(CORES[core], limits.multiplier)
    flash = routine.code + sum(t.nbytes for t in routine.tables.values())
    made: list[Option] = []
    for r, ram in placed(routine):
        waiting = waits(call, r, cycles, limits.reads, core)
        if not made or (waiting < made[-1].waits and ram <= limits.ram):
            shared = r.shared if r.place == "flash" else tuple(s + _IN_RAM for s in r.shared)
            made.append(Option(r.variant, cycles, flash, r.stack, shared, r, waiting, ram))
    return made


_LONGEST = 16
"""Layers of one chain: how many chains there are to be costed grows with it, what a longer one saves does not."""
_IN_RAM = " in RAM"


def _shared_size(name: str) -> int:
    return portable.CODE.get(name) or SHARED[name.removesuffix(_IN_RAM)].code


def _shared_ram(name: str) -> int:
    return _shared_size(name) if name.endswith(_IN_RAM) else 0


class Problem:
    """Binary variables: one for each option of each call, one for each shared piece of code."""

    def __init__(self, options: Sequence[Sequence[Option]], free_ram: int = 0) -> None:
        self.options, self.free_ram = options, free_ram
        self.flat = [(i, k, o) for i, of in enumerate(options) for k, o in enumerate(of)]
        self.shared = sorted({s for _, _, o in self.flat for s in o.shared})
        self.cycles = np.array([o.cycles + o.waits for _, _, o in self.flat] + [0] * len(self.shared), np.float64)
        sizes = [o.flash + _CALL for _, _, o in self.flat] + [_shared_size(s) for s in self.shared]
        self.flash = np.array(sizes, np.float64)
        self.ram = np.array([o.ram for _, _, o in self.flat] + [_shared_ram(s) for s in self.shared], np.float64)

    def solve(self, flash: int | None) -> Point | None:
        """Fewest cycles in so much flash."""
        found = self._minimize(self.cycles, [] if flash is None else [(self.flash, flash - _ENTRY)])
        # Among plans of equally few cycles, the smallest.
        return found and self._minimize(self.flash, [(self.cycles, found.total)])

    def least_flash(self, cycles: int | None = None) -> Point | None:
        """Least flash in so many cycles."""
        found = self._minimize(self.flash, [] if cycles is None else [(self.cycles, cycles)])
        return found and self._minimize(self.cycles, [(self.flash, found.flash - _ENTRY)])

    def settled(self, point: Point) -> Point:
        """Of all plans of the same cycles and flash always the same one, of the least RAM, whatever machine solves."""
        limits = [(self.cycles, point.total), (self.flash, point.flash - _ENTRY)]
        if point.ram:
            point = self._minimize(self.ram, limits) or point
            limits.append((self.ram, point.ram))
        order = np.arange(len(self.cycles), dtype=np.float64)
        found = self._minimize(order, limits) or point
        # Layers of the same options may swap their choices at no cost, and the sum above does not see it.
        alike: dict[Any, list[int]] = {}
        spanned = {i + k for i, of in enumerate(self.options) for o in of if o.span > 1 for k in range(o.span)}
        for index, of in enumerate(self.options):
            if index in spanned:
                continue
            same = tuple((o.variant, o.place, o.cycles, o.waits, o.flash, o.shared) for o in of)
            alike.setdefault(same, []).append(index)
        chosen = list(found.chosen)
        for indices in alike.values():
            for index, option in zip(indices, sorted(chosen[i] for i in indices), strict=True):
                chosen[index] = option
        return self.point(chosen)

    def frontier(self) -> tuple[Point, ...]:
        """Plans from the smallest to the fastest, at even steps of flash."""
        small, fast = self.least_flash(), self.solve(None)
        if small is None or fast is None:
            return ()
        even = np.linspace(small.flash, fast.flash, _STEPS).astype(int).tolist()
        budgets = sorted({*even[1:-1], *(r for r in _ROUND if small.flash < r < fast.flash)})
        points = [p for p in (small, *(self.solve(b) for b in budgets), fast) if p is not None]
        return tuple({p.chosen: p for p in points}.values())

    def _minimize(self, cost: Array, limits: Sequence[tuple[Array, int]]) -> Point | None:
        """The plan of least `cost` whose rows stay within their limits; None when there is none."""
        import highspy

        model = highspy.Highs()
        model.silent()
        model.setOptionValue("mip_rel_gap", 0.0)
        model.setOptionValue("mip_abs_gap", 0.5)
        model.setOptionValue("threads", 1)
        columns = [model.addBinary(obj=float(c)) for c in cost]
        starts = len(self.flat)
        covering: list[list[Any]] = [[] for _ in self.options]
        for column, (i, _, option) in zip(columns, self.flat, strict=False):
            for index in range(i, i + option.span):
                covering[index].append(column)
        for over in covering:
            model.addConstr(model.qsum(over) == 1)
        for j, (_, _, option) in enumerate(self.flat):
            for name in option.shared:
                model.addConstr(columns[j] <= columns[starts + self.shared.index(name)])
        if self.ram.any():
            limits = [*limits, (self.ram, self.free_ram)]
        for row, limit in limits:
            model.addConstr(sum(float(c) * v for c, v in zip(row, columns, strict=True)) <= float(limit) + 0.25)
        model.run()
        if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        values = np.array(model.getSolution().col_value[: len(columns)]) > 0.5
        chosen = [-1] * len(self.options)
        for j in np.flatnonzero(values[:starts]).tolist():
            chosen[self.flat[j][0]] = self.flat[j][1]
        return self.point(chosen)

    def taken(self, point: Point) -> list[Option | None]:
        """The option of every call; None where one of a call before spans it."""
        return [of[k] if k >= 0 else None for of, k in zip(self.options, point.chosen, strict=True)]

    def point(self, chosen: Sequence[int]) -> Point:
        taken = [of[k] for of, k in zip(self.options, chosen, strict=True) if k >= 0]
        shared = {s for o in taken for s in o.shared}
        flash = sum(o.flash + _CALL for o in taken) + sum(_shared_size(s) for s in shared) + _ENTRY
        ram = sum(o.ram for o in taken) + sum(_shared_ram(s) for s in shared)
        return Point(sum(o.cycles for o in taken), sum(o.waits for o in taken), flash, ram, tuple(chosen))
