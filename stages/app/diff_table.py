"""Tables of `chipfit diff` on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages.app.terminal import cell, rendered

if TYPE_CHECKING:
    from pipeline.judging.differences.diff import Differences, ProductDiff


def print_differences(comparison: "Differences") -> None:
    """Print a line for each product, and for those that differ causes and tables."""
    from pipeline.facts.text import in_sentence
    from pipeline.judging.differences.wording import missed_lines, sides, told_and_unchanged

    print(in_sentence(sides(comparison)))
    told, same = told_and_unchanged(comparison)
    for product, said in told:
        print(in_sentence(f"{product.product}: {said}"))
        for line in missed_lines(product):
            print(in_sentence(f"  missed: {line}"))
        if product.state == "changed":
            _print_tables(product)
    if same:
        print(in_sentence(same))


def _print_tables(product: "ProductDiff") -> None:
    from pipeline.facts.text import in_sentence
    from pipeline.judging.differences.wording import cause_lines, figure_rows, layer_cells, symbol_cells

    for line in cause_lines(product):
        print(in_sentence(f"  because: {line}"))
    figures = [(r.name, r.old, r.new, r.difference, r.percent) for r in figure_rows(product)]
    print(_table(("figure", "old", "new", "difference", ""), 1, figures), end="")
    if product.layers:
        headings = ("layer", "kernel", "cycles", "difference", "constants")
        print(_table(headings, 2, [layer_cells(x) for x in product.layers]), end="")
    if product.symbols:
        print(_table(("symbol", "old", "new", "difference"), 1, [symbol_cells(x) for x in product.symbols]), end="")


def _table(headings: Sequence[str], left: int, rows: Sequence[Sequence[str]]) -> str:
    """A table whose first `left` columns are texts, the others numbers; at most MAX_ROWS rows."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pipeline.judging.differences.wording import MAX_ROWS

    grid: Any = Table(box=SIMPLE, pad_edge=False)
    for index, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if index < left else "right")
    for row in rows[:MAX_ROWS]:
        grid.add_row(*map(cell, row))
    more = f"{len(rows) - MAX_ROWS} more, which --json has\n" if len(rows) > MAX_ROWS else ""
    return rendered(grid) + more
