"""A comparison in words and in cells of tables; nothing here is escaped, which each way of output does its own way."""

from dataclasses import dataclass

from pipeline.facts.text import shortened
from pipeline.facts.units import show_time
from pipeline.judging.differences.diff import Cause, Differences, FigureChange, LayerChange, ProductDiff, SymbolChange

MAX_ROWS = 20
"""Of a table of layers, of symbols, or a list of causes; the JSON has all."""
_LONGEST = 80
_SAME = "no change"
_NAMES = {"latency_us": "latency", "float_accuracy": "float accuracy", "ram": "RAM"}
_HEADLINE = ("flash", "ram", "stack", "cycles", "accuracy")


@dataclass(frozen=True)
class Row:
    """Cells of a row of figures: name, old, new, difference, percent."""

    name: str
    old: str
    new: str
    difference: str
    percent: str


def figure_name(name: str) -> str:
    return _NAMES.get(name, name)


def shown(name: str, value: float | None) -> str:
    """A figure with its unit; "-" where there is none."""
    if value is None:
        return "-"
    if name in ("flash", "ram", "stack"):
        return f"{value:,} B"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    return show_time(value / 1e6) if name == "latency_us" else f"{value:,}"


def difference(change: FigureChange) -> str:
    """The difference with its sign and unit: accuracy in points of percent; "" where there is none."""
    value = change.difference
    if not value:
        return ""
    if change.name.endswith("accuracy"):
        return f"{100 * value:+.2f} points"
    if change.name == "latency_us":
        return f"{'-' if value < 0 else '+'}{show_time(abs(value) / 1e6)}"
    return f"{value:+,}{'' if change.name == 'cycles' else ' B'}"


def percent(change: FigureChange) -> str:
    """The difference in percent of the old figure; "" where that says nothing."""
    value = change.percent
    return "" if not value or change.name.endswith("accuracy") else f"{value:+.1f} %"


def figure_rows(product: ProductDiff) -> list[Row]:
    """All figures that one of the builds has."""
    return [
        Row(figure_name(f.name), shown(f.name, f.old), shown(f.name, f.new), difference(f), percent(f))
        for f in product.figures
        if f.old is not None or f.new is not None
    ]


def headline(product: ProductDiff) -> str:
    """The figures that differ in a line: flash +128 B (+1.8 %), cycles +136 (+3.4 %)."""
    if product.state == "not compared":
        return f"not compared: {product.why}"
    if product.state in ("added", "removed"):
        index = 0 if product.state == "removed" else 1
        known = [(f.name, (f.old, f.new)[index]) for f in product.figures if f.name in _HEADLINE]
        sizes = ", ".join(f"{figure_name(n)} {shown(n, v)}" for n, v in known if v is not None)
        return f"{product.state}: {sizes}"
    parts = []
    for f in product.figures:
        if f.name in _HEADLINE and f.old != f.new:
            parts.append(_part(f))
    if product.verdict[0] != product.verdict[1] and None not in product.verdict:
        parts.append(f"{product.verdict[0]} → {product.verdict[1]}")
    return ", ".join(parts) or "same totals"


def _part(change: FigureChange) -> str:
    if change.difference is None:
        return f"{figure_name(change.name)} {shown(change.name, change.old)} → {shown(change.name, change.new)}"
    share = percent(change)
    return f"{figure_name(change.name)} {difference(change)}" + (f" ({share})" if share else "")


def told_and_unchanged(found: Differences) -> tuple[list[tuple[ProductDiff, str]], str]:
    """Every product of which there is something to say, with a line on it; one line for all of the others."""
    said = [(p, (unchanged(p) if p.state == "no change" else headline(p)) + _misses(p)) for p in found.products]
    same = ", ".join(p.product for p, line in said if line == _SAME)
    rest = f"{_SAME}: {same}" if same else "" if said else "no products"
    return [(p, line) for p, line in said if line != _SAME], rest


