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

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


STARTED = """
import os, signal, sys, time
from pathlib import Path
from stages.app import signals
signals.install()
from pipeline.measuring.toolchain import process
real = os.read
def read(descriptor, size):
    data = real(descriptor, size)
    if sys._getframe(1).f_code.co_name == "_execute_child":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
    return data
os.read = read
process.run([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], Path.cwd(), "waiting")
"""


def started(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A build of a small product in `folder`, and its folder for scratch files."""
    for name in ("touch.onnx", "touch.npz"):
        shutil.copy(ROOT / "configs" / "models" / name, folder)
    text = (ROOT / "configs" / "products" / "touch.yaml").read_text("utf-8").replace("../models/", "")
    (folder / "touch.yaml").write_text(text, "utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "stages.app.cli", "build"]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    return running, scratch


def check(running: subprocess.Popen[str], scratch: Path, number: int) -> None:
    """Send the signal: one line, the exit code of a shell, and neither a process nor a scratch file left."""
    running.send_signal(number)
    output = running.communicate(timeout=60)[1]  # ends only when nobody holds the pipe any more, compilers included
    assert running.returncode == 128 + number and output == "interrupted; what was finished is kept\n", output
    assert not [p for p in scratch.rglob("*") if p.parent != scratch]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_says_so_and_leaves_nothing(number: int, tmp_path: Path) -> None:
    running, scratch = started(tmp_path)
    while not list(scratch.glob("*/*")) and running.poll() is None:  # until a stage works in a scratch folder
        time.sleep(0.01)
    check(running, scratch, number)


@pytest.mark.exhaustive
@pytest.mark.parametrize("delay", [0.5, 0.7, 0.9, 1.1, 1.3])
def test_a_build_may_be_ended_at_any_moment(delay: float, tmp_path: Path) -> None:
    running, scratch = started(tmp_path)
    time.sleep(delay)
    if running.poll() is not None:
        pytest.skip("it was faster than the signal")
    check(running, scratch, signal.SIGINT)


def test_a_tool_that_is_just_being_started_is_ended_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTED]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begin = time.monotonic()
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert ended.returncode == 130 and ended.stderr == b"interrupted; what was finished is kept\n"
    assert time.monotonic() - begin < 30, "the tool held the pipe until its own end"


LAST = """
import os, signal
from stages.app import signals
signals.install()
class Last:
    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.{name}):
        kill(own, number)
last = Last()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_after_all_is_done_changes_nothing(name: str) -> None:
    run = subprocess.run([sys.executable, "-c", LAST.format(name=name)], cwd=ROOT, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")
