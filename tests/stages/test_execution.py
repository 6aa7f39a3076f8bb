"""A stage's cache: it runs again for what it reads, and for nothing else."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from conftest import ROOT, some

from pipeline.facts.artifact import digests, recorded_key
from pipeline.facts.config import Project, load_project
from pipeline.facts.errors import ChipfitError
from stages.base import ALL, Job, applicable
from stages.execution import execute, key_of, up_to_date
from stages.store import Store
from stages.store.bounded import BoundedFolder
from stages.store.shared import SharedFolder

HEAVY = "numpy onnx onnxruntime tflite unicorn capstone jinja2 torch highspy".split()


@dataclass
class Stage:
    """A stage that reads one file and one number."""

    file: Path
    number: int = 1
    NAME: str = "own"
    READS: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    TARGETS: tuple[str, ...] = ("out.txt",)
    runs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.__name__ = "stages.base"  # the module whose code counts

    def settings(self, project: Project) -> Mapping[str, object]:
        return {"number": {"is": self.number}}

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
    second = Stage(tmp_path / "given", NAME="second", READS={"first": ALL})
    first.file.write_text("one", "utf-8")
    before = key_of(second, job)
    execute(first, job)
    after = key_of(second, job)
    assert after.digest != before.digest and key_of(replace(second, NAME="third"), job).digest != after.digest
    assert set(after.before) == {"first/out.txt"} and after.settings == {"number.is": 1}
    assert key_of(replace(second, READS={"first": ("other.txt",)}), job).before == {}


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


def test_a_stage_cannot_read_what_its_key_does_not_hold(job: Job, tmp_path: Path) -> None:
    first, second = Stage(tmp_path / "given", NAME="first"), Stage(tmp_path / "given", NAME="second")
    first.file.write_text("one", "utf-8")
    execute(first, job)
    second.run = lambda job: {"out.txt": job.read("first", "out.txt")}  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"first/out\.txt is not in what this stage READS"):
        execute(second, job)
    second.READS = {"first": ("out.txt",)}
    assert execute(second, job) == "ran"


def test_what_newer_code_made_is_not_stored_under_the_key_of_the_older(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Saves:
        saved: list[str] = []  # noqa: RUF012

        def restore(self, digest: str, stage: str, targets: tuple[str, ...]) -> None:
            return None

        def save(self, key: Mapping[str, object], stage: str, files: Mapping[str, bytes]) -> None:
            self.saved.append(stage)

        def exclusively(self, digest: str) -> nullcontext[None]:
            return nullcontext()

    stage, store = Stage(tmp_path / "given"), Saves()
    stage.file.write_text("one", "utf-8")
    assert execute(stage, job, store) == "ran" and store.saved == ["own"]
    stage.file.write_text("two", "utf-8")
    monkeypatch.setattr("stages.execution.is_unchanged", lambda: False)  # somebody saved a file of chipfit's meanwhile
    assert execute(stage, job, store) == "ran" and store.saved == ["own"]
    assert job.read("own", "out.txt") == b"two"


def stored(folder: Path) -> list[str]:
    return [p.name for p in folder.glob("store/ac/*")]


@pytest.mark.parametrize("put_back", ["afterwards", "meanwhile"])
def test_what_was_made_while_its_input_was_saved_anew_is_no_result(job: Job, tmp_path: Path, put_back: str) -> None:
    """Under the key of the old input, the next build would take it for the old input's."""
    stage, store = Stage(tmp_path / "given"), Store(BoundedFolder(tmp_path / "store", 1 << 28))
    old = tmp_path / "old"
    old.write_text("old", "utf-8")
    shutil.copy2(old, stage.file)
    calm = stage.run

    def run(job: Job) -> dict[str, bytes]:
        stage.file.write_text("new", "utf-8")
        files = calm(job)
        if put_back == "meanwhile":
            shutil.copy2(old, stage.file)  # with its time
        return files

    stage.run = run  # type: ignore[method-assign]
    with pytest.raises(ChipfitError) as raised:
        execute(stage, job, store)
    assert str(raised.value) == f"{stage.file}: file was changed while own read it. Hint: Build again."
    assert not (job.folder / "own").exists() and not stored(tmp_path)
    shutil.copy2(old, stage.file)
    stage.run = calm  # type: ignore[method-assign]
    assert execute(stage, job, store) == "ran" and job.read("own", "out.txt") == b"old" and len(stored(tmp_path)) == 1


