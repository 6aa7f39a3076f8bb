"""What a comparison of two builds says: both sides, and every difference, as records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.facts.config.models import Regression
from pipeline.facts.totals import Totals
from pipeline.judging.figures import LayerFigures
from pipeline.judging.verdict import Finding
from pipeline.measuring.footprint.size_file import SizedSymbol


@dataclass(frozen=True)
class Origin:
    """What a build was made from, by name: digests of the user's files and of chipfit's own, settings by dotted key,
    versions of tools; names of the arithmetic, if known; the width of each layer's weights, such as int8; what
    calibration decided for each tensor and layer, as a text. `from_lock`: it was built from a lock, and is given only
    the data that this needs."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    arithmetic: tuple[str, ...] = ()
    widths: Mapping[str, str] = field(default_factory=dict)
    calibrated: Mapping[str, str] = field(default_factory=dict)
    from_lock: bool = False


@dataclass(frozen=True)
class Snapshot:
    """One side of a comparison: a built product, or what a lock says of it.

    `library` is the digest of the linked library, `files` that of the files of network and library. `layers`,
    `symbols`, the words of the verdict and `library` are None where a lock stands for the build. `chip` are the names
    of chip and core; `limits` are what the YAML lets it lose, None where that is not on record; `places` says how a
    message on one of them begins, by its dotted key.
    """

    totals: Totals
    origin: Origin
    verdict: str | None = None
    layers: tuple[LayerFigures, ...] | None = None
    symbols: tuple[SizedSymbol, ...] | None = None
    library: str | None = None
    files: str | None = None
    chip: Mapping[str, str] = field(default_factory=dict)
    limits: Regression | None = None
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FigureChange:
    """A figure of both builds; `difference` is None where one of them has none, `percent` also where the old is 0."""

    name: str
    old: float | None
    new: float | None
    difference: float | None
    percent: float | None


@dataclass(frozen=True)
class LayerChange:
    """A kernel call that is not the same in both builds; `cycles` and `constants` (bytes) are new less old.

    A renamed layer has the same figures under another name.
    """

    change: Literal["changed", "added", "removed", "renamed"]
    old: LayerFigures | None
    new: LayerFigures | None
    cycles: int
    constants: int


@dataclass(frozen=True)
class SymbolChange:
    """Bytes of a symbol of the linked library, 0 where it is not in one; `difference` is new less old."""

    name: str
    old: int
    new: int
    difference: int


Kind = Literal[
    "model", "data", "setting", "chip", "tool", "code",
    "arithmetic", "calibration", "width", "kernel", "layer", "symbol",
]  # fmt: skip


@dataclass(frozen=True)
class Cause:
    """Something that differs between what two builds were made from, or what chipfit chose for them."""

    kind: Kind
    name: str
    old: str | None
    new: str | None


State = Literal["no change", "changed", "added", "removed", "not compared"]


@dataclass(frozen=True)
class ProductDiff:
    """One product of both builds. `same_library` says whether the linked machine code is the same byte for byte, or,
    where a lock stands for a build, the files of network and library.

    `regression` are the findings on what the new build may lose, if they were asked for. `why` says for a product that
    was not compared what kept it from being built.
    """

    product: str
    state: State
    verdict: tuple[str | None, str | None] = (None, None)
    same_library: bool | None = None
    figures: tuple[FigureChange, ...] = ()
    layers: tuple[LayerChange, ...] = ()
    symbols: tuple[SymbolChange, ...] = ()
    causes: tuple[Cause, ...] = ()
    regression: tuple[Finding, ...] = ()
    why: str = ""

    @property
    def missed(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.regression if not f.passed)


@dataclass(frozen=True)
class Differences:
    """All products of the builds named `old` and `new`, in the order of their names."""

    old: str
    new: str
    products: tuple[ProductDiff, ...]

    @property
    def differs(self) -> bool:
        """Whether a figure or the library of any product differs, or a product is there on one side alone."""
        return any(p.state in ("changed", "added", "removed") or p.same_library is False for p in self.products)

    @property
    def complete(self) -> bool:
        """Whether every product was compared."""
        return all(p.state != "not compared" for p in self.products)
