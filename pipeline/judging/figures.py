"""Figures of one built product: totals, and what each layer and each symbol takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_json
from pipeline.facts.totals import Totals
from pipeline.judging.verdict import Verdict
from pipeline.measuring.footprint.size_file import SizedSymbol, SizeFile
from pipeline.measuring.simulate_file import SimulateFile

T = TypeVar("T")


@dataclass(frozen=True)
class LayerFigures:
    """A kernel call in the order of execution: its variant, cycles of the slowest inference, bytes of constants."""

    name: str
    kernel: str
    cycles: int
    constants: int


@dataclass(frozen=True)
class Figures:
    """Of the product `product` on the chip `chip`; `symbols` are those of the linked library."""

    product: str
    chip: str
    totals: Totals
    layers: tuple[LayerFigures, ...]
    symbols: tuple[SizedSymbol, ...]


def totals_of(verdict: Verdict) -> Totals:
    """The totals that a verdict names."""
    return Totals(
        flash=verdict.flash.used,
        ram=verdict.ram.used,
        stack=verdict.stack.used,
        cycles=verdict.cycles,
        latency_us=verdict.latency_us,
        float_accuracy=verdict.accuracy.real,
        accuracy=verdict.accuracy.integer,
    )


def figures_of(build: Path, product: str) -> Figures:
    """Figures of a product that was built in the folder `build`; raises ChipfitError where a file of it is missing."""
    verdict = _read(build, product, "report/verdict.json", Verdict)
    size = _read(build, product, "size-check/size.json", SizeFile)
    simulated = _read(build, product, "simulate/simulate.json", SimulateFile)
    if [x.name for x in simulated.layers] != [x.name for x in size.layers]:
        raise ChipfitError(
            f"{product}: size.json and simulate.json have other layers", place=str(build), hint="Run the build again."
        )
    layers = tuple(
        LayerFigures(ran.name, ran.kernel, ran.cycles, sized.constants)
        for ran, sized in zip(simulated.layers, size.layers, strict=True)
    )
    return Figures(verdict.product, verdict.chip, totals_of(verdict), layers, size.symbols)


def _read(build: Path, product: str, name: str, kind: type[T]) -> T:
    try:
        return from_json(kind, (build / product / name).read_bytes(), f"{product}/{name}")
    except OSError as error:
        raise ChipfitError(f"{product}/{name} is missing", place=str(build), hint="Run chipfit build first.") from error
