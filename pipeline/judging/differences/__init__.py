"""Two builds of the same products compared: figures, layers and symbols that differ, and what made them differ."""

from collections.abc import Mapping
from dataclasses import fields, replace

from pipeline.facts.config.models import Regression
from pipeline.facts.totals import Totals
from pipeline.judging.differences.causes import causes
from pipeline.judging.differences.diff import Differences, FigureChange, ProductDiff, Snapshot
from pipeline.judging.differences.matching import compared_layers, compared_symbols
from pipeline.judging.regression import Compared, findings, other_target
from pipeline.judging.verdict import Finding

Side = Mapping[str, Snapshot | str | None]
"""Products of one side by name; a sentence stands for one that does not build, None for one that nobody asked for."""


def compare(old_name: str, old: Side, new_name: str, new: Side) -> Differences:
    """The comparison of two sides; with the sides exchanged it is the same with old and new exchanged."""
    names = sorted(n for n in old.keys() | new.keys() if old.get(n) is not None or new.get(n) is not None)
    return Differences(
        old_name, new_name, tuple(_product(n, old_name, old.get(n), new_name, new.get(n)) for n in names)
    )


def with_regression(comparison: Differences, old: Side, new: Side) -> Differences:
    """The comparison with the findings on what each product that both sides have may lose, as its new side says."""
    products = []
    for product in comparison.products:
        before, after = old.get(product.product), new.get(product.product)
        if isinstance(before, Snapshot) and isinstance(after, Snapshot) and after.limits is not None:
            found = _regression(comparison.old, before, after, after.limits)
            product = replace(product, regression=found)
        products.append(product)
    return replace(comparison, products=tuple(products))


def _regression(name: str, old: Snapshot, new: Snapshot, limits: Regression) -> tuple[Finding, ...]:
    """Of another chip or core, figures say nothing of this one."""
    facts = [(what, old.chip.get(what), new.chip.get(what)) for what in ("chip", "core")]
    return findings(Compared(limits, other_target(name, facts) or old.totals, new.totals, old=name))


def _product(
    name: str, old_name: str, old: Snapshot | str | None, new_name: str, new: Snapshot | str | None
) -> ProductDiff:
    failed = [f"{side}: {s}" for side, s in ((old_name, old), (new_name, new)) if isinstance(s, str)]
    if isinstance(old, str) or isinstance(new, str):
        return ProductDiff(name, "not compared", why="; ".join(failed))
    if old is None or new is None:
        only = old or new
        assert only is not None
        figures = _figures(old.totals if old else None, new.totals if new else None)
        verdict = (old.verdict if old else None, new.verdict if new else None)
        return ProductDiff(name, "removed" if old else "added", verdict, figures=figures)
    return _compared(name, old, new)


def _compared(name: str, old: Snapshot, new: Snapshot) -> ProductDiff:
    figures = _figures(old.totals, new.totals)
    layers = compared_layers(old.layers, new.layers) if old.layers is not None and new.layers is not None else ()
    symbols = compared_symbols(old.symbols, new.symbols) if old.symbols is not None and new.symbols is not None else ()
    verdict = (old.verdict, new.verdict)
    known = None not in verdict
    same_verdict = not known or old.verdict == new.verdict
    same = not layers and not symbols and same_verdict and all(f.old == f.new for f in figures)
    return ProductDiff(
        product=name,
        state="no change" if same else "changed",
        verdict=verdict,
        same_library=_same_library(old, new),
        figures=figures,
        layers=layers,
        symbols=symbols,
        causes=causes(old, new, layers, symbols),
    )


def _same_library(old: Snapshot, new: Snapshot) -> bool | None:
    """Whether machine code, or files where a side has none, are the same; None where a side has neither."""
    for one, other in ((old.library, new.library), (old.files, new.files)):
        if one is not None and other is not None:
            return one == other
    return None


def _figures(old: Totals | None, new: Totals | None) -> tuple[FigureChange, ...]:
    return tuple(_figure(f.name, getattr(old, f.name, None), getattr(new, f.name, None)) for f in fields(Totals))


def _figure(name: str, old: float | None, new: float | None) -> FigureChange:
    if old is None or new is None:
        return FigureChange(name, old, new, None, None)
    difference = round(new - old, 9)
    return FigureChange(name, old, new, difference, round(100 * difference / old, 4) if old else None)
