"""A stage's cache: it runs again for what it reads, and for nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.facts.config import Project, load_project
from pipeline.facts.errors import ChipfitError
from stages.base import Job, applicable, execute, key_of, up_to_date


@dataclass
class Stage:
    """A stage that reads one file and one number."""

    file: Path
    number: int = 1
    NAME: str = "own"
    AFTER: tuple[str, ...] = ()
    TARGETS: tuple[str, ...] = ("out.txt",)
    runs: list[str] = field(default_factory=list)

    def keys(self, project: Project) -> Any:
        return self.number

    def inputs(self, project: Project) -> Mapping[str, Path]:
        return {"file": self.file}

    def run(self, job: Job) -> dict[str, bytes]:
        self.runs.append(self.NAME)
        return {"out.txt": self.file.read_bytes()}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    text = "product: net\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: stm32f030r8\n"
    (tmp_path / "net.yaml").write_text(text, "utf-8")
    return Job(load_project(tmp_path / "net.yaml"), tmp_path / "build")


def test_a_stage_runs_once_and_again_for_what_it_reads(job: Job, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "given")
    stage.file.write_text("one", "utf-8")
    execute(stage, job)
    execute(stage, job)
    assert stage.runs == ["own"] and job.read("own", "out.txt") == b"one"
    (tmp_path / "beside").write_text("nobody reads it", "utf-8")
    assert up_to_date(stage, job)
    stage.file.write_text("two", "utf-8")
    assert not up_to_date(stage, job)
    execute(stage, job)
    assert job.read("own", "out.txt") == b"two"
    stage.number = 2
    assert not up_to_date(stage, job)


def test_results_of_earlier_stages_are_part_of_the_key(job: Job, tmp_path: Path) -> None:
    first = Stage(tmp_path / "given", NAME="first")
    second = Stage(tmp_path / "given", NAME="second", AFTER=("first",))
    first.file.write_text("one", "utf-8")
    before = key_of(second, job)
    execute(first, job)
    assert key_of(second, job) != before and key_of(replace(second, NAME="third"), job) != key_of(second, job)


def test_what_is_missing_or_changed_is_one_sentence(job: Job, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "given")
    stage.file.write_text("one", "utf-8")
    with pytest.raises(ChipfitError, match=r"own/out\.txt is missing"):
        job.read("own", "out.txt")
    execute(stage, job)
    (job.folder / "own" / "out.txt").write_bytes(b"other")
    with pytest.raises(ChipfitError, match="was changed after it was made"):
        job.read("own", "out.txt")
    assert not up_to_date(stage, job)


def test_a_stage_applies_unless_it_says_otherwise(job: Job, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "given")
    assert applicable(stage, job.project)
    stage.applies = lambda project: False  # type: ignore[attr-defined]
    assert not applicable(stage, job.project)
