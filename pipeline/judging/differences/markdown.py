"""A comparison as Markdown for a pull request: a line for each product, and what differs folded below it."""

from collections.abc import Iterable, Sequence

from pipeline.facts.text import in_markdown
from pipeline.judging.differences.diff import Differences, ProductDiff
from pipeline.judging.differences.wording import (
    MAX_ROWS,
    cause_lines,
    figure_rows,
    layer_cells,
    missed_lines,
    sides,
    symbol_cells,
    told_and_unchanged,
)

MAX_CHARACTERS = 60_000
"""A comment on a pull request may have 65,536."""


def render_differences(found: Differences) -> str:
    """The Markdown; every name of it means only itself, whatever characters it has.

    Where it would be longer than a comment may be, products have their line alone.
    """
    text = _rendered(found, folded=True)
    return text if len(text) <= MAX_CHARACTERS else _rendered(found, folded=False)


def _rendered(found: Differences, folded: bool) -> str:
    lines = [f"### chipfit: {in_markdown(sides(found))}", ""]
    told, same = told_and_unchanged(found)
    for product, said in told:
        if product.state == "changed" and folded:
            lines += _folded(product, said)
        else:
            lines += [f"**{in_markdown(product.product)}**: {in_markdown(said)}", "", *_missed(product)]
    if same:
        lines += [in_markdown(same), ""]
    if not folded:
        lines += ["Layers, symbols and causes are left out: `--json` has them, and `--product` shows one.", ""]
    return "\n".join(lines)


def _missed(product: ProductDiff) -> list[str]:
    """A list of the limits that the new side misses, and an empty line; nothing where there are none."""
    lines = [f"* **missed**: {in_markdown(x)}" for x in missed_lines(product)]
    return [*lines, ""] if lines else []


def _folded(product: ProductDiff, said: str) -> list[str]:
    title = f"<b>{in_markdown(product.product)}</b>: {in_markdown(said)}"
    lines = ["<details>", f"<summary>{title}</summary>", "", *_missed(product)]
    lines += [f"* {in_markdown(x)}" for x in cause_lines(product)]
    rows = [(r.name, r.old, r.new, r.difference, r.percent) for r in figure_rows(product)]
    lines += _table("| figure | old | new | difference | |", "|---|---:|---:|---:|---:|", rows)
    layers = [layer_cells(x) for x in product.layers]
    lines += _table("| layer | kernel | cycles | difference | constants |", "|---|---|---:|---:|---:|", layers)
    symbols = [symbol_cells(x) for x in product.symbols]
    lines += _table("| symbol | old | new | difference |", "|---|---:|---:|---:|", symbols)
    return [*lines, "", "</details>", ""]


def _table(head: str, rule: str, rows: Sequence[Iterable[str]]) -> list[str]:
    """A table of at most MAX_ROWS rows, and how many more there are; nothing without rows."""
    if not rows:
        return []
    lines = ["", head, rule, *(f"| {' | '.join(map(in_markdown, row))} |" for row in rows[:MAX_ROWS])]
    return lines if len(rows) <= MAX_ROWS else [*lines, "", f"{len(rows) - MAX_ROWS} more, which `--json` has"]
