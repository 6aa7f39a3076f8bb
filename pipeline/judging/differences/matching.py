"""Layers and symbols of two builds, matched by name: those that differ, the largest change first."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from pipeline.judging.differences.diff import LayerChange, SymbolChange
from pipeline.judging.figures import LayerFigures
from pipeline.measuring.footprint.size_file import SizedSymbol

T = TypeVar("T")


def compared_layers(old: Sequence[LayerFigures], new: Sequence[LayerFigures]) -> tuple[LayerChange, ...]:
    """The layers that differ, by size of the change in cycles, then in bytes, then by name."""
    both, gone, fresh = _matched(old, new, lambda x: x.name)
    renamed, gone, fresh = _matched(gone, fresh, lambda x: (x.kernel, x.cycles, x.constants))
    changes = [_layer("changed", a, b) for a, b in both if a != b]
    changes += [_layer("renamed", a, b) for a, b in renamed]
    changes += [_layer("removed", a, None) for a in gone]
    changes += [_layer("added", None, b) for b in fresh]
    return tuple(sorted(changes, key=_rank))


def _layer(
    change: Literal["changed", "added", "removed", "renamed"], old: LayerFigures | None, new: LayerFigures | None
) -> LayerChange:
    cycles = (new.cycles if new else 0) - (old.cycles if old else 0)
    return LayerChange(change, old, new, cycles, (new.constants if new else 0) - (old.constants if old else 0))


def _rank(change: LayerChange) -> tuple[int, int, list[str]]:
    names = sorted(x.name for x in (change.old, change.new) if x is not None)
    return -abs(change.cycles), -abs(change.constants), names


def compared_symbols(old: Sequence[SizedSymbol], new: Sequence[SizedSymbol]) -> tuple[SymbolChange, ...]:
    """The symbols whose size differs, by size of the change, then by name."""
    both, gone, fresh = _matched(old, new, lambda x: x.name)
    changes = [SymbolChange(a.name, a.size, b.size, b.size - a.size) for a, b in both if a.size != b.size]
    changes += [SymbolChange(a.name, a.size, 0, -a.size) for a in gone if a.size]
    changes += [SymbolChange(b.name, 0, b.size, b.size) for b in fresh if b.size]
    return tuple(sorted(changes, key=lambda c: (-abs(c.difference), c.name, c.old + c.new)))


def _matched(
    old: Sequence[T], new: Sequence[T], key: Callable[[T], object]
) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Pairs of equal `key`, the first of several with the first; then what is left of `old`, and of `new`."""
    waiting: dict[object, list[T]] = {}
    for item in new:
        waiting.setdefault(key(item), []).append(item)
    pairs, gone = [], []
    for item in old:
        same = waiting.get(key(item))
        if same:
            pairs.append((item, same.pop(0)))
        else:
            gone.append(item)
    left = {id(x) for items in waiting.values() for x in items}
    return pairs, gone, [x for x in new if id(x) in left]
