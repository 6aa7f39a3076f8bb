"""Builds that go wrong: one sentence and exit code 1, nothing lost, and the next build recovers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT, chipfit, chipfit_here
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.files import MAX_DATA, MAX_MODEL
from pipeline.model_files.onnx_external import MAX_EXTERNAL
from stages import STAGES

BUILD = [sys.executable, "-m", "stages.app.cli", "build"]


def touch_repository(folder: Path) -> Path:
    """A firmware repository with the touch product's YAML and model."""
    for name in ("touch.onnx", "touch.npz"):
        shutil.copy(ROOT / "configs" / "models" / name, folder)
    text = (ROOT / "configs" / "products" / "touch.yaml").read_text("utf-8").replace("../models/", "")
    (folder / "touch.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return touch_repository(tmp_path)


def build(repo: Path) -> subprocess.CompletedProcess[str]:
    run = chipfit_here(repo, "build")
    assert "Traceback" not in run.stderr + run.stdout
    return run


def fails(repo: Path, sentence: str) -> None:
    run = build(repo)
    assert run.returncode == 1
    assert sentence in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr


def change(repo: Path, before: str, after: str) -> None:
    path = repo / "touch.yaml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def replace_calibration(repo: Path, make: Callable[[np.ndarray], np.ndarray]) -> None:
    arrays = dict(np.load(repo / "touch.npz"))
    np.savez(repo / "touch.npz", **arrays | {"calib": make(arrays["calib"])})


def test_calibration_data_of_the_wrong_shape(repo: Path) -> None:
    replace_calibration(repo, lambda c: c[:, :29])
    fails(repo, "touch.yaml:5: touch.npz: array 'calib' has samples of shape (29,)")


def test_calibration_data_that_are_constant(repo: Path) -> None:
    replace_calibration(repo, np.zeros_like)
    fails(repo, "touch.yaml:5: data.calibration: the calibration data are constant: every value is 0. Hint: ")


def test_calibration_data_with_nan(repo: Path) -> None:
    def spoil(calibration: np.ndarray) -> np.ndarray:
        calibration[7, 3] = np.nan
        return calibration

    replace_calibration(repo, spoil)
    fails(repo, "array 'calib' holds NaN or infinity, first in sample 7")


def change_data(repo: Path, **arrays: np.ndarray | None) -> None:
    kept = dict(np.load(repo / "touch.npz")) | arrays
    np.savez(repo / "touch.npz", **{k: v for k, v in kept.items() if v is not None})


def test_an_accuracy_that_no_labels_can_measure_is_said_before_any_work(repo: Path) -> None:
    change_data(repo, y=None)
    fails(repo, "accuracy.at_least: touch.npz holds no labels. Hint: Add an array y")
    assert not (repo / "build" / "touch" / "quantize").exists()
    change(repo, "  evaluation: touch.npz", "  # evaluation: touch.npz")
    run = build(repo)
    assert run.returncode == 1 and "accuracy.at_least: there are no labelled evaluation data" in run.stderr
    assert "DOES NOT FIT" not in run.stdout and "import" not in run.stdout


def test_labels_that_count_from_one_and_data_in_other_units_are_failed_checks_and_no_missed_budget(repo: Path) -> None:
    data = np.load(repo / "touch.npz")
    change_data(repo, x=data["x"] * 100, y=data["y"] + 1)
    text = (repo / "touch.yaml").read_text("utf-8")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("accuracy:"))
    (repo / "touch.yaml").write_text(text + "accuracy: {agreement: 0}\n", "utf-8")
    run = chipfit(repo, "build")
    assert run.returncode == 1 and "CHECK FAILED" in run.stdout and "DOES NOT FIT" not in run.stdout
    assert "accuracy.labels: labels run from 1 to 4, the network's classes from 0 to 3" in run.stderr
    assert "accuracy.span: " in run.stderr and "data.evaluation takes scale and zero_point" in run.stderr
    summary = (repo / "build" / "touch" / "report" / "summary.md").read_text("utf-8")
    assert (
        summary.startswith("### touch on truetouch-m0: check failed\n") and "| accuracy.labels | **FAIL** |" in summary
    )
    page = (repo / "build" / "touch" / "report" / "index.html").read_text("utf-8")
    assert "<title>touch on truetouch-m0: check failed</title>" in page and "a check failed" in page


