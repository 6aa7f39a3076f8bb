"""Protocol of a stage, and its execution: cached by what it reads, written atomically, failing in one sentence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from filelock import FileLock, Timeout

from pipeline.facts.artifact import digests, file_sha256, is_intact, remove_leftovers, sha256, to_json, write_folder
from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_json

if TYPE_CHECKING:  # a build with nothing to do reads none of these
    from pipeline.measuring.footprint.size_file import SizeFile
    from pipeline.measuring.simulate_file import SimulateFile
    from pipeline.planning.plan_file import PlanFile
    from pipeline.quantizing.quantize_file import QuantizeFile

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
_CODE = (Path(__file__).parent, Path(__file__).parent.parent / "pipeline")


@dataclass(frozen=True)
class Job:
    """One stage of one product: its configuration, and the build folder with the results of every stage."""

    project: Project
    build: Path
    progress: Progress = field(default=lambda what, done, total: None)

    @property
    def folder(self) -> Path:
        return self.build / self.project.config.product

    def read(self, stage: str, name: str) -> bytes:
        """Bytes of a file of an earlier stage; raises ChipfitError where it is missing or was changed."""
        try:
            data = (self.folder / stage / name).read_bytes()
        except OSError as error:
            raise ChipfitError(f"{stage}/{name} is missing", hint="Run the build again.") from error
        if sha256(data) != digests(self.folder / stage).get(name):
            raise ChipfitError(f"{stage}/{name} was changed after it was made", hint="Run the build again.")
        return data

    def record(self, stage: str, name: str, kind: type[T]) -> T:
        """A JSON file of an earlier stage, as the dataclass `kind` that it was written from."""
        return from_json(kind, self.read(stage, name), f"{stage}/{name}")

    @property
    def quantized(self) -> "QuantizeFile":
        from pipeline.quantizing.quantize_file import QuantizeFile

        return self.record("quantize", "quantize.json", QuantizeFile)

    @property
    def plan(self) -> "PlanFile":
        from pipeline.planning.plan_file import PlanFile

        return self.record("codegen", "plan.json", PlanFile)

    @property
    def size(self) -> "SizeFile":
        from pipeline.measuring.footprint.size_file import SizeFile

        return self.record("size-check", "size.json", SizeFile)

    @property
    def simulated(self) -> "SimulateFile":
        from pipeline.measuring.simulate_file import SimulateFile

        return self.record("simulate", "simulate.json", SimulateFile)


class Stage(Protocol):
    """A module of this package. Its name is in the table of `stages/__init__.py`."""

    @property
    def NAME(self) -> str:
        """Its name, and that of its folder."""

    @property
    def AFTER(self) -> tuple[str, ...]:
        """The earlier stages whose files it reads."""

    @property
    def TARGETS(self) -> tuple[str, ...]:
        """The files that it always writes."""

    def keys(self, project: Project) -> object:
        """The part of the configuration that it reads, as plain JSON values: a change elsewhere reruns nothing."""

    def inputs(self, project: Project) -> Mapping[str, Path]:
        """The user's files that it reads, by a name that does not depend on the folder."""

    def run(self, job: Job) -> dict[str, bytes]:
        """All files of the stage by relative path. Raises ChipfitError."""


def applicable(stage: Stage, project: Project) -> bool:
    """Whether the stage has anything to do for this product: a module may say so with `applies`."""
    applies: Callable[[Project], bool] = getattr(stage, "applies", lambda p: True)
    return applies(project)


def key_of(stage: Stage, job: Job) -> str:
    """A digest of everything that the stage's result depends on."""
    document = {
        "stage": stage.NAME,
        "code": code_version(),
        "keys": stage.keys(job.project),
        "inputs": {n: file_sha256(p) for n, p in stage.inputs(job.project).items()},
        "before": {s: digests(job.folder / s) for s in stage.AFTER},
    }
    return sha256(to_json(document))


@cache
def code_version() -> str:
    """A digest of chipfit's own source: results of other code are out of date."""
    files = sorted(
        p for folder in _CODE for p in folder.rglob("*") if p.suffix in (".py", ".c", ".h", ".S", ".inc", ".j2", ".css")
    )
    return sha256(b"".join(p.name.encode() + b"\0" + p.read_bytes() for p in files))


def up_to_date(stage: Stage, job: Job) -> bool:
    """Whether the stage's files are intact and were written from the inputs as they are now."""
    return is_intact(job.folder / stage.NAME, key_of(stage, job))


def execute(stage: Stage, job: Job) -> None:
    """Run a stage unless another build has just done so; two builds in one folder take turns.

    Raises ChipfitError; earlier results are then still there.
    """
    from pipeline.measuring.toolchain.scratch import remove_left_over

    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(job.folder / ".lock", timeout=600)
        with lock:
            remove_leftovers(job.folder)
            remove_left_over()
            if not up_to_date(stage, job):
                key = key_of(stage, job)
                write_folder(job.folder / stage.NAME, stage.run(job), key)
    except Timeout as error:
        raise ChipfitError("another build has held this folder for 10 minutes", place=str(job.folder)) from error
    except OSError as error:
        raise ChipfitError(
            f"cannot write {job.folder}: {error.strerror or error}",
            hint="Check that the build folder is writable and the disk is not full.",
        ) from error
