"""A build made again: the same bytes, or the first stage that differs, and what changed since."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, chipfit_here, some

from pipeline.facts.artifact import STAMP, recorded_key, write_folder
from pipeline.facts.config import load_project
from stages.app.rebuilding import rebuild_differences

YAML = "configs/products/touch.yaml"


@pytest.fixture
def repository(products: Path, tmp_path: Path) -> Path:
    """A firmware repository with the product touch, built."""
    shutil.copytree(products / "build" / "touch", tmp_path / "build" / "touch")
    for name in ("models/touch.onnx", "models/touch.npz", "products/touch.yaml"):
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(products / "configs" / name, tmp_path / "configs" / name)
    return tmp_path


def forged(stage: Path, name: str, *, tool: str | None = None) -> None:
    """A stage's result with a byte more in one file, sealed, as if made with another version of a tool."""
    files = {
        p.relative_to(stage).as_posix(): p.read_bytes() for p in stage.rglob("*") if p.is_file() and p.name != STAMP
    }
    key = recorded_key(stage)
    tools = key["tools"] | ({tool: "0.1 sha256:0"} if tool else {})
    write_folder(stage, files | {name: files[name] + b"\n"}, key | {"tools": tools})


def test_a_new_build_gives_the_same_bytes(repository: Path) -> None:
    done = chipfit_here(repository, "verify", "build", YAML, "--rebuild")
    assert done.returncode == 0, done.stderr
    assert "a new build gives the same bytes" in done.stdout
    assert not [p for p in (repository / "build" / "touch").iterdir() if p.name.startswith(".") and p.name != ".lock"]


def test_the_first_stage_that_differs_is_named_with_what_changed(repository: Path) -> None:
    folder = repository / "build" / "touch"
    forged(folder / "feasibility", "lower_bounds.json", tool="numpy")
    forged(folder / "simulate", "simulate.json")
    (line,) = rebuild_differences(folder, load_project(repository / YAML))
    assert line == (
        "feasibility/lower_bounds.json: differs in a new build; feasibility is the first stage that differs; "
        "since then changed: numpy"
    )


def test_other_inputs_are_said_before_anything_is_built(repository: Path) -> None:
    (repository / "configs" / "models" / "touch.npz").write_bytes(b"other")
    found = rebuild_differences(repository / "build" / "touch", load_project(repository / YAML))
    assert "quantize: the input calibration is not the file that the build read" in found
    assert all("is not the file that the build read" in line for line in some(found))


def test_a_product_whose_yaml_is_not_here_cannot_be_built_again(repository: Path) -> None:
    path = repository / YAML
    path.write_text(path.read_text("utf-8").replace("product: touch", "product: other"), "utf-8")
    done = chipfit_here(repository, "verify", "--rebuild")
    assert done.returncode == 1 and "no YAML of 'touch' is here" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_what_is_interrupted_leaves_nothing_and_what_is_killed_nothing_for_long(repository: Path) -> None:
    temporary = repository / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.app.cli", "verify", "build", YAML, "--rebuild"]
    for number in (signal.SIGKILL, signal.SIGINT):  # the second run removes what the first one left
        with subprocess.Popen(
            command, cwd=repository, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as running:  # fmt: skip
            mine = f"*/{running.pid}-*/touch/import"
            while not list(temporary.glob(mine)) and running.poll() is None:
                time.sleep(0.01)
            os.killpg(running.pid, number)
            said = running.communicate(timeout=60)[1]
        assert running.returncode == (-number if number == signal.SIGKILL else 128 + number), said
        left = [p for p in temporary.rglob("*") if p.parent != temporary]
        assert bool(left) == (number == signal.SIGKILL), left


@pytest.mark.exhaustive
def test_what_was_built_from_a_lock_is_built_from_it_again(repository: Path) -> None:
    done = chipfit_here(repository, "lock", YAML)
    assert done.returncode == 0, done.stderr
    done = chipfit_here(repository, "build", YAML, "--locked")
    assert done.returncode == 0, done.stderr
    done = chipfit_here(repository, "verify", "build", YAML, "--rebuild")
    assert done.returncode == 0, done.stderr
    (lock,) = repository.rglob("touch.lock.yaml")
    lock.unlink()
    done = chipfit_here(repository, "verify", "build", YAML, "--rebuild")
    assert done.returncode == 1 and "touch.lock.yaml: does not exist" in done.stderr