def test_no_calibration_data(repo: Path) -> None:
    change(repo, "  calibration: touch.npz", "  # calibration: touch.npz")
    fails(repo, "data.calibration: no calibration data are given")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (None, "no calibration data are given, and the model file has no scale for 'm', of layer 'm' (Dense). Hint: "),
        (np.int16, "touch.yaml:3: layer 'm' (Dense): goes from int8 to int16. Hint: Give the activations around"),
    ],
)
def test_what_a_file_quantized_in_part_lacks_is_named_with_its_layer(
    repo: Path, kind: type | None, sentence: str
) -> None:
    change(repo, "  calibration: touch.npz", "  # calibration: touch.npz")
    constants = {"s": np.float32(0.01), "z": np.int8(0), "w": np.full((30, 4), 0.1, np.float32)}
    pairs = [("QuantizeLinear", "x s z", "q"), ("DequantizeLinear", "q s z", "r"), ("MatMul", "r w", "m")]
    if kind is not None:
        constants["o"] = kind(0)
        pairs += [("QuantizeLinear", "m s o", "p"), ("DequantizeLinear", "p s o", "y")]
    nodes = [helper.make_node(op, given.split(), [output], name=output) for op, given, output in pairs]
    ends = [("x", [1, 30]), (pairs[-1][2], [1, 4])]
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)] for n, shape in ends]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", *infos, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), repo / "touch.onnx")
    fails(repo, sentence)


def test_pickled_data_are_refused(repo: Path) -> None:
    replace_calibration(repo, lambda c: np.array([{"a": 1}], dtype=object))
    fails(repo, "touch.npz: array 'calib' has type object, expected numbers")


def test_weights_larger_than_the_flash_are_said_before_anything_else(repo: Path) -> None:
    change(repo, "weights: int5", "weights: int8")
    change(repo, "flash: 100 KiB", "flash: 1 KiB")
    fails(
        repo,
        "touch.yaml:8: budget.flash: the weights alone need 1.5 KiB (1540 bytes as int8 without zeros), limit 1.0 KiB "
        "(1.5x). Hint: quantization.weights: int5 might fit",
    )


