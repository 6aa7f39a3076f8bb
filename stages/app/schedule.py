"""Stages crossed with products as doit tasks: what runs, what is skipped, and how a failure is reported."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.exceptions import TaskFailed

from pipeline.facts.config import Loaded, Project, load_variants
from pipeline.facts.config.yaml_file import MAX_BYTES
from pipeline.facts.errors import ChipfitError, ManyErrors
from pipeline.facts.files import is_file
from stages import STAGES, report
from stages.app import signals
from stages.app.crash import ending_crashes
from stages.app.drift import asks_for_lock, with_lock
from stages.app.failures import RulesMissed
from stages.app.publish import Result
from stages.app.reporter import reporter
from stages.app.selection import selected
from stages.app.terminal import progress
from stages.app.workers import watch_workers
from stages.base import Job, Stage, applicable
from stages.execution import execute, up_to_date

if TYPE_CHECKING:  # a build with nothing to do opens no store
    from stages.cluster.client import Cluster
    from stages.store import Store, StoreSettings

Task = dict[str, Any]
Opened = Callable[[], "Store"]


def find_products(pattern: str | Path) -> list[Path]:
    """Product YAMLs of a file, folder or pattern, in order of name; relative paths stay relative.

    A file named outright is taken as it is; of a folder or pattern, the files with a `product` key.
    """
    path = Path(pattern)
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml") and _is_product(p))
    if is_file(path) or not any(c in str(pattern) for c in "*?["):
        return [path]
    return sorted(p for p in Path().glob(str(pattern)) if _is_product(p))


def _is_product(path: Path) -> bool:
    """Whether some line begins with the key `product`, so that a broken YAML is still found and reported."""
    try:
        if not is_file(path):
            return False
        with path.open("rb") as file:
            begin = file.read(MAX_BYTES)
        return any(line.startswith("product:") for line in begin.decode("utf-8", "replace").splitlines())
    except OSError:
        return False


@ending_crashes("the list of products")
def doit_tasks(
    *products: str | Path,
    build: str = "build",
    others: Sequence[str | Path] = (),
    locked: bool | None = None,
    results: list[Result] | None = None,
    store: "Callable[[], StoreSettings] | None" = None,
    only: Sequence[str] = (),
    cluster: "Cluster | None" = None,
) -> dict[str, Any]:
    """Everything that a dodo.py needs: task creators for each stage, and doit's configuration.

    A product whose YAML is wrong still has its tasks; they fail with what is wrong with it. `others` are products of
    the same repository that the comparison page shows as they were built before, as are those whose name no pattern of
    `only` matches. `locked`: whether to build from locks; by default the environment says so. With a list of `results`,
    that of the run is added to it, and what people read goes to stderr. `store` says where results are kept. `cluster`
    runs the stages.
    """
    signals.install()
    watch_workers()
    folder, from_lock = Path(build), asks_for_lock(locked)
    every = load_products(*products)
    built = [_built(p, from_lock) for p in selected(every, only)]
    names = [p.name for p in built]
    elsewhere = [name for name, _ in (*every, *load_products(*others)) if name not in names]
    opened = cache(lambda: _opened(store))
    tasks: dict[str, Any] = {f"task_{s.NAME}": _task_creator(s, built, folder, opened, cluster) for s in STAGES}
    tasks["DOIT_CONFIG"] = {
        "default_tasks": [s.NAME for s in STAGES],
        # The stamps in the build folder say what is up to date; doit's own records would say less, and would be one
        # more file that a full disk, a kill or a second build can hurt.
        "dep_file": ":memory:",
        "backend": "sqlite3",
        "continue": True,
        "verbosity": 2,
        "reporter": reporter(folder, names, elsewhere, results),
    }
    return tasks


def _opened(settings: "Callable[[], StoreSettings] | None") -> "Store":
    from stages.store import open_store
    from stages.store.settings import read_settings

    return open_store((settings or read_settings)())


def load_products(*products: str | Path) -> list[Loaded]:
    """The products of files, folders or patterns by name; for one whose YAML is wrong, what is wrong with it.

    A file below the current folder is named from there, however it was given: a message about it is the same bytes in
    every checkout.
    """
    found = {path.absolute(): _from_here(path) for pattern in products for path in find_products(pattern)}
    return _refuse_duplicates([p for path in found.values() for p in _load(path)])  # of a file named twice once


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _load(path: Path) -> list[Loaded]:
    try:
        return load_variants(path)
    except ChipfitError as error:
        return [(re.sub(r"[^A-Za-z0-9_-]", "_", path.stem) or "product", error)]


@dataclass(frozen=True, eq=False)
class _Built:
    """A product that is to be built, or what is wrong with it, and the stages that it has."""

    name: str
    project: Project | ChipfitError
    stages: tuple[Stage, ...]


def _built(loaded: Loaded, locked: bool | None) -> _Built:
    """A product as loaded, with its lock: one that is not as it was locked has its stages still, which do not run."""
    name, project = loaded
    if isinstance(project, ChipfitError):
        return _Built(name, project, tuple(s for s in STAGES if applicable(s, None)))
    stages = tuple(s for s in STAGES if applicable(s, project))
    try:
        return _Built(name, with_lock(project, locked), stages)
    except ChipfitError as error:
        return _Built(name, error, stages)


def _refuse_duplicates(loaded: list[Loaded]) -> list[Loaded]:
    first: dict[str, Loaded] = {}
    unique: list[Loaded] = []
    for name, project in loaded:
        if name in first and isinstance(project, ChipfitError):
            unique.append((f"{name}_{len(unique)}", project))
            continue
        if name in first and isinstance(project, Project):
            other = first[name][1]
            where = str(other.path) if isinstance(other, Project) else name
            clash = ChipfitError(
                f"product: {name!r} is also the product of {where}",
                place=project.place("product"),
                hint="Rename one.",
            )
            unique.append((f"{name}_{project.path.stem}", clash))
            continue
        first.setdefault(name, (name, project))
        unique.append((name, project))
    return unique


def _task_creator(
    stage: Stage, products: Sequence[_Built], build: Path, store: Opened, cluster: "Cluster | None"
) -> Callable[[], Iterator[Task]]:
    def create() -> Iterator[Task]:
        yield {"name": None, "doc": (sys.modules[stage.__name__].__doc__ or "").split(": ", 1)[-1].strip()}
        with ending_crashes(f"the tasks of {stage.NAME}"):
            for product in products:
                if stage in product.stages:
                    yield _task(stage, product, build, store, cluster)

    return create


def _task(stage: Stage, product: _Built, build: Path, store: Opened, cluster: "Cluster | None") -> Task:
    name, project = product.name, product.project
    # The stage before it in the table which this product has.
    before = [f"{s.NAME}:{name}" for s in product.stages[: product.stages.index(stage)][-1:]]
    if isinstance(project, ChipfitError):
        failed = (lambda e=project: TaskFailed(str(e))) if not before else (lambda: None)
        return {"name": name, "actions": [failed], "task_dep": before, "uptodate": [False]}
    job = Job(project, build, progress)
    judge = [(_judge, [job])] if stage is report else []
    return {
        "name": name,
        "actions": [(_run, [stage, job, store, cluster]), *judge],
        "targets": [str(job.folder / stage.NAME / t) for t in stage.TARGETS],
        "task_dep": before,
        "uptodate": [(_is_up_to_date, [stage, job])],
        "clean": [(shutil.rmtree, [str(job.folder / stage.NAME)], {"ignore_errors": True})],
        "doc": f"{name} on {project.chip.chip}",
        # To capture what an action prints, doit exchanges sys.stdout, which threads have in common.
        **({"io": {"capture": False}} if cluster else {}),
    }


def _is_up_to_date(stage: Stage, job: Job) -> bool:
    """Whether a task may be skipped: its results are up to date and, for the report, no rule was missed."""
    try:
        if not up_to_date(stage, job):
            return False
    except Exception:  # running it says so
        return False
    return stage is not report or not report.failures(job)


def _run(
    stage: Stage, job: Job, store: Opened, cluster: "Cluster | None"
) -> TaskFailed | dict[str, str | float | None]:
    try:
        outcome = execute(stage, job, store(), cluster)
        took = cluster.seconds.get(f"{stage.NAME}:{job.project.config.product}") if cluster else None
        return {"outcome": outcome, "seconds": took}
    except ChipfitError as error:
        return _failed(job, error)


def _judge(job: Job) -> TaskFailed | None:
    """A task's failure for the rules that a product misses."""
    try:
        missed = report.failures(job)
    except ChipfitError as error:
        return _failed(job, error)
    return RulesMissed("\n".join(missed)) if missed else None


def _failed(job: Job, error: ChipfitError) -> TaskFailed:
    for each in error.errors if isinstance(error, ManyErrors) else (error,):
        if each.place is None and each is error:
            key = each.message.partition(":")[0]
            each.place = job.project.place(key if key in job.project.places else "product")
        each.message = job.project.told(each.message)
    return TaskFailed(str(error))
