"""The report of a product: one self-contained HTML page for people, one Markdown table for a pull request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.facts.config.models import ChipSpec
from pipeline.facts.text import in_markdown, shortened
from pipeline.facts.units import show_size, show_time
from pipeline.judging.report.environment import environment, styles
from pipeline.judging.report.plan import brief, frontier_plot, plan_rows, plan_sentences
from pipeline.judging.verdict import Verdict
from pipeline.measuring.footprint.size_file import SizeFile
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.planning.plan_file import PlanFile
from pipeline.quantizing.quantize_file import QuantizeFile


@dataclass(frozen=True)
class Manifest:
    """manifest.json: versions, and sha256 of every input and output."""

    chipfit: str
    python: str
    packages: Mapping[str, str]
    toolchain: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    verdict: Verdict
    quantize: QuantizeFile
    size: SizeFile
    simulate: SimulateFile
    plan: PlanFile
    manifest: Manifest
    chip: ChipSpec


def render_html(page: Page) -> str:
    """The HTML page as a string; it contains everything that it needs and loads nothing."""
    pages = environment()
    filters: dict[str, Callable[..., str]] = {
        "size": show_size,
        "percent": percent,
        "us": lambda us: show_time(us / 1e6),
        "n": thousands,
        "brief": brief,
    }
    pages.filters |= filters
    return pages.get_template("index.html.j2").render(
        vars(page),
        style=styles("style.css"),
        bars=budget_bars(page.verdict),
        flash_map=flash_map(page.size),
        ram_map=ram_map(page.plan),
        layers=layer_rows(page.simulate, page.size),
        plan_rows=plan_rows(page.plan, page.simulate),
        waiting=bool(page.plan.plan.wait_cycles),
        plan_sentences=plan_sentences(page.plan),
        plot=frontier_plot(page.plan.plan, page.size.flash.limit),
    )


def render_markdown(verdict: Verdict, simulated: SimulateFile, plan: PlanFile) -> str:
    """Markdown of a table of findings, the plan in sentences, and a table of layers."""
    mark = {True: "pass", False: "**FAIL**"}
    product, chip = in_markdown(verdict.product), in_markdown(verdict.chip)
    lines = [f"### {product} on {chip}: {verdict.verdict}", ""]
    lines += ["| rule | result | |", "|---|---|---|"]
    lines += [f"| {in_markdown(f.key)} | {mark[f.passed]} | {in_markdown(f.sentence)} |" for f in verdict.findings]
    lines += ["", in_markdown(" ".join(plan_sentences(plan)))]
    lines += ["", "| layer | kernel | MACs | cycles |", "|---|---|---:|---:|"]
    lines += [
        f"| {in_markdown(shortened(x.name))} | {in_markdown(x.kernel)} | {x.macs} | {x.cycles} |"
        for x in simulated.layers
    ]
    return "\n".join(lines) + "\n"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def thousands(number: int) -> str:
    return f"{number:,}"


@dataclass(frozen=True)
class BudgetBar:
    """A budget bar: used and free, as text and as widths in percent of the larger of both."""

    name: str
    used: str
    limit: str
    share: str
    width: float
    mark: float
    over: bool


def budget_bars(verdict: Verdict) -> list[BudgetBar]:
    """Bars of the budgets whose limit and use are known."""
    rows: tuple[tuple[str, float | None, float | None, Callable[[Any], str]], ...] = (
        ("Flash", verdict.flash.used, verdict.flash.limit, show_size),
        ("RAM", verdict.ram.used, verdict.ram.limit, show_size),
        ("Stack", verdict.stack.used, verdict.stack.limit, show_size),
        ("Latency", verdict.latency_us, verdict.latency_limit_us, lambda us: show_time(us / 1e6)),
    )
    bars = []
    for name, used, limit, show in rows:
        if used is None or limit is None:
            continue
        whole, share = max(used, limit), f"{100 * used / limit:.0f} %"
        width, mark = round(100 * used / whole, 2), round(100 * limit / whole, 2)
        bars.append(BudgetBar(name, show(used), show(limit), share, width, mark, used > limit))
    return bars


@dataclass(frozen=True)
class FlashPiece:
    """A symbol in the map of flash: bytes, and width in percent of all flash; `kind` is that of a symbol, or rest."""

    name: str
    size: int
    kind: str
    width: float


def flash_map(size: SizeFile) -> list[FlashPiece]:
    """The largest symbols in flash, and all others as one piece."""
    pieces = [s for s in size.symbols if s.kind != "ram"]
    total = max(sum(p.size for p in pieces), 1)
    shown = [FlashPiece(p.name, p.size, p.kind, round(100 * p.size / total, 2)) for p in pieces[:12]]
    rest = sum(p.size for p in pieces[12:])
    if rest:
        shown.append(FlashPiece(f"{len(pieces) - 12} more", rest, "rest", round(100 * rest / total, 2)))
    return shown


@dataclass(frozen=True)
class BufferBox:
    """A buffer of `size` bytes as a box in percent: time (kernel calls) to the right, addresses downwards."""

    name: str
    size: int
    left: float
    width: float
    top: float
    height: float


def ram_map(plan: PlanFile) -> list[BufferBox]:
    """Boxes of the arena's buffers; none where the product has no arena."""
    if not plan.arena.needed:
        return []
    calls, size = max(len(plan.calls), 1), max(plan.arena.size, 1)
    return [
        BufferBox(
            name=b.name,
            size=b.size,
            left=round(100 * b.calls[0] / calls, 2),
            width=round(100 * (b.calls[1] - b.calls[0] + 1) / calls, 2),
            top=round(100 * b.offset / size, 2),
            height=round(100 * b.size / size, 2),
        )
        for b in plan.arena.buffers
    ]


@dataclass(frozen=True)
class LayerRow:
    """A layer, its share of the cycles, and bytes of its constants; `width` is in percent of the slowest layer."""

    name: str
    kernel: str
    macs: int
    cycles: int
    width: float
    share: str
    per_mac: str
    constants: int


def layer_rows(simulated: SimulateFile, size: SizeFile) -> list[LayerRow]:
    """One row for each layer, in order of execution."""
    most = max([x.cycles for x in simulated.layers], default=1)
    total = max(simulated.cycles.max, 1)
    return [
        LayerRow(
            name=x.name,
            kernel=x.kernel,
            macs=x.macs,
            cycles=x.cycles,
            width=round(100 * x.cycles / most, 2),
            share=f"{100 * x.cycles / total:.1f} %",
            per_mac=f"{x.cycles / x.macs:.2f}" if x.macs else "-",
            constants=y.constants,
        )
        for x, y in zip(simulated.layers, size.layers, strict=True)
    ]