def test_a_missing_compiler_is_named(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with (repo / "touch.yaml").open("a", encoding="utf-8") as file:
        file.write("toolchain: gcc\n")
    fails(repo, "toolchain: arm-none-eabi-gcc was not found on PATH. Hint: Install it")


def test_a_build_folder_that_cannot_be_written(repo: Path) -> None:
    (repo / "build").write_text("a file stands where the folder should be", "utf-8")
    fails(repo, "cannot write build/touch")
    assert (repo / "build").read_text("utf-8").startswith("a file")


def test_two_products_of_one_name_are_refused(repo: Path) -> None:
    shutil.copy(repo / "touch.yaml", repo / "twin.yaml")
    run = build(repo)
    assert run.returncode == 1
    assert "twin.yaml:2: product: 'touch' is also the product of touch.yaml" in run.stderr


def digest(repo: Path) -> dict[str, bytes]:
    folder = repo / "build" / "touch"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


_KILLED = """
import os, signal, sys
from pathlib import Path
from stages.base import Job
from stages.execution import execute
from pipeline.facts.config import load_project
from stages import STAGES
stage = next(s for s in STAGES if s.NAME == sys.argv[1])
job = Job(load_project(Path("touch.yaml")), Path("build"))
rename = Path.replace
def die(self, target):
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = die
execute(stage, job)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after a build: nobody changes it."""
    made = touch_repository(tmp_path_factory.mktemp("built"))
    assert build(made).returncode == 0
    return made


@pytest.mark.parametrize("stage", [s.NAME for s in STAGES if not hasattr(s, "applies")])
def test_a_kill_in_any_stage_loses_nothing_and_the_next_build_recovers(built: Path, stage: str, tmp_path: Path) -> None:
    repo = Path(shutil.copytree(built, tmp_path / "repo", symlinks=True))
    whole = digest(repo)
    shutil.rmtree(repo / "build" / "touch" / stage)
    killed = subprocess.run([sys.executable, "-c", _KILLED, stage], cwd=repo, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (repo / "build" / "touch" / stage).exists(), "a half-written stage was published"
    assert build(repo).returncode == 0
    assert digest(repo) == whole


def test_a_kill_at_any_moment_is_recovered_from(repo: Path) -> None:
    for delay in (0.3, 0.6, 0.9, 1.2):
        running = subprocess.Popen(BUILD, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        running.kill()
        running.wait()
    assert build(repo).returncode == 0


def test_two_builds_at_once_both_succeed(repo: Path) -> None:
    pair = [subprocess.Popen(BUILD, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    for one in pair:
        out, err = one.communicate(timeout=120)
        assert one.returncode == 0, out + err
    assert build(repo).returncode == 0


def test_a_disk_that_takes_no_more_is_said_and_nothing_half_written_is_published(repo: Path) -> None:
    resource = pytest.importorskip("resource")

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    run = subprocess.run(
        BUILD, cwd=repo, capture_output=True, text=True, timeout=60, check=False, preexec_fn=small_files
    )
    assert run.returncode == 1
    assert "cannot write build/touch/import: File too large" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (repo / "build" / "touch" / "import").exists()
    assert build(repo).returncode == 0


def test_other_yamls_in_the_folder_are_no_products(repo: Path) -> None:
    (repo / "compose.yml").write_text("services: {}\n", "utf-8")
    assert build(repo).returncode == 0


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    run = build(tmp_path)
    assert run.returncode == 1
    assert run.stderr == ".: no product YAML here. Hint: chipfit init writes a starter, or name one.\n"


def test_a_product_with_a_wrong_yaml_still_has_its_tasks_and_the_others_build(repo: Path) -> None:
    (repo / "wrong.yaml").write_text("product: wrong\nmodel: {source: touch.onnx}\nchip: nowhere\n", "utf-8")
    listed = chipfit_here(repo, "build", "list", "--all")
    assert listed.returncode == 0 and "report:wrong" in listed.stdout
    run = chipfit(repo, "build")
    assert run.returncode == 1
    assert run.stderr.startswith("wrong.yaml:3: chip: 'nowhere' is not known.")
    assert "touch" in run.stdout and " fits" in run.stdout


def enlarge(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.truncate(size)


def test_files_that_are_too_large_are_refused_by_their_size_alone(repo: Path) -> None:
    """Every file here has holes that take minutes to hash."""
    model, data = (repo / "touch.onnx").read_bytes(), (repo / "touch.npz").read_bytes()
    enlarge(repo / "touch.onnx", 1 << 38)
    fails(repo, f"touch.yaml:3: model.source: touch.onnx has {1 << 38} bytes, the limit is {MAX_MODEL}. Hint")
    (repo / "touch.onnx").unlink()
    (repo / "touch.onnx").write_bytes(model)
    enlarge(repo / "touch.npz", 1 << 38)
    fails(repo, f"touch.yaml:5: data.calibration: touch.npz has {1 << 38} bytes, the limit is {MAX_DATA}. Hint")
    (repo / "touch.npz").unlink()
    (repo / "touch.npz").write_bytes(data)
    network = onnx.load_from_string(model)
    onnx.save(network, repo / "touch.onnx", save_as_external_data=True, location="w.raw", size_threshold=0)
    enlarge(repo / "w.raw", 1 << 38)
    fails(repo, f"the files in which touch.onnx keeps tensors have {1 << 38} bytes, the limit is {MAX_EXTERNAL}. Hint")


@pytest.mark.skipif(os.name != "posix", reason="named pipes in a folder are POSIX's")
def test_a_pipe_or_a_device_is_read_as_nothing(repo: Path) -> None:
    for name in ("other.yaml", "pipe.onnx", "pipe.npz"):
        os.mkfifo(repo / name)
    (repo / "zero.onnx").symlink_to("/dev/zero")
    for name in ("pipe.onnx", "zero.onnx"):
        shutil.copy(repo / "touch.yaml", repo / "kept")
        change(repo, "touch.onnx", name)
        fails(repo, f"touch.yaml:3: model.source: {name} is not a regular file")
        (repo / "kept").rename(repo / "touch.yaml")
    change(repo, "calibration: touch.npz", "calibration: pipe.npz")
    fails(repo, "touch.yaml:5: pipe.npz is not a regular file")
    run = chipfit_here(repo, "build", "other.yaml")
    assert (run.returncode, run.stderr.partition(" Hint")[0]) == (1, "other.yaml: is not a regular file.")
