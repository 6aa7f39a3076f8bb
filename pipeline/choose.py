"""One variant for every layer, chosen together so that the product fits: an integer program, solved exactly.

Latency: fewest cycles within the free flash. Flash: least flash within the latency. Code that several layers share is
paid once. The stack is no sum: what needs more than the free stack is no option.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.calls import KernelCall, Routine
from pipeline.ir import Array
from pipeline.plan import Program
from pipeline.variants import portable, routines

_ENTRY = 300  # bytes: the run function, its literals, and what aligns functions
_CALL = 24
ENTRY_STACK = 64
_STEPS = 12
_ROUND = tuple(n * 1024 for n in (16, 32, 48, 64, 100, 128, 256))
"""Free flash that owners of small chips speak of: the frontier has plans for these too."""


@dataclass(frozen=True, eq=False)
class Option:
    """One way to compute a call. `flash`: bytes of its own code and constants; `shared`: what it needs beside."""

    variant: str
    cycles: int
    flash: int
    stack: int
    shared: tuple[str, ...]
    routine: Routine | None


@dataclass(frozen=True)
class Limits:
    """What the chip leaves free, None where nothing is asked; `multiplier`: cycles of one MULS."""

    flash: int | None
    stack: int | None
    cycles: int | None
    multiplier: int = 1


@dataclass(frozen=True)
class Point:
    """One plan: estimated cycles and flash, and the option of every call."""

    cycles: int
    flash: int
    chosen: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """`program` with its routines, `options` of every call, what was chosen, and plans for other amounts of flash."""

    program: Program
    options: tuple[tuple[Option, ...], ...]
    refused: tuple[tuple[tuple[str, str], ...], ...]
    """For every call, variants that could compute it but are no option, and why."""
    point: Point
    next_kib: Point
    frontier: tuple[Point, ...]


def choose(program: Program, core: str, limits: Limits, optimize: str) -> Choice:
    """`optimize` is latency or flash. Where nothing fits, the plan that comes nearest: the verdict then says so."""
    offered = [_options(c, core, limits) for c in program.calls]
    options, refused = tuple(tuple(o) for o, _ in offered), tuple(tuple(r) for _, r in offered)
    problem = Problem(options)
    point = None
    if optimize == "latency":
        point = problem.solve(flash=limits.flash) or problem.least_flash()
    else:
        point = problem.least_flash(limits.cycles) or problem.solve(flash=None)
    assert point is not None, "without limits there is always a plan"
    point = problem.settled(point)
    calls = tuple(
        replace(c, routine=o[i].routine) for c, o, i in zip(program.calls, options, point.chosen, strict=True)
    )
    more = problem.solve(flash=point.flash + 1024) or point
    return Choice(replace(program, calls=calls), options, refused, point, more, problem.frontier())


def _options(call: KernelCall, core: str, limits: Limits) -> tuple[list[Option], list[tuple[str, str]]]:
    c = Option("c", portable.cycles(call), portable.flash(call), portable.stack(), (call.kernel,), None)
    if limits.multiplier > 1:
        c = replace(c, cycles=c.cycles + call.macs * (limits.multiplier - 1))
    made, refused = [c], []
    for r in routines(call, core):
        flash = r.code + sum(t.nbytes for t in r.tables.values())
        cycles = r.cycles + r.multiplies * (limits.multiplier - 1)
        option = Option(r.variant, cycles, flash, r.stack, r.sources, r)
        if limits.stack is None or option.stack + ENTRY_STACK <= limits.stack:
            made.append(option)
        else:
            refused.append((r.variant, f"needs {option.stack + ENTRY_STACK} B of stack, {limits.stack} B are free"))
    return made, refused


def _shared_size(name: str) -> int:
    return portable.CODE.get(name) or SOURCES[name]


SOURCES: Mapping[str, int] = {"gather.S": 312}
"""Bytes of code of the routines that layers in assembly share (a test compares)."""


class Problem:
    """Binary variables: one for each option of each call, one for each shared piece of code."""

    def __init__(self, options: Sequence[Sequence[Option]]) -> None:
        self.options = options
        self.flat = [(i, k, o) for i, of in enumerate(options) for k, o in enumerate(of)]
        self.shared = sorted({s for _, _, o in self.flat for s in o.shared})
        self.cycles = np.array([o.cycles for _, _, o in self.flat] + [0] * len(self.shared), np.float64)
        sizes = [o.flash + _CALL for _, _, o in self.flat] + [_shared_size(s) for s in self.shared]
        self.flash = np.array(sizes, np.float64)

    def solve(self, flash: int | None) -> Point | None:
        """Fewest cycles in so much flash."""
        found = self._minimize(self.cycles, [] if flash is None else [(self.flash, flash - _ENTRY)])
        # Among plans of equally few cycles, the smallest.
        return found and self._minimize(self.flash, [(self.cycles, found.cycles)])

    def least_flash(self, cycles: int | None = None) -> Point | None:
        """Least flash in so many cycles."""
        found = self._minimize(self.flash, [] if cycles is None else [(self.cycles, cycles)])
        return found and self._minimize(self.cycles, [(self.flash, found.flash - _ENTRY)])

    def settled(self, point: Point) -> Point:
        """Of all plans of the same cycles and flash always the same one, whatever machine solves."""
        order = np.arange(len(self.cycles), dtype=np.float64)
        limits = [(self.cycles, point.cycles), (self.flash, point.flash - _ENTRY)]
        found = self._minimize(order, limits) or point
        # Layers of the same options may swap their choices at no cost, and the sum above does not see it.
        alike: dict[Any, list[int]] = {}
        for index, of in enumerate(self.options):
            alike.setdefault(tuple((o.variant, o.cycles, o.flash, o.shared) for o in of), []).append(index)
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
        for index in range(len(self.options)):
            model.addConstr(sum(columns[j] for j, (i, _, _) in enumerate(self.flat) if i == index) == 1)
        for j, (_, _, option) in enumerate(self.flat):
            for name in option.shared:
                model.addConstr(columns[j] <= columns[starts + self.shared.index(name)])
        for row, limit in limits:
            model.addConstr(sum(float(c) * v for c, v in zip(row, columns, strict=True)) <= float(limit) + 0.25)
        model.run()
        if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        values = np.array(model.getSolution().col_value[: len(columns)]) > 0.5
        chosen = [0] * len(self.options)
        for j in np.flatnonzero(values[:starts]).tolist():
            chosen[self.flat[j][0]] = self.flat[j][1]
        return self.point(chosen)

    def point(self, chosen: Sequence[int]) -> Point:
        taken = [of[k] for of, k in zip(self.options, chosen, strict=True)]
        shared = {s for o in taken for s in o.shared}
        flash = sum(o.flash + _CALL for o in taken) + sum(_shared_size(s) for s in shared) + _ENTRY
        return Point(sum(o.cycles for o in taken), flash, tuple(chosen))
