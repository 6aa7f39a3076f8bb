"""The plan for people: rows, sentences and a plot of what was chosen and why, from plan.json and simulate.json."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10
from typing import Annotated

from pipeline.facts.records import Key
from pipeline.facts.units import show_size
from pipeline.graph.kernel_call import RoutineMemory
from pipeline.judging.verdict import Verdict
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.planning.placement import variant_label
from pipeline.planning.plan_file import ChosenPlan, PlanFile, PlannedCall, PlannedOption, PlannedPoint


def brief(name: str) -> str:
    """The first name of a layer whose name an importer joined from several with semicolons."""
    first, joined, _ = name.partition(";")
    return f"{first};..." if joined else name


@dataclass(frozen=True)
class Alternative:
    """A variant that was not chosen, and the reason."""

    variant: str
    why: str


@dataclass(frozen=True)
class PlanRow:
    """One kernel call: the variant chosen, its costs, and every alternative.

    `cycles` are planned ones, `measured` those of the emulator at zero wait states; None for a layer in C, whose cycles
    only the emulator knows, and for what was not emulated. `ratio` is against the scheme's least cycles.
    """

    layer: str
    variant: str
    macs: int
    cycles: int | None
    wait_cycles: Annotated[int, Key("waits")]
    measured: int | None
    flash: int
    stack: int | None
    ratio: float | None
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Explained:
    """The output of `chipfit explain` for one product; without a verdict where the build did not reach the report."""

    layers: tuple[PlanRow, ...]
    sentences: Annotated[tuple[str, ...], Key("said")]
    plan: ChosenPlan
    verdict: Verdict | None


def plan_rows(plan: PlanFile, simulated: SimulateFile | None) -> list[PlanRow]:
    """One row for each kernel call."""
    measured = [x.zero_wait for x in simulated.layers] if simulated else [None] * len(plan.calls)
    chosen = zip(plan.calls, plan.plan.variants, plan.plan.memories, measured, strict=True)
    return [_row(call, variant, memory, cycles) for call, variant, memory, cycles in chosen]


def _row(call: PlannedCall, variant: str, memory: RoutineMemory, measured: int | None) -> PlanRow:
    chosen = next(o for o in call.options if (o.variant, o.memory) == (variant, memory))
    exact = variant != "c"
    known = chosen.cycles if exact else measured
    return PlanRow(
        layer=call.layer,
        variant=variant_label(variant, memory) if exact else call.kernel,
        macs=call.macs,
        cycles=chosen.cycles if exact else None,
        wait_cycles=chosen.wait_cycles,
        measured=measured,
        flash=chosen.flash,
        stack=chosen.stack if exact else None,
        ratio=known / call.least_cycles if call.least_cycles and known else None,
        alternatives=tuple(_alternatives(call, chosen, measured)),
    )


def _alternatives(call: PlannedCall, chosen: PlannedOption, measured: int | None) -> Iterator[Alternative]:
    ours = chosen.cycles if chosen.variant != "c" else measured or chosen.cycles
    for option in _others(call.options, chosen):
        about = "about " if option.variant == "c" or option.wait_cycles != chosen.wait_cycles else ""
        differences = (
            (option.cycles + option.wait_cycles - ours - chosen.wait_cycles, "cycles"),
            (option.flash - chosen.flash, "B"),
            (option.ram - chosen.ram, "B of RAM"),
        )
        why = [f"{abs(d):,} {unit} {'more' if d > 0 else 'less'}" for d, unit in differences if d]
        yield Alternative(variant_label(option.variant, option.memory), about + ", ".join(why) if why else "the same")
    yield from (Alternative(r.variant, r.why) for r in call.refused)


def _others(options: Sequence[PlannedOption], chosen: PlannedOption) -> list[PlannedOption]:
    """The chosen variant in other memories, and every other one in its best; the fastest first."""
    seen: set[str] = set()
    others = []
    for option in sorted(options, key=lambda o: (o.cycles + o.wait_cycles, o.ram)):
        own = option.variant == chosen.variant
        if option is not chosen and (own or option.variant not in seen):
            others.append(option)
        seen.add(option.variant)
    return others


def plan_sentences(plan: PlanFile) -> list[str]:
    """Sentences on the plan: what limits it, what the next KiB of flash would save, which channels are left out."""
    left_out = plan.left_out
    less = f"{left_out.channels:,} channels, {left_out.macs:,} multiply-accumulates, change no output: left out."
    return _choice_sentences(plan.plan, plan.calls) + ([less] if left_out.channels else [])


def _choice_sentences(plan: ChosenPlan, calls: Sequence[PlannedCall]) -> list[str]:
    if all(len(c.options) == 1 for c in calls):
        return ["Every layer has one kernel on this core: there was nothing to choose."]
    goal = {"latency": "the fewest cycles in the free flash", "flash": "the least flash within the latency"}
    sentences = [f"Optimized for {goal[plan.optimize]}: {show_size(plan.flash)} planned."]
    if plan.ram:
        sentences.append(f"Startup copies {show_size(plan.ram)} of it to RAM, where nothing waits for flash.")
    saved = plan.total - plan.next_kib.cycles
    if plan.total <= min(p.total for p in plan.frontier):
        sentences.append("No plan is faster: more flash would buy nothing.")
    elif saved:
        sentences.append(f"The next KiB of flash would save {saved:,} cycles.")
    else:
        sentences.append("The next KiB of flash would save nothing by itself; a larger step would.")
    if plan.from_ram:
        ram, less = show_size(plan.from_ram.ram), f"{plan.total - plan.from_ram.cycles:,} of {plan.total:,} cycles"
        sentences.append(f"With {ram} of it in RAM (memory: {{code: ram}}) about {less} would go.")
    return sentences


@dataclass(frozen=True)
class PlotPoint:
    """A plan at `x` and `y` percent of the plot: bytes of flash, and cycles with wait states."""

    x: float
    y: float
    flash: int
    cycles: int
    variants: str


@dataclass(frozen=True)
class PlotAxis:
    """The ends of both axes: bytes of flash, and cycles."""

    small: int
    large: int
    slow: int
    fast: int


@dataclass(frozen=True)
class Plot:
    """`line` through all `points` as SVG has it; `limit`: percent where the free flash ends, if inside."""

    points: tuple[PlotPoint, ...]
    line: str
    chosen: PlotPoint
    limit: float | None
    axis: PlotAxis


def frontier_plot(plan: ChosenPlan, limit: int | None) -> Plot | None:
    """Points of the plans that other amounts of flash would give; None with fewer than two."""
    frontier = plan.frontier
    if len(frontier) < 2:
        return None
    small, large = min(p.flash for p in frontier), max(p.flash for p in frontier)
    totals = [p.total for p in frontier]
    slow, fast = log10(max(*totals, 1)), log10(max(min(totals), 1))

    def point(p: PlannedPoint | ChosenPlan) -> PlotPoint:
        x = 100 * (p.flash - small) / max(large - small, 1)
        y = 100 * (slow - log10(max(p.total, 1))) / max(slow - fast, 1e-9)
        return PlotPoint(round(x, 2), round(y, 2), p.flash, p.total, ", ".join(_variant_counts(p.variants)))

    points = tuple(point(p) for p in frontier)
    inside = limit is not None and small <= limit <= large
    return Plot(
        points=points,
        line=" ".join(f"{p.x},{p.y}" for p in points),
        chosen=point(plan),
        limit=round(100 * (limit - small) / max(large - small, 1), 2) if inside and limit is not None else None,
        axis=PlotAxis(small, large, round(10**slow), round(10**fast)),
    )


def _variant_counts(variants: Sequence[str]) -> list[str]:
    return [f"{variants.count(v)} {v}" for v in dict.fromkeys(variants)]
