"""build/index.html: all products of a repository on one page, as a table and as charts."""

import re
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.facts.text import visible
from pipeline.facts.units import show_size, show_time
from pipeline.judging.comparison import ComparedProduct, ComparisonFile
from pipeline.judging.report.comparison_plot import accuracy_chart, latency_chart
from pipeline.judging.report.environment import environment, styles


@dataclass(frozen=True)
class Cell:
    """A figure, what it may be at most, whether it is more, and the number to sort by."""

    text: str
    limit: str
    over: bool
    key: float


@dataclass(frozen=True)
class ComparisonRow:
    """A product and its figures, in the order of `COLUMNS`."""

    product: ComparedProduct
    cells: tuple[Cell, ...]
    missed: tuple[str, ...]


COLUMNS = ("flash", "RAM", "stack", "cycles", "latency", "accuracy, float", "accuracy, integer")


def render_comparison(file: ComparisonFile) -> str:
    """The HTML page as a string; it contains everything that it needs and loads nothing."""
    pages = environment()
    pages.filters["breakable"] = breakable
    return pages.get_template("comparison.html.j2").render(
        style=styles("style.css", "comparison.css"),
        columns=COLUMNS,
        rows=[_row(p) for p in file.products],
        fitting=sum(p.passed for p in file.products),
        charts=[c for c in (latency_chart(file.products), accuracy_chart(file.products)) if c],
        without_accuracy=sum(p.accuracy.integer is None for p in file.products),
        unfinished=file.unfinished,
        left_out=file.left_out,
    )


def breakable(name: str) -> Markup:
    """A name as HTML that a narrow column may break behind `_`, `.` and `-` rather than anywhere."""
    return Markup("<wbr>").join(re.split(r"(?<=[_.\-])(?=.)", visible(name)))


def _row(p: ComparedProduct) -> ComparisonRow:
    limit_us, stack = p.latency_limit_us, p.stack
    cells = (
        Cell(show_size(p.flash.used), show_size(p.flash.limit), p.flash.used > p.flash.limit, p.flash.used),
        Cell(show_size(p.ram.used), show_size(p.ram.limit), p.ram.used > p.ram.limit, p.ram.used),
        Cell(
            "?" if stack.used is None else f"{stack.used:,} B",
            "" if stack.limit is None else show_size(stack.limit),
            stack.limit is not None and (stack.used is None or stack.used > stack.limit),
            -1 if stack.used is None else stack.used,
        ),
        Cell(f"{p.cycles:,}", "", False, p.cycles),
        Cell(
            show_time(p.latency_us / 1e6),
            "" if limit_us is None else show_time(limit_us / 1e6),
            limit_us is not None and p.latency_us > limit_us,
            p.latency_us,
        ),
        _share(p.accuracy.real),
        _share(p.accuracy.integer),
    )
    return ComparisonRow(p, cells, tuple(m.rule.removeprefix("budget.") for m in p.missed))


def _share(share: float | None) -> Cell:
    return Cell("-", "", False, -1) if share is None else Cell(f"{100 * share:.2f} %", "", False, share)
