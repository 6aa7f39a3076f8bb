"""What `chipfit diff` compares: the products of a build folder, with what each was made from, as their stages say."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.errors import ChipfitError
from stages.app.lock_snapshots import calibrated, files_digest, widths

if TYPE_CHECKING:
    from pipeline.facts.config.models import Regression
    from pipeline.judging.differences.diff import Origin, Snapshot
    from pipeline.judging.figures import Figures


def folder_side(build: Path) -> "dict[str, Snapshot | str]":
    """Every product that was built in the folder `build`, by name; a sentence for one that cannot be read."""
    names = sorted(p.parent.parent.name for p in build.glob("*/report/verdict.json"))
    if not names:
        raise ChipfitError("no product was built here", place=str(build), hint="A build folder is such as build/.")
    return {name: snapshot_or_sentence(build, name) for name in names}


def snapshot_or_sentence(build: Path, product: str) -> "Snapshot | str":
    """A built product, or the sentence that says why it cannot be compared."""
    try:
        return snapshot(build, product)
    except ChipfitError as error:
        return error.message


def snapshot(build: Path, product: str) -> "Snapshot":
    """A product as it lies in a build folder. Raises ChipfitError."""
    from pipeline.judging.differences.diff import Snapshot
    from pipeline.judging.figures import figures_of

    figures = figures_of(build, product)
    said = _settings(build / product / "report")
    return Snapshot(
        totals=figures.totals,
        origin=_origin(build / product, figures),
        chip={n: str(said[f"chip.{n}"]) for n in ("chip", "core") if f"chip.{n}" in said},
        limits=_limits(said),
        verdict=figures.verdict,
        layers=figures.layers,
        symbols=figures.symbols,
        library=figures.library or None,
        files=files_digest(figures.network, figures.sources),
    )


def _origin(folder: Path, figures: "Figures") -> "Origin":
    """What the stages say that they were given; of settings, those of the last stage, which has them all."""
    from pipeline.facts.artifact import recorded_key
    from pipeline.judging.differences.diff import Origin

    code: dict[str, str] = {}
    tools: dict[str, str] = {"compiler": figures.toolchain}
    inputs: dict[str, str] = {}
    settings = _settings(folder / "report")
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        key = recorded_key(path)
        if not isinstance(key, Mapping):
            continue
        code |= _texts(key.get("code"))
        tools |= _texts(key.get("tools"))
        inputs |= {n: d for n, d in _texts(key.get("inputs")).items() if n != "lock"}
    tools |= _texts({k.removeprefix("tools."): v for k, v in settings.items() if k.startswith("tools.")})
    versions = {k.rpartition(".")[2]: v for k, v in _texts(settings).items() if k.startswith("versions.")}
    tools |= {n: v for n, v in versions.items() if n not in tools}
    said = {k.removeprefix("config."): v for k, v in settings.items() if not k.startswith(("versions.", "tools."))}
    written = {k: v for k, v in said.items() if v is not None and v != {}}
    written.pop("product", None)
    return Origin(
        inputs=inputs,
        settings=written,
        tools=tools,
        code=code,
        arithmetic=figures.arithmetic,
        widths=widths(written, list(figures.weighted)),
        from_lock=settings.get("from_lock") is True,
        calibrated={} if figures.decisions is None else calibrated(figures.decisions),
    )


def _settings(stage: Path) -> dict[str, Any]:
    """The settings with which a stage was run, by dotted key."""
    from pipeline.facts.artifact import recorded_key

    key = recorded_key(stage)
    found = key.get("settings") if isinstance(key, Mapping) else None
    return {str(k): v for k, v in found.items()} if isinstance(found, Mapping) else {}


def _limits(settings: Mapping[str, Any]) -> "Regression | None":
    """What the build's YAML lets it lose; None where this version of chipfit cannot read it."""
    from pydantic import ValidationError

    from pipeline.facts.config.models import Regression

    begin = "regression."
    written = {k.removeprefix(begin): v for k, v in settings.items() if k.startswith(begin) and v is not None}
    try:
        return Regression.model_validate(written)
    except ValidationError:
        return None


def _texts(found: object) -> dict[str, str]:
    return {str(k): v for k, v in found.items() if isinstance(v, str)} if isinstance(found, Mapping) else {}
