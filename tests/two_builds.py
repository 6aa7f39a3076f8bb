"""Sides of a comparison made up from few words: what the tests of `chipfit diff` need without a build."""

from dataclasses import replace

from pipeline.facts.totals import Totals
from pipeline.judging.differences.diff import Origin, Snapshot
from pipeline.judging.figures import LayerFigures
from pipeline.measuring.footprint.size_file import SizedSymbol

TOTALS = Totals(6972, 0, 396, 3964, 82.583, 0.9625, 0.9615)


def layers(*rows: tuple[str, str, int, int]) -> tuple[LayerFigures, ...]:
    """Layers of name, kernel, cycles and bytes."""
    return tuple(LayerFigures(*row) for row in rows)


def symbols(**sizes: int) -> tuple[SizedSymbol, ...]:
    return tuple(SizedSymbol(name, size, "code") for name, size in sizes.items())


def snapshot(**changes: object) -> Snapshot:
    """A build with a layer, a symbol and a setting; `changes` are fields of a snapshot, of totals or of the origin."""
    origin = Origin(
        inputs={"model": "a" * 64, "calibration": "b" * 64},
        settings={"quantization.weights": "int5", "chip.clock": 48_000_000},
        tools={"compiler": "cc 1"},
        code={"pipeline/a.py": "c" * 64},
        widths={"conv": "int5"},
        calibrated={"y": "scale 1"},
    )
    made = Snapshot(TOTALS, origin, "fits", layers(("conv", "packed", 3900, 100)), symbols(run=8, conv=900), "d" * 64)
    for part, kind in (("totals", Totals), ("origin", Origin)):
        own = {n: v for n, v in changes.items() if n in kind.__dataclass_fields__}
        made = replace(made, **{part: replace(getattr(made, part), **own)})
    return replace(made, **{n: v for n, v in changes.items() if n in Snapshot.__dataclass_fields__})  # type: ignore[arg-type]
