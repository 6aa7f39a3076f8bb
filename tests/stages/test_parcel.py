"""A parcel has everything that a stage reads, under names that stay in its folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT

from pipeline.facts.artifact import sha256, write_folder
from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError, ManyErrors, Place
from stages import import_model, quantize, report
from stages.base import Job
from stages.cluster.parcel import Answer, Blob, Parcel, answer_of, each_error, pack, parcel_of
from stages.execution import key_of

TEXT = "product: net\nmodel: {source: ../models/m.onnx}\ndata: {evaluation: d.npz, calibration: d.npz}\nchip: rp2040\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A product whose model keeps its weights in another file, in a folder beside it."""
    (tmp_path / "products").mkdir()
    (tmp_path / "models" / "weights").mkdir(parents=True)
    (tmp_path / "products" / "net.yaml").write_text(TEXT, "utf-8")
    (tmp_path / "products" / "d.npz").write_bytes(b"data")
    model = onnx.load(ROOT / "configs" / "models" / "touch.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(onnx.numpy_helper.to_array(tensor)), tensor.name))
    path = tmp_path / "models" / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights/m.bin", size_threshold=0)
    return Job(load_project(tmp_path / "products" / "net.yaml"), tmp_path / "build")


def packed(job: Job, stage: object) -> tuple[Parcel, dict[Blob, Path]]:
    found = pack(stage, job, key_of(stage, job))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_other_machine_computes_the_same_key_from_a_parcel(job: Job, tmp_path: Path) -> None:
    write_folder(job.folder / "import", {"graph.json": b"{}", "weights.bin": b"", "more": b"not read"}, {"a": 1})
    for stage in (import_model, quantize):
        parcel, places = packed(job, stage)
        there = parcel_of(parcel.text()).unpack(tmp_path / stage.NAME, lambda b, at=places: at[b].read_bytes())
        assert there.folder.is_relative_to(tmp_path / stage.NAME)
        assert key_of(stage, there).digest == parcel.key == key_of(stage, job).digest
    assert set(parcel.before) == {"import/graph.json", "import/weights.bin"}
    assert import_model.run(Job(there.project, tmp_path)) == import_model.run(job)


def test_what_is_missing_is_left_to_the_machine_that_says_so(job: Job, tmp_path: Path) -> None:
    (tmp_path / "models" / "weights" / "m.bin").unlink()
    assert pack(import_model, job, key_of(import_model, job)) is None


def test_a_report_that_reads_a_lock_is_made_where_the_lock_is(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "products" / "net.yaml"
    (tmp_path / "products" / "net.lock.yaml").write_text("lock: none", "utf-8")
    assert pack(report, job, key_of(report, job)) is not None
    path.write_text(TEXT + "regression: {cycles: 1 %}\n", "utf-8")
    job = replace(job, project=load_project(path))
    assert pack(report, job, key_of(report, job)) is None


@pytest.mark.parametrize("name", ["../m.bin", "/etc/passwd", "a/../../m.bin", "", ".", "C:\\m.bin"])
def test_no_file_leaves_the_folder(job: Job, tmp_path: Path, name: str) -> None:
    parcel, places = packed(job, import_model)
    blob = next(iter(parcel.inputs.values()))
    for bad in (
        replace(parcel, names={**parcel.names, "model.source": name}),
        replace(parcel, inputs={**parcel.inputs, f"model: {name}": blob}),
    ):
        with pytest.raises(ChipfitError, match="is no name of a file that a build sends"):
            bad.unpack(tmp_path / "there", lambda b: places[b].read_bytes())
    assert not (tmp_path / "m.bin").exists()


@pytest.mark.parametrize("text", ["{}", '{"format": "chipfit-parcel-0"}', "[]", '{"format": "chipfit-parcel-1"}', "no"])
def test_another_form_is_refused(text: str) -> None:
    for read in (parcel_of, answer_of):
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
            read(text)


def test_errors_come_back_with_their_places() -> None:
    errors = (ChipfitError("is wrong", place=Place("net.yaml", 4), hint="Mend it."), ChipfitError("so is this"))
    answer = answer_of(Answer("w", "1", errors=each_error(ManyErrors(errors))).text())
    assert [str(e) for e in answer.errors] == ["net.yaml:4: is wrong. Hint: Mend it.", "so is this."]
    answer = answer_of(Answer("w", "1", outcome="ran", seconds=1.5, key={"tools": {"numpy": "2"}}).text())
    assert (answer.outcome, answer.seconds, answer.key, answer.errors) == ("ran", 1.5, {"tools": {"numpy": "2"}}, ())


def test_a_blob_is_named_by_its_content(job: Job) -> None:
    parcel, places = packed(job, import_model)
    assert set(parcel.inputs) == {"model", "model: weights/m.bin"}
    for blob, path in places.items():
        assert (blob.sha256, blob.size) == (sha256(path.read_bytes()), path.stat().st_size)
