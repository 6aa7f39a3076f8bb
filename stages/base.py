"""Protocol of a stage, and the job that one is given: its product's configuration and the results before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.facts.artifact import digests, sha256
from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_json

T = TypeVar("T")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """One stage of one product: its configuration, and the build folder with the results of every stage."""

    project: Project
    build: Path
    progress: Progress = field(default=lambda what, done, total: None)
    reads: Mapping[str, tuple[str, ...]] | None = None
    """What the stage may read of the stages before it: its own READS while it runs."""

    @property
    def folder(self) -> Path:
        return self.build / self.project.config.product

    def read(self, stage: str, name: str) -> bytes:
        """Bytes of a file of an earlier stage; raises ChipfitError where it is missing or was changed."""
        assert self.reads is None or reads(self.reads, stage, name), f"{stage}/{name} is not in what this stage READS"
        try:
            data = (self.folder / stage / name).read_bytes()
        except OSError as error:
            raise ChipfitError(f"{stage}/{name} is missing", hint="Run the build again.") from error
        if sha256(data) != digests(self.folder / stage).get(name):
            raise ChipfitError(f"{stage}/{name} was changed after it was made", hint="Run the build again.")
        return data

    def record(self, stage: str, name: str, kind: type[T]) -> T:
        """A JSON file of an earlier stage, as the dataclass `kind` that it was written from.

        Only the stage imports `kind`: what this module imports is code of every stage.
        """
        return from_json(kind, self.read(stage, name), f"{stage}/{name}")


class Stage(Protocol):
    """A module of this package. Its name is in the table of `stages/__init__.py`."""

    @property
    def __name__(self) -> str:
        """The module's own name: its imports are the code that the results depend on."""

    @property
    def NAME(self) -> str:
        """Its name, and that of its folder."""

    @property
    def READS(self) -> Mapping[str, tuple[str, ...]]:
        """The files that it reads, by the earlier stage that writes them; ALL of a stage's files."""

    @property
    def TARGETS(self) -> tuple[str, ...]:
        """The files that it always writes."""

    def settings(self, project: Project) -> Mapping[str, object]:
        """What it reads of the configuration, by dotted key, as plain values: a change elsewhere reruns nothing."""

    def inputs(self, project: Project) -> Mapping[str, Path]:
        """The user's files that it reads, by a name that does not depend on the folder."""

    def run(self, job: Job) -> dict[str, bytes]:
        """All files of the stage by relative path. Raises ChipfitError."""


ALL = ("*",)


def reads(declared: Mapping[str, tuple[str, ...]], stage: str, name: str) -> bool:
    """Whether a stage that READS `declared` reads the file `name` of `stage`."""
    names = declared.get(stage, ())
    return names == ALL or name in names


def applicable(stage: Stage, project: Project | None) -> bool:
    """Whether the stage has anything to do for this product: a module may say so with `applies`.

    None is a product that cannot be read: it has the stages that every product has.
    """
    applies: Callable[[Project], bool] | None = getattr(stage, "applies", None)
    return applies is None or (project is not None and applies(project))