def _misses(product: ProductDiff) -> str:
    return f"; misses {', '.join(f.key for f in product.missed)}" if product.missed else ""


def missed_lines(product: ProductDiff) -> list[str]:
    """A line on each limit that the new side misses."""
    return [f"{f.key}: {f.sentence}" for f in product.missed]


def unchanged(product: ProductDiff) -> str:
    """A line on a product of which no figure differs."""
    if product.same_library or (product.same_library is None and not product.causes):
        return _SAME
    other = "" if product.same_library is None else ", though the library is not the same byte for byte"
    reasons = "; ".join(cause(c) for c in product.causes[:3])
    more = f"; {len(product.causes) - 3} more" if len(product.causes) > 3 else ""
    return f"{_SAME}{other}" + (f" ({reasons}{more})" if reasons else "")


def cause(found: Cause) -> str:
    """A cause as half a sentence."""
    name, old, new = shortened(found.name, _LONGEST), _value(found.old), _value(found.new)
    if found.kind == "layer":
        if found.old is None:
            return f"layer {name} is new"
        return f"layer {name} is gone" if found.new is None else f"layer {old} is now called {new}"
    arrow = f"{old} → {new}"
    return {
        "model": f"other model: {name} {arrow}",
        "data": f"other data: {name} {arrow}",
        "setting": f"{name}: {arrow}",
        "chip": f"{name}: {arrow}",
        "tool": f"{name}: {arrow}",
        "code": f"chipfit's own {name}: {arrow}",
        "arithmetic": f"{name}: {arrow}",
        "calibration": f"calibration of {name}: {arrow}",
        "width": f"weights of {name}: {arrow}",
        "kernel": f"kernel of {name}: {arrow}",
        "symbol": f"largest change of a symbol: {name}: {arrow}",
    }[found.kind]


def _value(text: str | None) -> str:
    return "not there" if text is None else shortened(text, _LONGEST)


def cause_lines(product: ProductDiff) -> list[str]:
    """The causes; of chipfit's own files, and of what calibration decided, their number where there are several."""
    lines: list[str] = []
    for found in product.causes:
        alike = [c for c in product.causes if c.kind == found.kind]
        if found.kind not in _COUNTED or len(alike) < 3:
            lines.append(cause(found))
        elif found == alike[0]:
            lines.append(f"{_COUNTED[found.kind].format(len(alike))}, such as {shortened(found.name, _LONGEST)}")
    if not lines:
        return ["no cause is on record"]
    return lines if len(lines) <= MAX_ROWS else [*lines[:MAX_ROWS], f"{len(lines) - MAX_ROWS} more, which --json has"]


_COUNTED = {
    "code": "chipfit's own code: {} files differ",
    "calibration": "calibration: {} tensors and layers have other scales or integers",
}
"""Kinds of causes of which there are mostly many at once."""


def layer_cells(change: LayerChange) -> tuple[str, str, str, str, str]:
    """Cells of a layer that differs: name, kernel, cycles old and new, their difference, difference in constants."""
    old, new = change.old, change.new
    name = " → ".join(dict.fromkeys(shortened(x.name) for x in (old, new) if x is not None))
    kernel = " → ".join(dict.fromkeys("not there" if x is None else x.kernel for x in (old, new)))
    cycles = " → ".join(dict.fromkeys("0" if x is None else f"{x.cycles:,}" for x in (old, new)))
    more = f"{change.cycles:+,}" if change.cycles else ""
    return name, kernel, cycles, more, f"{change.constants:+,} B" if change.constants else ""


def symbol_cells(change: SymbolChange) -> tuple[str, str, str, str]:
    """Cells of a symbol that differs: name, bytes old and new, difference."""
    old, new = (f"{x:,} B" if x else "not there" for x in (change.old, change.new))
    return shortened(change.name), old, new, f"{change.difference:+,} B"


def sides(comparison: Differences) -> str:
    return f"{comparison.old} → {comparison.new}"
