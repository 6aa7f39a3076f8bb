"""Execution of a stage: skipped, restored or run, by its key; written whole, or failing in one sentence."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.facts.artifact import digests, file_sha256, is_intact, json_sha256, remove_leftovers, write_folder
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import to_plain
from stages.base import Job, Stage, reads
from stages.keys import dependencies, is_unchanged
from stages.keys.remembered import identity

if TYPE_CHECKING:  # a build with nothing to do opens no store
    from stages.store import Store

Outcome = Literal["up to date", "restored", "shared", "ran", "cluster"]
"""What became of a stage: `restored` from this machine's store, or from the `shared` one; run here, or by a cluster."""
_SECONDS = 600


@dataclass(frozen=True)
class Key:
    """Everything that a stage's result depends on, taken apart by name, so that one can be compared with another.

    `code` and `inputs` are digests of files, `tools` versions with digests, `settings` values by their dotted key,
    `before` digests of the results of earlier stages, as `stage/file`.
    """

    stage: str
    code: Mapping[str, str]
    tools: Mapping[str, str]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    before: Mapping[str, str]

    @cached_property
    def document(self) -> dict[str, Any]:
        """The key in JSON's types."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @cached_property
    def digest(self) -> str:
        """sha256 of the document: the name of the result in a store."""
        return json_sha256(self.document)


def key_of(stage: Stage, job: Job, before: Mapping[str, Mapping[str, str]] | None = None) -> Key:
    """The key of a stage's result, from the results of earlier stages as they are, or as `before` says they will be.

    `before` has the digests of a stage's files by its name.
    """
    code, tools = dependencies(stage.__name__, job.project)
    results = {s: digests(job.folder / s) if before is None else before.get(s, {}) for s in stage.READS}
    return Key(
        stage=stage.NAME,
        code=code,
        tools=tools,
        settings=_flat(stage.settings(job.project)),
        inputs={n: file_sha256(p) for n, p in sorted(stage.inputs(job.project).items())},
        before={f"{s}/{n}": d for s, files in results.items() for n, d in files.items() if reads(stage.READS, s, n)},
    )


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, with dotted keys."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def up_to_date(stage: Stage, job: Job) -> bool:
    """Whether the stage's files are intact and were written from the inputs as they are now."""
    return is_intact(job.folder / stage.NAME, key_of(stage, job).document)


class Elsewhere(Protocol):
    """Other machines that run a stage for this one."""

    def __call__(
        self, stage: Stage, job: Job, key: Key, store: "Store | None"
    ) -> tuple[Mapping[str, bytes], Outcome] | None:
        """The stage's files and where they come from; None where it is to run here. Raises ChipfitError."""


def execute(stage: Stage, job: Job, store: "Store | None" = None, elsewhere: Elsewhere | None = None) -> Outcome:
    """Bring a stage's results up to date: nothing to do, restored from the store, or run, here or `elsewhere`.

    Two builds in one folder take turns, as do two that make the same result. Raises ChipfitError; earlier results are
    then still there.
    """
    from filelock import FileLock, Timeout

    from pipeline.measuring.toolchain.scratch import remove_left_over

    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(job.folder / ".lock", timeout=_SECONDS):
            remove_leftovers(job.folder)
            remove_left_over()
            key = key_of(stage, job)
            target = job.folder / stage.NAME
            if is_intact(target, key.document):
                return "up to date"
            with store.exclusively(key.digest) if store else nullcontext():
                found = store.restore(key.digest, stage.NAME, stage.TARGETS) if store else None
                if found is not None:
                    write_folder(target, found.files, key.document)
                    return "shared" if found.source == "shared" else "restored"
                made = elsewhere(stage, job, key, store) if elsewhere else None
                if made is not None:
                    write_folder(target, made[0], key.document)
                    return made[1]
                seen = {n: identity(p) for n, p in _files_read(stage, job).items()}
                files = stage.run(replace(job, reads=stage.READS))
                _refuse_changes(stage, job, key, seen)
                write_folder(target, files, key.document)
                if store and is_unchanged():  # else what ran may be newer than its key says
                    store.save(key.document, stage.NAME, files)
                return "ran"
    except Timeout as error:
        raise ChipfitError("another build has held this folder for 10 minutes", place=str(job.folder)) from error
    except OSError as error:
        raise ChipfitError(
            f"cannot write {job.folder}: {error.strerror or error}",
            hint="Check that the build folder is writable and the disk is not full.",
        ) from error


def _files_read(stage: Stage, job: Job) -> dict[str, Path]:
    """The user's files and the earlier results that a stage reads, by their names in its key."""
    before = {f"{s}/{n}": job.folder / s / n for s in stage.READS for n in digests(job.folder / s)}
    declared = {n: p for n, p in before.items() if reads(stage.READS, *n.split("/", 1))}
    return {**stage.inputs(job.project), **declared}


def _refuse_changes(stage: Stage, job: Job, key: Key, seen: Mapping[str, object]) -> None:
    """Raise ChipfitError where the stage may have read other bytes than its key says.

    A file that was changed and put back has the same digest again, but is not as it was `seen` by its identity.
    """
    known, files = {**key.inputs, **key.before}, _files_read(stage, job)
    for name in sorted(known.keys() | files.keys()):
        path = files.get(name)
        if path is None or identity(path) != seen.get(name) or file_sha256(path) != known.get(name):
            raise ChipfitError(
                f"{name} was changed while {stage.NAME} read it",
                place=None if path is None else str(path),
                hint="Build again.",
            )
