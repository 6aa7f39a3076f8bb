"""`chipfit plan`, `why` and `graph` in a repository: what each kind of change is told as."""

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.artifact import stamp_bytes
from pipeline.facts.config import load_project
from stages import STAGES
from stages.app.cli import main
from stages.base import Job
from stages.execution import execute


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """digits_mlp as built as far as quantization, without a store."""
    monkeypatch.setenv("CHIPFIT_STORE", "none")
    monkeypatch.chdir(tmp_path)
    for name in ("digits_mlp.onnx", "digits_mlp.npz"):
        (tmp_path / "models").mkdir(exist_ok=True)
        shutil.copy(ROOT / "configs" / "models" / name, tmp_path / "models")
    text = (ROOT / "configs" / "products" / "digits_mlp.yaml").read_text("utf-8")
    (tmp_path / "net.yaml").write_text(text.replace("../models/", "models/"), "utf-8")
    job = Job(load_project(tmp_path / "net.yaml"), tmp_path / "build")
    for stage in STAGES:
        if stage.NAME in ("import", "feasibility", "quantize"):
            execute(stage, job)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def edit(repository: Path, old: str, new: str) -> None:
    text = (repository / "net.yaml").read_text("utf-8")
    assert old in text
    (repository / "net.yaml").write_text(text.replace(old, new), "utf-8")


def test_a_plan_says_each_stage_and_sums_up(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "plan").splitlines()
    assert [line.split(None, 2)[1:] for line in lines[:-1]] == [
        ["import", "up to date"],
        ["feasibility", "up to date"],
        ["quantize", "up to date"],
        ["codegen", "run: there is no result yet"],
        ["size-check", "after codegen: there is no result yet"],
        ["simulate", "after codegen: there is no result yet"],
        ["report", "after codegen: there is no result yet"],
    ]
    assert lines[-1] == "7 stages: 3 up to date, 1 would run, 3 would run if what they read changes"
    document = json.loads(said(capsys, "plan", "digits_mlp", "--json"))
    assert [s["action"] for s in document["digits_mlp"]] == ["up to date"] * 3 + ["run"] + ["after"] * 3


def test_why_names_settings_inputs_and_stages_before(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing that it reads changed" in said(capsys, "why", "quantize:digits_mlp")
    edit(repository, "weights: int5,", "weights: int5, calibration: min-max,")
    printed = said(capsys, "why", "quantize:digits_mlp")
    assert "quantize:digits_mlp: run: 1 changed since its results were made" in printed
    assert "  settings  quantization.calibration: mse -> min-max" in printed
    model = repository / "models" / "digits_mlp.onnx"
    model.write_bytes(model.read_bytes() + b"\x1a\x00")
    document = json.loads(said(capsys, "why", "quantize:digits_mlp", "--json"))
    changed = {s["stage"]: [(c["part"], c["name"]) for c in s["changes"]] for s in document}
    assert changed["import"] == [("inputs", "model")]
    assert changed["quantize"] == [("settings", "quantization.calibration"), ("inputs", "model")]


def test_a_setting_without_a_value_that_is_no_longer_there_tells_nothing(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "build" / "digits_mlp" / "quantize" / ".stamp.json"
    stamp = json.loads(path.read_text("utf-8"))
    settings = stamp["key"]["settings"]
    settings["data.old"] = None
    path.write_bytes(stamp_bytes(stamp["key"], stamp["files"]))
    assert "data.old: without a value, or not there" in said(
        capsys, "why", "quantize:digits_mlp"
    )  # the one reason why it runs
    settings["quantization.calibration"] = "min-max"
    path.write_bytes(stamp_bytes(stamp["key"], stamp["files"]))
    printed = said(capsys, "why", "quantize:digits_mlp")
    assert "1 changed" in printed and "min-max -> mse" in printed and "data.old" not in printed
    assert "run: quantization.calibration: min-max -> mse\n" in said(capsys, "plan")
    assert '"data.old"' in said(capsys, "why", "quantize:digits_mlp", "--json")


def test_why_against_an_older_build_and_an_entry_of_the_store(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(repository / "build", repository / "release-1")
    monkeypatch.setenv("CHIPFIT_STORE", "")
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(repository / "store"))
    document = json.loads(said(capsys, "plan", "--json"))
    key = next(s["key"] for s in document["digits_mlp"] if s["stage"] == "import")
    shutil.rmtree(repository / "build")
    job = Job(load_project(repository / "net.yaml"), repository / "build")
    from stages.store import open_store
    from stages.store.settings import read_settings

    execute(next(s for s in STAGES if s.NAME == "import"), job, open_store(read_settings()))
    edit(repository, "latency: 1 ms", "latency: 5 ms")
    older = said(capsys, "why", "feasibility:digits_mlp", "--against", "release-1")
    assert "settings  budget.cycles: 48000 -> 240000" in older and "against release-1" in older
    assert "nothing that it reads changed" in said(capsys, "why", "import:digits_mlp", "--against", key)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["why", "quantise:digits_mlp"], "no stage of digits_mlp is called 'quantise'. Hint: Did you mean 'quantize'?"),
        (["why", "quantize:digits"], "no product is called 'digits'. Hint: Did you mean 'digits_mlp'?"),
        (["why", "quantize:digits_mlp", "--against", "v1"], "'v1' is neither a build folder nor a key"),
        (["why", "quantize:digits_mlp", "--against", "models"], "has no results of quantize of digits_mlp"),
        (["why", "quantize:digits_mlp", "--against", "0" * 64], "the store has no result of the key"),
        (["why", "digits_mlp"], "'digits_mlp' is no STAGE:PRODUCT. Hint: For example quantize:digits_mlp."),
        (["why", "quantize:"], "'quantize:' is no STAGE:PRODUCT. Hint: For example quantize:touch."),
        (["why"], "the following arguments are required: STAGE:PRODUCT"),
        (["plan", "--jsn"], "unrecognized arguments: --jsn"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(
    arguments: list[str], sentence: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_the_graph_draws_shared_results_as_one_box(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (repository / "net.yaml").read_text("utf-8")
    (repository / "other.yaml").write_text(text.replace("product: digits_mlp", "product: other"), "utf-8")
    picture = said(capsys, "graph", "-o", "-")
    titles = [e.text for e in ElementTree.fromstring(picture).iter() if e.tag.endswith("title")]
    assert "import: up to date, one result for 2 products" in titles
    assert titles.count("codegen: run") + titles.count("codegen: after") == 2
    assert said(capsys, "graph") == "wrote build/graph.svg\n"
    assert (repository / "build" / "graph.svg").read_text("utf-8") == picture
