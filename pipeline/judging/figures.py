"""Figures of one built product: totals, and what each layer and each symbol takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.facts.artifact import digests, sha256
from pipeline.facts.decisions import Decisions
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import file_size, is_file
from pipeline.facts.records import from_json
from pipeline.facts.totals import LARGEST, Totals
from pipeline.judging.verdict import Verdict
from pipeline.measuring.footprint.size_file import SizedSymbol, SizeFile
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.planning.plan_file import PlanFile
from pipeline.quantizing.quantize_file import QuantizeFile

T = TypeVar("T")
_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class LayerFigures:
    """A kernel call in the order of execution: its variant, cycles of the slowest inference, bytes of constants."""

    name: str
    kernel: str
    cycles: int
    constants: int


@dataclass(frozen=True)
class Figures:
    """Of one built product. `library` is the digest of the linked machine code that was measured; `network` and
    `sources` are those of the files of the integer network and of the library, by name.

    `weighted` are the layers with weights by their names in the network: of several, one kernel call may compute all.
    `decisions` are those of calibration; None where an older chipfit kept none.
    """

    verdict: str
    totals: Totals
    layers: tuple[LayerFigures, ...]
    symbols: tuple[SizedSymbol, ...]
    weighted: tuple[str, ...]
    decisions: Decisions | None
    toolchain: str
    library: str
    network: Mapping[str, str]
    sources: Mapping[str, str]
    arithmetic: tuple[str, ...]


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
    """Figures of a product that was built in the folder `build`.

    Raises ChipfitError where a file of it is missing, damaged, or was changed after it was made.
    """
    verdict = _read(build, product, "report", "verdict.json", Verdict)
    quantized = _read(build, product, "quantize", "quantize.json", QuantizeFile)
    network, sources = (digests(build / product / stage) for stage in ("quantize", "codegen"))
    recorded = "decisions.json" in network
    decisions = _read(build, product, "quantize", "decisions.json", Decisions) if recorded else None
    plan = _read(build, product, "codegen", "plan.json", PlanFile)
    size = _read(build, product, "size-check", "size.json", SizeFile)
    simulated = _read(build, product, "simulate", "simulate.json", SimulateFile)
    if [x.name for x in simulated.layers] != [x.name for x in size.layers]:
        raise _unusable(build, f"{product}: size.json and simulate.json have other layers")
    layers = tuple(
        LayerFigures(ran.name, ran.kernel, ran.cycles, sized.constants)
        for ran, sized in zip(simulated.layers, size.layers, strict=True)
    )
    totals = totals_of(verdict)
    numbers = [*vars(totals).values(), *(n for x in layers for n in (x.cycles, x.constants))]
    if not all(n is None or 0 <= n < LARGEST for n in (*numbers, *(s.size for s in size.symbols))):
        raise _unusable(build, f"{product}: a figure is no number of bytes, cycles or samples")
    return Figures(
        verdict=verdict.verdict,
        totals=totals,
        layers=layers,
        symbols=size.symbols,
        weighted=tuple(x.name for x in quantized.layers),
        decisions=decisions,
        toolchain=size.toolchain,
        library=digests(build / product / "size-check").get("library.elf", ""),
        network={n: d for n, d in network.items() if n in ("graph.json", "weights.bin")},
        sources={n: d for n, d in sources.items() if n != "plan.json"},
        arithmetic=plan.arithmetic,
    )


def _read(build: Path, product: str, stage: str, name: str, kind: type[T]) -> T:
    folder = build / product / stage
    path, shown = folder / name, f"{product}/{stage}/{name}"
    if not is_file(path):
        raise ChipfitError(f"{shown} is missing", place=str(build), hint="Run chipfit build first.")
    if file_size(path) > _MAX_BYTES:
        raise _unusable(build, f"{shown} has {file_size(path)} bytes, the limit is {_MAX_BYTES}")
    data, recorded = path.read_bytes(), digests(folder)
    if not recorded:
        raise _unusable(build, f"{product}/{stage} has no stamp of this version of chipfit")
    if sha256(data) != recorded.get(name):
        raise _unusable(build, f"{shown} was changed after it was made")
    try:
        return from_json(kind, data, shown)
    except RecursionError as error:
        raise _unusable(build, f"{shown} is damaged") from error


def _unusable(build: Path, message: str) -> ChipfitError:
    return ChipfitError(message, place=str(build), hint="Run the build again.")
