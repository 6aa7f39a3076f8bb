"""Why two builds differ: first what they were made from, then what chipfit chose for it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.judging.differences.diff import Cause, Kind, LayerChange, Origin, Snapshot, SymbolChange
from pipeline.judging.figures import LayerFigures

_DIGEST = 12
"""Hexadecimal digits of a digest that are shown."""
_CALIBRATION = "calibration"


def causes(
    old: Snapshot, new: Snapshot, layers: Sequence[LayerChange], symbols: Sequence[SymbolChange]
) -> tuple[Cause, ...]:
    """Everything that differs, in a fixed order; what only one of the builds keeps a record of is left out."""
    a, b = old.origin, new.origin
    widths = _changed("width", a.widths, b.widths, both=True)
    calibrated = _changed("calibration", a.calibrated, b.calibrated, both=True)
    found = [
        *_inputs(a, b),
        *_settings(a.settings, b.settings),
        *_changed("tool", a.tools, b.tools),
        *_changed("code", _short(a.code), _short(b.code)),
        *_changed("arithmetic", _arithmetic(a.arithmetic), _arithmetic(b.arithmetic)),
        # Integers of another width are other integers: that says nothing more.
        *(c for c in calibrated if c.name not in {f"layer {w.name}" for w in widths}),
        *widths,
        *_kernels(layers),
        *_layers(layers),
    ]
    if symbols and (old.totals.flash, old.totals.ram) != (new.totals.flash, new.totals.ram):
        most = symbols[0]
        found.append(Cause("symbol", most.name, f"{most.old:,} B", f"{most.new:,} B"))
    return tuple(found)


def _inputs(old: Origin, new: Origin) -> list[Cause]:
    """Files that differ; that a build from a lock was given no calibration data is no cause: it does not calibrate."""
    found = _changed("data", _short(old.inputs), _short(new.inputs))
    if any(o.from_lock and _CALIBRATION not in o.inputs for o in (old, new)):
        found = [c for c in found if c.name != _CALIBRATION]
    return [Cause("model" if c.name.startswith("model") else "data", c.name, c.old, c.new) for c in found]


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Cause]:
    """Settings that differ; facts of the chip are of a kind of their own."""
    found = _changed("setting", {k: _text(v) for k, v in old.items()}, {k: _text(v) for k, v in new.items()})
    return [Cause("chip" if c.name.startswith("chip.") else "setting", c.name, c.old, c.new) for c in found]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _arithmetic(names: Sequence[str]) -> dict[str, str]:
    return {"arithmetic": ", ".join(names)} if names else {}


def _short(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: digest[:_DIGEST] for name, digest in digests.items()}


def _changed(kind: Kind, old: Mapping[str, str], new: Mapping[str, str], both: bool = False) -> list[Cause]:
    """What differs, by name; nothing where one side keeps no record at all, or, with `both`, does not have the name."""
    if not old or not new:
        return []
    names = sorted(old.keys() & new.keys() if both else old.keys() | new.keys())
    return [Cause(kind, n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]


def _kernels(layers: Sequence[LayerChange]) -> list[Cause]:
    """Other kernels for the same layers; of layers that share a call, each by its own name."""
    old, new = _parts(x.old for x in layers), _parts(x.new for x in layers)
    return _changed("kernel", old, new, both=True)


def _parts(calls: Iterable[LayerFigures | None]) -> dict[str, str]:
    """Kernel by layer, also where one call computes several."""
    return {part: call.kernel for call in calls if call is not None for part in call.name.split(_FUSED)}


_FUSED = " + "
"""Between the names of layers that one call computes."""


def _layers(layers: Sequence[LayerChange]) -> list[Cause]:
    """Layers that one build alone has, and those under another name."""
    pairs = [(c.old.name, c.new.name) for c in layers if c.change == "renamed" and c.old and c.new]
    renamed = {part for pair in pairs for name in pair for part in name.split(_FUSED)}
    old, new = _parts(x.old for x in layers).keys(), _parts(x.new for x in layers).keys()
    found = [Cause("layer", min(pair), *pair) for pair in pairs]
    found += [Cause("layer", n, n, None) for n in sorted(old - new - renamed)]
    return found + [Cause("layer", n, None, n) for n in sorted(new - old - renamed)]
