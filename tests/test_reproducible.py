"""Two builds in circumstances that share nothing: not one byte of build/ differs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, need

_ON_ONE_CORE = """
import os, runpy, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.argv[:1] = ["chipfit"]
runpy.run_module("stages.app.cli", run_name="__main__")
"""


def repository(folder: Path, toolchain: str) -> Path:
    """touch and digits_mlp."""
    for name in ("touch", "digits_mlp"):
        (folder / "models").mkdir(parents=True, exist_ok=True)
        for suffix in ("onnx", "npz"):
            shutil.copy(ROOT / "configs" / "models" / f"{name}.{suffix}", folder / "models")
        text = (ROOT / "configs" / "products" / f"{name}.yaml").read_text("utf-8").replace("../models/", "models/")
        lines = [line for line in text.splitlines() if not line.startswith("toolchain:")]
        (folder / f"{name}.yaml").write_text("\n".join([*lines, f"toolchain: {toolchain}", ""]), "utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def build(command: list[str], folder: Path, umask: int, **environment: str) -> dict[str, bytes]:
    base = {n: v for n, v in os.environ.items() if not n.startswith(("LC_", "LANG", "TZ", "XDG_", "CHIPFIT_"))}
    done = subprocess.run(
        command, cwd=folder, umask=umask, capture_output=True, text=True, timeout=600, check=False,
        env={**base, "PYTHONPATH": str(ROOT), "CHIPFIT_STORE": "none", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return contents(folder / "build")


def as_somebody_else() -> list[str]:
    """What runs a command as another user of the same rights, where the system has that."""
    command = ["unshare", "--map-user=4711", "--map-group=4711"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        return []
    return command


@pytest.mark.exhaustive
@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
def test_no_byte_depends_on_where_when_and_by_whom_it_was_built(
    toolchain: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    first = repository(tmp_path_factory.mktemp("one"), toolchain)
    other = repository(tmp_path_factory.mktemp("another folder, of a longer name") / "deep" / "er", toolchain)
    for folder in (other / "tmp", other / "home"):
        folder.mkdir()
    command = [sys.executable, "-m", "stages.app.cli", "build"]
    here = build(command, first, 0o022, PYTHONHASHSEED="0", TZ="UTC", LANG="C.UTF-8")
    later = ["faketime", "-f", "+1000d x1"] if shutil.which("faketime") else []
    there = build(
        [*as_somebody_else(), *later, sys.executable, "-c", _ON_ONE_CORE, "build", "-n", "2"], other, 0o077,
        PYTHONHASHSEED="4711", TZ="Pacific/Auckland", LANG="tr_TR.UTF-8", LC_ALL="tr_TR.UTF-8",
        TMPDIR=str(other / "tmp"), HOME=str(other / "home"), USER="somebody", LOGNAME="somebody",
        XDG_CACHE_HOME=str(other / "home" / "cache"),
    )  # fmt: skip
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    assert {n.split("/")[0] for n in here} >= {"touch", "digits_mlp", "index.html"}
