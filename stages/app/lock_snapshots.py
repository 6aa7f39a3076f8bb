"""Locks as sides of `chipfit diff`, and built products as they would be locked, so that one compares with the other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.artifact import json_sha256
from pipeline.facts.config.lock import SUFFIX, Lock, dotted, read_lock

if TYPE_CHECKING:
    from pipeline.facts.decisions import Decisions
    from pipeline.judging.differences.diff import Origin, Snapshot
    from stages.base import Job


def lock_side(path: Path) -> "dict[str, Snapshot | str | None]":
    """The product of a lock by its name. Raises ChipfitError or ManyErrors."""
    from pipeline.judging.differences.diff import Snapshot

    lock = read_lock(path).lock
    name = lock.settings.get("product")
    origin = lock_origin(lock)
    chip: dict[str, str] = {n: str(lock.chip[n]) for n in ("chip", "core") if n in lock.chip}
    found = Snapshot(lock.figures, origin, files=files_digest(lock.network, lock.library), chip=chip)
    return {name if isinstance(name, str) else path.name.removesuffix(SUFFIX): found}


def files_digest(network: Mapping[str, str], library: Mapping[str, str]) -> str:
    """One digest of those of the files of an integer network and of its library, by name."""
    return json_sha256({"network": dict(sorted(network.items())), "library": dict(sorted(library.items()))})


def as_locked(built: "Snapshot", job: "Job") -> "Snapshot":
    """A built product with the origin that its lock would have. Raises ChipfitError."""
    from stages.app.lock import lock_of

    return replace(built, origin=replace(lock_origin(lock_of(job)), from_lock=job.project.lock is not None))


def comparable_with_locks(built: "Snapshot") -> "Snapshot":
    """A product of a build folder without what a lock writes another way."""
    from pipeline.judging.differences.diff import Origin

    known = built.origin
    kept = {n: getattr(known, n) for n in ("inputs", "arithmetic", "widths", "calibrated", "from_lock")}
    return replace(built, origin=Origin(**kept))


def lock_origin(lock: Lock) -> "Origin":
    """What a lock rests on, with the names that a build's stages have for it."""
    from pipeline.judging.differences.diff import Origin

    settings = dotted(lock.settings, "settings") | dotted(lock.chip, "chip")
    written = {k.removeprefix("settings."): v for k, v in settings.items() if v is not None}
    models = {"model" if not i else f"model: {n}": d for i, (n, d) in enumerate(lock.model.items())}
    written.pop("product", None)
    return Origin(
        inputs=models | {role: found.file for role, found in lock.data.items()},
        settings=written,
        tools={"chipfit": lock.chipfit, **lock.tools},
        arithmetic=lock.arithmetic,
        widths=widths(written, list(lock.layers)),
        calibrated=calibrated(lock.decisions),
    )


def calibrated(decisions: "Decisions") -> dict[str, str]:
    """What was decided for each tensor and each layer with weights, as a short text."""
    from pipeline.facts.decisions import scale_of

    tensors = {
        name: f"scale {scale_of(a.scale):.6g}, zero point {a.zero_point}" for name, a in decisions.activations.items()
    }
    layers = {name: f"{x.requantizer}, integers {x.integers[:8]}" for name, x in decisions.layers.items()}
    return {**{f"tensor {n}": text for n, text in tensors.items()}, **{f"layer {n}": t for n, t in layers.items()}}


def widths(settings: Mapping[str, object], layers: list[str]) -> dict[str, str]:
    """Width of every layer with weights, as the settings have it."""
    usual = settings.get("quantization.weights")
    if not isinstance(usual, str):
        return {}
    return {n: str(settings.get(f"quantization.layers.{n}.weights", usual)) for n in layers}
