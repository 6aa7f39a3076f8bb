"""A build whose process is killed from outside ends in one sentence."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc, which is Linux's")


def workers_of(pid: int) -> list[int]:
    """The processes that a build forked: unlike programs that it starts, they have its command line."""
    children = [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    return [c for c in children if command_line(c) == command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def test_a_worker_that_is_killed_is_said_and_nobody_waits_for_it(tmp_path: Path) -> None:
    for name in ("digits_mlp.onnx", "digits_mlp.npz"):
        (tmp_path / "models").mkdir(exist_ok=True)
        shutil.copy(ROOT / "configs" / "models" / name, tmp_path / "models")
    text = (ROOT / "configs" / "products" / "digits_mlp.yaml").read_text("utf-8").replace("../models/", "models/")
    (tmp_path / "net.yaml").write_text(text, "utf-8")
    (tmp_path / "other.yaml").write_text(text.replace("product: digits_mlp", "product: other"), "utf-8")
    command = [sys.executable, "-m", "stages.app.cli", "build", "net.yaml", "other.yaml", "-n", "2"]
    build = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(workers := workers_of(build.pid)) < 2 and build.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(workers) == 2, build.communicate()
    os.kill(workers[0], signal.SIGKILL)
    said = build.communicate(timeout=120)[1]
    assert build.returncode == 1
    assert said == (
        "a process of this build was killed (SIGKILL), perhaps for want of memory. "
        "Hint: What was finished is kept; build again with fewer processes (-n).\n"
    )
