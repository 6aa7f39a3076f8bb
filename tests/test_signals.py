"""Ctrl-C and SIGTERM at any moment: the exit code of a shell, one line, nothing of it left running or lying about."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.toolchain.process import scratch_prefix, sweep_scratch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


def interrupted(folder: Path, number: int, delay: float) -> tuple[int, str, list[str]]:
    """Exit code, standard error, and what is left in the folder for scratch files, after a signal to a build."""
    for name in ("touch.onnx", "touch.npz"):
        shutil.copy(ROOT / "configs" / "models" / name, folder)
    text = (ROOT / "configs" / "products" / "touch.yaml").read_text("utf-8").replace("../models/", "")
    (folder / "touch.yaml").write_text(text, "utf-8")
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "stages.cli", "build"]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    time.sleep(delay)
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]  # ends only when nobody holds the pipe any more, compilers included
    return running.returncode, said, [p.name for p in scratch.glob("chipfit-*")]


def check(folder: Path, number: int, delay: float) -> None:
    code, said, left = interrupted(folder, number, delay)
    if code == 0:  # it was faster than the signal
        return
    assert code == 128 + number and said == "interrupted; what was finished is kept\n", said
    assert not left


def test_an_interrupted_build_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    check(tmp_path, signal.SIGINT, 0.9)


@pytest.mark.exhaustive
@pytest.mark.parametrize("delay", [0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_may_be_ended_at_any_moment(number: int, delay: float, tmp_path: Path) -> None:
    check(tmp_path, number, delay)


def test_scratch_folders_of_processes_that_were_killed_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for name in (f"chipfit-{int(ended.stdout)}-a", f"chipfit-{os.getppid()}-b", f"{scratch_prefix()}c", "chipfit-d"):
        (tmp_path / name).mkdir()
    sweep_scratch()
    assert (tmp_path / f"{scratch_prefix()}c").is_dir()
    sweep_scratch(own_too=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"chipfit-{os.getppid()}-b", "chipfit-d"])
