"""A worker runs a parcel's stage with the shared store as the only meeting point."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError
from stages import import_model
from stages.base import Job
from stages.cluster.client import Cluster
from stages.cluster.parcel import Answer, Parcel, answer_of, pack
from stages.cluster.worker import _run, run
from stages.execution import key_of
from stages.store import StoreSettings, open_store

SELF = Answer("tcp://10.0.0.2:1", "0.1.0")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = (tmp_path / "shared").as_uri()
    monkeypatch.setenv("CHIPFIT_STORE", url)
    monkeypatch.setenv("CHIPFIT_STORE_MODE", "read-write")
    monkeypatch.setattr("stages.cluster.worker._PAUSES", (0.0,))
    return url


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(load_project(ROOT / "configs" / "products" / "touch.yaml"), tmp_path / "build")


def sent(job: Job, url: str, own: Path) -> Parcel:
    """A parcel of the stage import, whose files are in the shared store."""
    found = pack(import_model, job, key_of(import_model, job))
    assert found is not None
    store = open_store(StoreSettings(own, url, "read-write"))
    for blob, path in found[1].items():
        store.share_blob(blob.sha256, blob.size, path.read_bytes)
    return found[0]


def test_a_result_is_in_the_shared_store_and_nothing_else_is_left(job: Job, shared: str, tmp_path: Path) -> None:
    parcel = sent(job, shared, tmp_path / "own")
    (tmp_path / "worker").mkdir()
    assert _run(SELF, parcel.text(), tmp_path / "worker").outcome == "ran"
    assert [p.name for p in (tmp_path / "worker").iterdir()] == ["chipfit-store"]
    found = open_store(StoreSettings(tmp_path / "own", shared)).restore(parcel.key)
    assert found is not None and found.source == "shared" and found.files == import_model.run(job)
    assert _run(SELF, parcel.text(), tmp_path / "worker").outcome == "restored"


def test_another_key_is_an_answer_and_no_result(job: Job, shared: str, tmp_path: Path) -> None:
    parcel = replace(sent(job, shared, tmp_path / "own"), key="0" * 64)
    answer = _run(SELF, parcel.text(), tmp_path)
    assert answer.outcome == "" and answer.key == key_of(import_model, job).document
    assert not (tmp_path / "shared" / "ac").exists()


def test_a_worker_says_what_it_lacks(job: Job, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parcel = sent(job, shared, tmp_path / "own")
    (tmp_path / "shared" / "cas" / parcel.inputs["model"].sha256).unlink()
    with pytest.raises(ChipfitError, match=r"worker tcp://10\.0\.0\.2:1: the store file:.* lacks a file"):
        _run(SELF, parcel.text(), tmp_path)
    with pytest.raises(ChipfitError, match=r"its chipfit 0\.1\.0 does not understand what this one sends"):
        _run(SELF, replace(parcel, stage="unknown").text(), tmp_path)
    monkeypatch.setenv("CHIPFIT_STORE_MODE", "read-only")
    with pytest.raises(ChipfitError, match="it has no shared store that it may write to"):
        _run(SELF, parcel.text(), tmp_path)


@pytest.mark.exhaustive
def test_a_fault_of_chipfits_own_comes_back_as_such(
    job: Job, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    parcel = sent(job, shared, tmp_path / "own")
    worker = SimpleNamespace(address="tcp://10.0.0.2:1", local_directory=str(tmp_path))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    monkeypatch.setattr(import_model, "read_model", lambda *_: 1 // 0)
    answer = answer_of(run(parcel.text()))
    assert answer.crash.endswith("ZeroDivisionError: integer division or modulo by zero\n") and not answer.errors
    monkeypatch.setattr(Cluster, "_ask", lambda *_: answer)
    store = open_store(StoreSettings(tmp_path / "own", shared, "read-write"))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        Cluster("tcp://10.0.0.1:1")(import_model, job, key_of(import_model, job), store)