def test_what_was_made_while_an_earlier_result_was_changed_is_no_result(job: Job, tmp_path: Path) -> None:
    first = Stage(tmp_path / "given", NAME="first")
    second = Stage(tmp_path / "given", NAME="second", READS={"first": ("out.txt",)})
    first.file.write_text("one", "utf-8")
    execute(first, job)
    path = job.folder / "first" / "out.txt"

    def run(job: Job) -> dict[str, bytes]:  # a tool is given the path, and reads what lies there
        path.write_bytes(b"other")
        return {"out.txt": path.read_bytes()}

    second.run = run  # type: ignore[method-assign]
    with pytest.raises(ChipfitError, match=r"first/out\.txt was changed while second read it"):
        execute(second, job)
    assert not (job.folder / "second").exists()


def test_a_model_that_goes_while_it_is_read_is_no_result(job: Job, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "given")
    stage.file.write_text("one", "utf-8")
    calm = stage.run
    stage.run = lambda job: (calm(job), stage.file.unlink())[0]  # type: ignore[method-assign]
    with pytest.raises(ChipfitError, match="file was changed while own read it"):
        execute(stage, job)


@pytest.mark.parametrize(
    ("saved_as", "files", "why"),
    [
        ("own", {"other.txt": b"x"}, "lacks out.txt, which own always writes: it is made anew"),
        ("report", {"out.txt": b"x"}, "is a result of report, expected own: it is made anew"),
    ],
)
def test_a_stored_result_that_is_none_of_the_stage_is_made_anew(
    job: Job, tmp_path: Path, capsys: pytest.CaptureFixture[str], saved_as: str, files: dict[str, bytes], why: str
) -> None:
    stage = Stage(tmp_path / "given")
    stage.file.write_text("one", "utf-8")
    local = BoundedFolder(tmp_path / "store", 1 << 28)
    key = key_of(stage, job).document
    Store(local).save(key, saved_as, files)
    shared = SharedFolder(tmp_path / "shared", writable=True)
    Store(local, shared).save(key, saved_as, files)
    assert execute(stage, job, Store(local, shared)) == "ran"
    said = capsys.readouterr().err.splitlines()
    assert [line.endswith(why) for line in said] == [True, True], said
    assert job.read("own", "out.txt") == b"one"
    for place in (Store(local), Store(None, shared)):
        restored = place.restore(key_of(stage, job).digest)
        assert restored is not None and restored.files == {"out.txt": b"one"}
    shutil.rmtree(job.folder)
    assert execute(stage, job, Store(local)) == "restored" and not capsys.readouterr().err


def test_a_build_with_nothing_to_do_waits_for_no_heavy_library_and_no_store(products: Path) -> None:
    loaded, said = imported_by(products, {}, "build")
    assert said.endswith("28 stages: 28 up to date\n")
    assert not {*HEAVY, "stages.store.results", "filelock"} & loaded


def test_to_restore_a_product_waits_for_no_heavy_library(products: Path, tmp_path: Path) -> None:
    store = Store(BoundedFolder(tmp_path / "store", 1 << 28))
    for stamp in some((products / "build" / "touch").glob("*/.stamp.json")):
        files = {n: (stamp.parent / n).read_bytes() for n in digests(stamp.parent)}
        store.save(recorded_key(stamp.parent), stamp.parent.name, files)
    shutil.copytree(products / "configs", tmp_path / "configs")
    environment = {"CHIPFIT_STORE": "", "CHIPFIT_STORE_FOLDER": str(tmp_path / "store")}
    loaded, said = imported_by(tmp_path, environment, "build", "configs/products/touch.yaml")
    assert said.endswith("7 stages: 7 restored\n")
    assert "stages.store.results" in loaded
    assert {*HEAVY, "fsspec"} & loaded == {"jinja2"}, "of the page of all products, which is a new one"


def imported_by(folder: Path, environment: Mapping[str, str], *arguments: str) -> tuple[set[str], str]:
    """The modules that a command had imported when it ended, and what it printed."""
    code = (
        "import sys\nfrom stages.app.cli import main\n"
        f"code = main({list(arguments)})\nprint(*sys.modules, file=sys.stderr)\nraise SystemExit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split()), done.stdout
