"""Output for people: progress of long work, and tables."""

import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.cores import APPLICATION
from pipeline.facts.errors import ChipfitError
from pipeline.facts.text import in_sentence, shortened, visible
from pipeline.facts.units import show_size, show_time

if TYPE_CHECKING:  # it imports every operator, which a build with nothing to do must not wait for
    from pipeline.judging.report.plan import Explained
    from pipeline.judging.verdict import Verdict
    from pipeline.planning.estimate import Estimate, Need


def progress(what: str, done: int, total: int) -> None:
    """A bar on a terminal while work of many steps goes on; nothing elsewhere, nor when stages run side by side."""
    stream = sys.__stderr__
    if stream is None or not stream.isatty() or total < 2 or multiprocessing.parent_process() is not None:
        return
    from rich.console import Console
    from rich.progress import Progress

    if what not in _bars:
        bar = Progress(console=Console(file=stream), transient=True)
        bar.start()
        _bars[what] = bar, bar.add_task(what, total=total)
    bar, task = _bars[what]
    bar.update(task, completed=done)
    if done == total:
        bar.stop()
        del _bars[what]


_bars: dict[str, Any] = {}


def table(build: Path, products: Sequence[str]) -> str:
    """Table of verdicts, one row per product that has one."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pipeline.judging.verdict import read_verdict

    grid = Table(box=SIMPLE, pad_edge=False)
    grid.add_column("product", no_wrap=True)  # many variants begin alike
    grid.add_column("chip")
    for heading in (
        "flash used/free",
        "RAM used/free",
        "stack",
        "cycles",
        "latency/budget",
        "accuracy float/int",
    ):
        grid.add_column(heading, justify="right")
    grid.add_column("verdict")
    rows = 0
    for product in products:
        try:
            verdict = read_verdict((build / product / "report" / "verdict.json").read_bytes())
        except (OSError, ChipfitError):
            continue
        rows += 1
        grid.add_row(*_row(verdict), style=None if verdict.passed else "bold")
    if not rows:
        return ""
    return rendered(grid, 130 + name_width(products))


def name_width(products: Sequence[str]) -> int:
    """Characters of a column that holds every name."""
    return max([20, *map(len, products)])


def rendered(grid: Any, width: int = 150) -> str:
    """A table as wide as the terminal, or `width` characters where there is none."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else width, force_terminal=terminal, highlight=False)
    with console.capture() as captured:
        console.print(grid)
    return captured.get()


def cell(text: str) -> str:
    """A name from a model file as a table cell, without control characters and rich's markup."""
    from rich.markup import escape

    return escape(visible(shortened(text)))


def print_estimate(model: str, estimate: "Estimate") -> None:
    """Print the tables of `chipfit estimate`."""
    from rich.box import SIMPLE
    from rich.table import Table

    layers = Table(box=SIMPLE, pad_edge=False)
    for heading in ("layer", "operator", "output"):
        layers.add_column(heading)
    for heading in ("parameters", "MACs", "activation bytes"):
        layers.add_column(heading, justify="right")
    for row in estimate.layers:
        shape = "x".join(str(d) for d in row.shape)
        layers.add_row(
            cell(row.name), cell(row.operator), shape, f"{row.parameters:,}", f"{row.macs:,}", f"{row.bytes:,}"
        )
    print(rendered(layers), end="")
    print(
        f"{in_sentence(model)}: {estimate.parameters:,} parameters, {estimate.macs:,} multiply-accumulates, "
        f"{show_size(estimate.arena)} of activations alive at once, {show_size(estimate.ports)} of inputs and outputs"
    )
    chips = Table(box=SIMPLE, pad_edge=False)
    for heading in ("chip", "core"):
        chips.add_column(heading)
    for heading in ("flash", "RAM", "latency"):
        chips.add_column(heading, justify="right")
    chips.add_column("fits")
    for need in estimate.chips:
        chips.add_row(
            need.chip,
            need.core,
            " .. ".join(show_size(f) for f in need.flash),
            show_size(need.ram),
            " .. ".join(show_time(s) for s in need.seconds),
            f"no: {', '.join(need.lacks)}" if need.lacks else "yes" if need.fits else _undecided(need),
        )
    print(rendered(chips), end="")
    print("All as int8. Flash and latency are ranges until a build has measured them; `fits` is for the whole chip.")


def print_plan(product: str, explained: "Explained") -> None:
    """Print one product's table of `chipfit explain`."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pipeline.judging.report.plan import brief

    grid = Table(box=SIMPLE, pad_edge=False)
    for heading in ("layer", "variant"):
        grid.add_column(heading)
    waiting = any(row.wait_cycles for row in explained.layers)
    for heading in ("cycles", *(("waits",) if waiting else ()), "/ bound", "flash", "stack"):
        grid.add_column(heading, justify="right")
    grid.add_column("instead")
    for row in explained.layers:
        cycles = row.measured if row.cycles is None else row.cycles
        grid.add_row(
            cell(brief(row.layer)),
            row.variant,
            "?" if cycles is None else f"{cycles:,}",
            *((f"~{row.wait_cycles:,}",) if waiting else ()),
            f"{row.ratio:.2f}" if row.ratio else "-",
            f"{row.flash:,} B",
            "-" if row.stack is None else f"{row.stack} B",
            "\n".join(cell(f"{a.variant}: {a.why}") for a in row.alternatives) or "-",
        )
    print(in_sentence(f"{product}: {' '.join(explained.sentences)}"))
    print(rendered(grid), end="")
    verdict = explained.verdict
    if verdict:
        used = f"{show_size(verdict.flash.used)} of flash, {verdict.stack.used} B of stack"
        print(f"Measured: {verdict.cycles:,} cycles with every wait state counted, {used}.\n")


def _undecided(need: "Need") -> str:
    return "-" if need.core == APPLICATION else "perhaps"


def _row(verdict: "Verdict") -> list[str]:
    def pair(used: str, limit: str | None) -> str:
        return f"{used} / {limit}" if limit else used

    limit_us, accuracy = verdict.latency_limit_us, verdict.accuracy
    shares = "-"
    if accuracy.integer is not None:
        real = "-" if accuracy.real is None else f"{100 * accuracy.real:.2f}"
        shares = f"{real} / {100 * accuracy.integer:.2f} %"
    return [
        cell(verdict.product),
        cell(verdict.chip),
        pair(show_size(verdict.flash.used), show_size(verdict.flash.limit)),
        pair(show_size(verdict.ram.used), show_size(verdict.ram.limit)),
        "?" if verdict.stack.used is None else f"{verdict.stack.used} B",
        f"{verdict.cycles:,}",
        pair(show_time(verdict.latency_us / 1e6), None if limit_us is None else show_time(limit_us / 1e6)),
        shares,
        verdict.verdict if verdict.passed else verdict.verdict.upper(),
    ]
