"""Output for people: one line per stage, progress of long work, tables, and one line per error."""

import io
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from pipeline.facts.cores import APPLICATION
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_json
from pipeline.facts.text import in_sentence, shortened, visible
from pipeline.facts.units import show_size, show_time
from stages.app.crash import ending_crashes, say_crash
from stages.app.failures import grouped
from stages.app.outcomes import origins
from stages.app.publish import Result, comparison_of, finished, publish

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


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's reporter: prints each stage and its time, then the table of verdicts, then the errors."""

    desc = "chipfit"

    def __init__(
        self,
        outstream: Any,
        options: dict[str, Any],
        build: Path,
        products: Sequence[str],
        others: Sequence[str] = (),
        results: list[Result] | None = None,
    ) -> None:
        super().__init__(outstream if results is None else sys.stderr, options)
        self._build, self._products, self._others, self._results = build, products, others, results
        self._outcomes: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._seen: set[str] = set()

    def write(self, text: str) -> None:
        try:
            super().write(text)
        except BrokenPipeError:  # whoever read it has enough; the build goes on
            self.outstream = io.StringIO()

    def execute_task(self, task: Any) -> None:
        self._started[task.name] = time.monotonic()

    def add_success(self, task: Any) -> None:
        if task.actions and ":" in task.name and task.name in self._started:
            self._outcomes[task.name] = task.values.get("outcome", "ran")
            if self._outcomes[task.name] == "ran":
                stage, _, product = task.name.partition(":")
                took = time.monotonic() - self._started[task.name]
                self.write(f"{stage:<11} {product:<{_width(self._products)}} {took:6.2f} s\n")
        self._seen.add(task.name)

    def skip_uptodate(self, task: Any) -> None:
        if task.actions and ":" in task.name:
            self._outcomes[task.name] = "up to date"
        self._seen.add(task.name)

    def add_failure(self, task: Any, fail: Any) -> None:
        own = "not run" if isinstance(fail, UnmetDependency) else "failed"
        self._outcomes[task.name] = task.values.get("outcome", own)  # a report that tells of a missed rule was made
        self._seen.add(task.name)
        self.failures.append({"task": task, "exception": fail})

    def cleanup_error(self, exception: Any) -> None:
        sys.stderr.write(exception.get_msg())

    def complete_run(self) -> None:
        """The table and every error once; a stage that did not run because an earlier one failed is none of its own.

        Raises SystemExit: with 1 where doit would make of such a stage the exit code 2, and 2 for a fault of chipfit.
        """
        with ending_crashes("the end of the build"):
            code = self._complete()
        if code:
            raise SystemExit(code)

    def _complete(self) -> int:
        stopped = {f["task"].name.partition(":")[2] for f in self.failures if not f["task"].name.startswith("report:")}
        asked = [p for p in self._products if f"report:{p}" in self._seen and p not in stopped]
        if asked:
            self.write(table(self._build, asked))
        self.write(origins(self._counts()))
        lines: dict[str, tuple[str, ...]] = {}
        crashes: dict[str, tuple[str, ...]] = {}
        for name, error in ((f["task"].name, f["exception"]) for f in self.failures):
            if isinstance(error, TaskFailed):
                lines[name] = tuple(error.get_msg().strip().splitlines())
            elif not isinstance(error, UnmetDependency):
                crashes[name] = (say_crash(error.traceback or [error.message], name),)
        printed = grouped(lines)
        run = finished(self._build, (*self._products, *self._others), asked, {**lines, **crashes})
        broken: list[str] = []
        try:
            comparison = publish(run)
        except ChipfitError as error:  # where something failed before, that is most likely why
            comparison, broken = comparison_of(run), [str(error)]
        printed = printed or broken
        for line in printed:
            sys.stderr.write(f"{line}\n")
        if self._results is not None:
            named = tuple(p for p in self._products if p in asked or p in run.errors)
            self._results.append(Result(comparison, named, tuple(broken), self._counts()))
        return 2 if crashes else bool(printed)

    def _counts(self) -> dict[str, int]:
        """How many stages ended how."""
        return {how: list(self._outcomes.values()).count(how) for how in sorted(set(self._outcomes.values()))}


def reporter(
    build: Path, products: Sequence[str], others: Sequence[str] = (), results: list[Result] | None = None
) -> type[Reporter]:
    """The reporter of these products' builds, as doit takes one: a class that it makes an object of.

    `others` are products of the repository that this build is not about; the run's result is added to `results`.
    """

    class ProductReporter(Reporter):
        def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
            super().__init__(outstream, options, build, products, others, results)

    return ProductReporter


def table(build: Path, products: Sequence[str]) -> str:
    """Table of verdicts, one row per product that has one."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pipeline.judging.verdict import Verdict

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
            verdict = from_json(Verdict, (build / product / "report" / "verdict.json").read_bytes(), "verdict.json")
        except (OSError, ChipfitError):
            continue
        rows += 1
        grid.add_row(*_row(verdict), style=None if verdict.passed else "bold")
    if not rows:
        return ""
    return rendered(grid, 130 + _width(products))


def _width(products: Sequence[str]) -> int:
    return max(20, *map(len, products))


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
