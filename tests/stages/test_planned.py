"""What a build would do, and why: said before it is done, and then done as said."""

import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.config import Project, load_project
from stages import STAGES, execution
from stages.base import Job, applicable
from stages.execution import execute
from stages.planned import Change, Planned, changes_between, plan_stages
from stages.store import Store, StoreSettings, open_store

FIRST = ("import", "feasibility", "quantize")
"""The stages that no compiler takes part in."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(StoreSettings(tmp_path / "store"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for folder in ("products", "models"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "configs" / "products" / "digits_mlp.yaml", tmp_path / "products")
    for name in ("digits_mlp.onnx", "digits_mlp.npz"):
        shutil.copy(ROOT / "configs" / "models" / name, tmp_path / "models")
    return Job(load_project(tmp_path / "products" / "digits_mlp.yaml"), tmp_path / "build")


def edited(job: Job, old: str, new: str) -> Job:
    text = job.project.path.read_text("utf-8")
    assert old in text
    job.project.path.write_text(text.replace(old, new), "utf-8")
    return replace(job, project=load_project(job.project.path))


def planned(job: Job, store: Store | None) -> dict[str, Planned]:
    stages = [s for s in STAGES if applicable(s, job.project) and s.NAME in FIRST]
    return {p.stage: p for p in plan_stages(stages, job, store)}


def actions(job: Job, store: Store | None) -> dict[str, str]:
    return {n: p.action for n, p in planned(job, store).items()}


def done(job: Job, store: Store | None) -> dict[str, str]:
    return {s.NAME: execute(s, job, store) for s in STAGES if s.NAME in FIRST}


def test_what_is_planned_is_done(job: Job, store: Store) -> None:
    assert actions(job, store) == {"import": "run", "feasibility": "after", "quantize": "after"}
    assert {p.changes for p in planned(job, store).values()} == {None}
    assert done(job, store) == dict.fromkeys(FIRST, "ran")
    assert actions(job, store) == dict.fromkeys(FIRST, "up to date")
    assert done(job, store) == dict.fromkeys(FIRST, "up to date")
    shutil.rmtree(job.folder)
    assert actions(job, store) == dict.fromkeys(FIRST, "restore")
    assert done(job, store) == dict.fromkeys(FIRST, "restored")
    assert actions(job, None) == dict.fromkeys(FIRST, "up to date")


def test_a_change_is_named_with_its_old_and_new_value(job: Job, store: Store) -> None:
    done(job, store)
    changed = edited(job, "weights: int5,", "weights: int5, calibration: min-max,")
    found = planned(changed, store)
    assert {n: p.action for n, p in found.items()} == {
        "import": "up to date", "feasibility": "up to date", "quantize": "run",
    }  # fmt: skip
    assert found["quantize"].changes == (Change("settings", "quantization.calibration", "mse", "min-max"),)
    assert done(changed, store)["quantize"] == "ran"
    back = edited(changed, "calibration: min-max, ", "")
    assert actions(back, store)["quantize"] == "restore"
    assert done(back, store)["quantize"] == "restored"


def test_a_file_that_was_changed_by_hand_is_restored(job: Job, store: Store) -> None:
    done(job, store)
    before = (job.folder / "quantize" / "weights.bin").read_bytes()
    (job.folder / "quantize" / "weights.bin").write_bytes(b"")
    (again,) = [p for p in planned(job, store).values() if p.action != "up to date"]
    assert (again.stage, again.action, again.changes) == ("quantize", "restore", ())
    assert done(job, store)["quantize"] == "restored"
    assert (job.folder / "quantize" / "weights.bin").read_bytes() == before


def test_products_share_what_does_not_depend_on_them(job: Job, store: Store) -> None:
    done(job, store)
    other = edited(edited(job, "product: digits_mlp", "product: other"), "latency: 1 ms", "latency: 2 ms")
    assert done(other, store) == {"import": "restored", "feasibility": "ran", "quantize": "restored"}


def test_keys_of_another_form_are_compared_as_far_as_they_go() -> None:
    old = {"stage": "x", "settings": {"a": 1, "gone": None}, "code": [], "before": {}}
    new = {"stage": "x", "settings": {"a": 2}, "code": {"f.py": "d"}, "inputs": {}}
    assert changes_between(old, new) == (
        Change("code", "f.py", None, "d"),
        Change("settings", "a", 1, 2),
        Change("settings", "gone", None, None),
    )


def test_a_change_of_code_and_of_a_tool_is_named(job: Job, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    done(job, store)
    real = execution.dependencies

    def newer(stage: str, project: Project) -> tuple[dict[str, str], dict[str, str]]:
        code, tools = (dict(part) for part in real(stage, project))
        if stage == "stages.quantize":
            code["pipeline/quantizing/calibrate.py"], tools["numpy"] = "f" * 64, "99.0 sha256:" + "e" * 64
        return code, tools

    monkeypatch.setattr(execution, "dependencies", newer)
    found = planned(job, store)
    assert [p.action for p in found.values()] == ["up to date", "up to date", "run"]
    changes = found["quantize"].changes
    assert changes is not None
    assert [(c.part, c.name) for c in changes] == [("code", "pipeline/quantizing/calibrate.py"), ("tools", "numpy")]
    assert changes[1].new == "99.0 sha256:" + "e" * 64 and str(changes[1].old).split()[0] == version("numpy")


def test_a_stored_result_that_lacks_a_file_is_not_planned_to_be_restored(job: Job, store: Store) -> None:
    key = planned(job, store)["import"].key
    assert key is not None
    store.save(key.document, "import", {"graph.json": b"{}"})
    assert store.has(key.digest) and actions(job, store)["import"] == "run"
    assert execute(STAGES[1], job, store) == "ran"
