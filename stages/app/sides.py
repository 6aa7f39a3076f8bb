"""What the arguments of `chipfit diff` name: build folders, lock files, revisions, or the working tree."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError, did_you_mean
from stages.app.lock_snapshots import as_locked, comparable_with_locks, lock_side
from stages.app.snapshots import folder_side, snapshot

if TYPE_CHECKING:
    from pipeline.judging.differences.diff import Snapshot
    from stages.app.worktrees import Repository
    from stages.store import Store

_BUILD = "build"
_HEAD = "HEAD"


@dataclass(frozen=True)
class Source:
    """One side as it was named: a `path` that exists, a `commit`, or the working tree where both are None."""

    name: str
    path: Path | None = None
    commit: str | None = None

    @property
    def is_lock(self) -> bool:
        return self.path is not None and not self.path.is_dir()


WORKING_TREE = Source("working tree")


def sources(arguments: Sequence[str]) -> tuple[Source, Source]:
    """The old and the new side. An argument that is the path of something is that; else it is a revision.

    Raises ChipfitError for what is neither.
    """
    if len(arguments) == 2:
        return _source(arguments[0]), _source(arguments[1])
    if not arguments:
        return _revision(_HEAD), WORKING_TREE
    (only,) = arguments
    if ".." in only and not _exists(only):
        return _range(only)
    return _source(only), WORKING_TREE


def _exists(argument: str) -> bool:
    try:
        return Path(argument).exists()
    except (OSError, ValueError):
        return False


def _source(argument: str) -> Source:
    return Source(argument, path=Path(argument)) if _exists(argument) else _revision(argument)


def _revision(name: str) -> Source:
    from stages.app.worktrees import commit_of

    commit = commit_of(_repository(), name)
    return Source(f"{name} ({commit[:12]})", commit=commit)


def _range(text: str) -> tuple[Source, Source]:
    """Both sides of `old..new`, or of `old...new`, whose old side is where the two parted; a side left out is HEAD."""
    from stages.app.worktrees import merge_base

    dots = "..." if "..." in text else ".."
    old, _, new = text.partition(dots)
    old, new = old or _HEAD, new or _HEAD
    if dots == "..":
        return _revision(old), _revision(new)
    commit = merge_base(_repository(), old, new)
    return Source(f"{old} at the merge base ({commit[:12]})", commit=commit), _revision(new)


def _repository() -> "Repository":
    from stages.app.worktrees import repository

    return repository(Path.cwd())


def side(
    source: Source, wanted: Collection[str], store: "Store | None" = None, locked: bool = False
) -> "dict[str, Snapshot | str | None]":
    """The products of a side, built where need be; a sentence for one that does not build, None for one that is not
    `wanted`.

    A build folder is taken as it is; what is built is restored from the `store` and kept there. `locked`: to be
    compared with a lock, in whose words it then says what it was made from. Raises ChipfitError.
    """
    if source.is_lock and source.path is not None:
        return lock_side(source.path)
    if source.path is not None:
        found = _folder(source)
        if locked:
            found = {n: s if isinstance(s, str) else comparable_with_locks(s) for n, s in found.items()}
        return {n: s if not wanted or n in wanted else None for n, s in found.items()}
    if source.commit is None:
        return _built(source.name, wanted, store, locked)
    from stages.app.worktrees import work_tree

    with work_tree(_repository(), source.commit) as folder:
        if not folder.is_dir():
            return {}
        with contextlib.chdir(folder):
            return _built(source.name, wanted, store, locked)


def _folder(source: Source) -> "dict[str, Snapshot | str]":
    """The products of a build folder. Raises ChipfitError, which says of a branch's namesake how to name the branch."""
    assert source.path is not None
    try:
        return folder_side(source.path)
    except ChipfitError as error:
        if named := _namesake(source.name):
            error.hint = f"It is a folder; the {named[0]} of that name is {named[1]}."
        raise


def _namesake(name: str) -> tuple[str, str] | None:
    """What kind of revision has the name of a path, and its full name; None where there is none."""
    from pipeline.measuring.toolchain.process import ToolError
    from stages.app.worktrees import commit_of

    kinds = (("branch", "heads"), ("tag", "tags"), ("remote branch", "remotes"))
    for kind, folder in kinds:
        full = f"refs/{folder}/{name}"
        try:
            commit_of(_repository(), full)
        except (ChipfitError, ToolError):
            continue
        return kind, full
    return None


def _built(
    name: str, wanted: Collection[str], store: "Store | None", locked: bool
) -> "dict[str, Snapshot | str | None]":
    """The products of the current folder, built."""
    from stages.app.build import products_here
    from stages.app.drift import asks_for_lock
    from stages.app.schedule import load_products
    from stages.app.terminal import progress

    try:
        paths = products_here()
    except ChipfitError:
        return {}
    loaded, from_lock = load_products(*paths), asks_for_lock(None)
    found: dict[str, Snapshot | str | None] = {}
    for index, (product, project) in enumerate(loaded):
        progress(f"building {name}", index, len(loaded))
        if wanted and product not in wanted:
            found[product] = None
        else:
            found[product] = (
                _sentence(project) if isinstance(project, ChipfitError) else _build(project, from_lock, store, locked)
            )
    progress(f"building {name}", len(loaded), len(loaded))
    return found


def _build(project: Project, from_lock: bool | None, store: "Store | None", locked: bool) -> "Snapshot | str":
    """One product, up to date, from its lock where `chipfit build` does so; a missed rule does not matter here."""
    from stages import STAGES
    from stages.app.drift import with_lock
    from stages.base import Job, applicable
    from stages.execution import execute

    try:
        job = Job(with_lock(project, from_lock), Path(_BUILD))
        for stage in STAGES:
            if applicable(stage, project):
                execute(stage, job, store)
        built = replace(snapshot(job.build, project.config.product), places=_places(project))
        return as_locked(built, job) if locked else built
    except ChipfitError as error:
        if error.place is None:
            error.place = project.place("product")
        return _sentence(error)


def _places(project: Project) -> dict[str, str]:
    """How a message on each limit of `regression` begins: its place, and the name where that stands for several."""
    keys = [f"regression.{name}" for name in type(project.config.regression).model_fields]
    name = f": {project.config.product}" if project.variant else ""
    return {key: f"{project.place(key)}{name}" for key in keys}


def _sentence(error: ChipfitError) -> str:
    return " ".join(str(error).splitlines())


def check_wanted(wanted: Collection[str], known: Collection[str]) -> None:
    """Raise ChipfitError for the name of a product that neither side has."""
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, sorted(known)) if known else "Neither side has any product."
            raise ChipfitError(f"--product: {name!r} is on neither side", hint=hint)
