"""The search for a plan: one option for each call, together, by an integer program; shared code counts once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.graph.kernel_call import Routine, RoutineMemory
from pipeline.graph.tensor import Array

_ENTRY_BYTES = 300  # the run function, its literals, and what aligns functions
_CALL_BYTES = 24
_FRONTIER_POINTS = 12
_SEARCH_LIMIT = 200_000
"""Nodes times options of one search. A dozen layers take few nodes; what hundreds of equal layers leave open then is a
plan a percent or so from the fastest. Nodes, and not seconds, are the same on every machine."""
_MANY_OPTIONS = 500
"""Options beyond which the frontier has few points."""
_ROUND_BUDGETS = tuple(n * 1024 for n in (16, 32, 48, 64, 100, 128, 256))
"""Free flash that owners of small chips speak of: the frontier has plans for these too."""


class SharedCode(NamedTuple):
    """Code that several calls need and pay once: bytes of flash, and of RAM where startup copies it."""

    name: str
    flash: int
    ram: int = 0


@dataclass(frozen=True, eq=False)
class Option:
    """One way to compute a call, or `span` calls from this one on.

    `flash`: bytes of its own code and constants, `ram`: of what of them startup copies; `shared`: what it needs
    beside; `wait_cycles`: cycles that wait states add to `cycles`, about.
    """

    variant: str
    cycles: int
    flash: int
    stack: int
    shared: tuple[SharedCode, ...]
    routine: Routine | None
    wait_cycles: int = 0
    ram: int = 0
    span: int = 1

    @property
    def memory(self) -> RoutineMemory:
        return "flash" if self.routine is None else self.routine.memory


def combined(options: Sequence[Option]) -> Option:
    """Cycles, bytes and stack of several options, as one option without shared code."""
    return Option(
        variant=" + ".join(o.variant for o in options),
        cycles=sum(o.cycles for o in options),
        flash=sum(o.flash for o in options),
        stack=max(o.stack for o in options),
        shared=(),
        routine=None,
        wait_cycles=sum(o.wait_cycles for o in options),
        ram=sum(o.ram for o in options),
    )


@dataclass(frozen=True)
class Point:
    """One plan: estimated cycles, what wait states add, flash, RAM of code and tables, and the option of every call; -1
    where an option of a call before spans this one."""

    cycles: int
    wait_cycles: int
    flash: int
    ram: int
    chosen: tuple[int, ...]

    @property
    def total(self) -> int:
        """Cycles with wait states: what is minimized."""
        return self.cycles + self.wait_cycles


class Problem:
    """Binary variables: one for each option of each call, one for each shared piece of code."""

    def __init__(self, options: Sequence[Sequence[Option]], free_ram: int = 0) -> None:
        self.options, self.free_ram = options, free_ram
        self.variables = [(i, k, o) for i, of in enumerate(options) for k, o in enumerate(of)]
        self.shared = sorted({s for _, _, o in self.variables for s in o.shared})
        self.cycles = np.array(
            [o.cycles + o.wait_cycles for _, _, o in self.variables] + [0] * len(self.shared), np.float64
        )
        sizes = [o.flash + _CALL_BYTES for _, _, o in self.variables] + [s.flash for s in self.shared]
        self.flash = np.array(sizes, np.float64)
        self.ram = np.array([o.ram for _, _, o in self.variables] + [s.ram for s in self.shared], np.float64)

    def fewest_cycles(self, flash: int | None) -> Point | None:
        """The plan of the fewest cycles in `flash` bytes; None where none fits."""
        found = self._minimize(self.cycles, [] if flash is None else [(self.flash, flash - _ENTRY_BYTES)])
        # Among plans of equally few cycles, the smallest.
        return found and self._minimize(self.flash, [(self.cycles, found.total)])

    def least_flash(self, cycles: int | None = None) -> Point | None:
        """The plan of the least flash in `cycles`; None where none is that fast."""
        found = self._minimize(self.flash, [] if cycles is None else [(self.cycles, cycles)])
        return found and self._minimize(self.cycles, [(self.flash, found.flash - _ENTRY_BYTES)])

    def canonical(self, point: Point) -> Point:
        """The one plan of least RAM that stands for all of the same cycles and flash, on every machine."""
        limits = [(self.cycles, point.total), (self.flash, point.flash - _ENTRY_BYTES)]
        if point.ram:
            point = self._minimize(self.ram, limits) or point
            limits.append((self.ram, point.ram))
        order = np.arange(len(self.cycles), dtype=np.float64)
        found = self._minimize(order, limits) or point
        # Layers of the same options may swap their choices at no cost, and the sum above does not see it.
        calls_by_options: dict[Hashable, list[int]] = {}
        spanned = {i + k for i, of in enumerate(self.options) for o in of if o.span > 1 for k in range(o.span)}
        for index, of in enumerate(self.options):
            if index in spanned:
                continue
            key = tuple((o.variant, o.memory, o.cycles, o.wait_cycles, o.flash, o.shared) for o in of)
            calls_by_options.setdefault(key, []).append(index)
        chosen = list(found.chosen)
        for indices in calls_by_options.values():
            for index, option in zip(indices, sorted(chosen[i] for i in indices), strict=True):
                chosen[index] = option
        return self.point(chosen)

    def frontier(self) -> tuple[Point, ...]:
        """Plans from the smallest to the fastest, at even steps of flash."""
        small, fast = self.least_flash(), self.fewest_cycles(None)
        if small is None or fast is None:
            return ()
        few = len(self.variables) > _MANY_OPTIONS
        even = np.linspace(small.flash, fast.flash, 4 if few else _FRONTIER_POINTS).astype(int).tolist()
        rounded = (r for r in _ROUND_BUDGETS if small.flash < r < fast.flash and not few)
        budgets = sorted({*even[1:-1], *rounded})
        points = [p for p in (small, *(self.fewest_cycles(b) for b in budgets), fast) if p is not None]
        return tuple({p.chosen: p for p in points}.values())

    def _minimize(self, cost: Array, limits: Sequence[tuple[Array, int]]) -> Point | None:
        """The plan of least `cost` whose rows stay within their limits; None when there is none."""
        import highspy

        model = highspy.Highs()
        model.silent()
        model.setOptionValue("mip_rel_gap", 0.0)
        model.setOptionValue("mip_abs_gap", 0.5)
        model.setOptionValue("threads", 1)
        model.setOptionValue("mip_max_nodes", max(20, _SEARCH_LIMIT // max(1, len(self.variables))))
        columns = [model.addBinary(obj=float(c)) for c in cost]
        shared_begin = len(self.variables)
        covering: list[list[Any]] = [[] for _ in self.options]
        for column, (i, _, option) in zip(columns, self.variables, strict=False):
            for index in range(i, i + option.span):
                covering[index].append(column)
        for over in covering:
            model.addConstr(model.qsum(over) == 1)
        for j, (_, _, option) in enumerate(self.variables):
            for code in option.shared:
                model.addConstr(columns[j] <= columns[shared_begin + self.shared.index(code)])
        if self.ram.any():
            limits = [*limits, (self.ram, self.free_ram)]
        for row, limit in limits:
            model.addConstr(sum(float(c) * v for c, v in zip(row, columns, strict=True)) <= float(limit) + 0.25)
        model.run()
        found = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit)
        if model.getModelStatus() not in found or not model.getSolution().value_valid:
            return None
        values = np.array(model.getSolution().col_value[: len(columns)]) > 0.5
        chosen = [-1] * len(self.options)
        for j in np.flatnonzero(values[:shared_begin]).tolist():
            chosen[self.variables[j][0]] = self.variables[j][1]
        return self.point(chosen)

    def chosen_options(self, point: Point) -> list[Option | None]:
        """The option of every call; None where one of a call before spans it."""
        return [of[k] if k >= 0 else None for of, k in zip(self.options, point.chosen, strict=True)]

    def point(self, chosen: Sequence[int]) -> Point:
        options = [of[k] for of, k in zip(self.options, chosen, strict=True) if k >= 0]
        shared = {s for o in options for s in o.shared}
        flash = sum(o.flash + _CALL_BYTES for o in options) + sum(s.flash for s in shared) + _ENTRY_BYTES
        ram = sum(o.ram for o in options) + sum(s.ram for s in shared)
        return Point(sum(o.cycles for o in options), sum(o.wait_cycles for o in options), flash, ram, tuple(chosen))
