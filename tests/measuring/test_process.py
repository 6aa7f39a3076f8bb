"""Tools that hang, leave their group or have no cache: they are ended, and what they made is removed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain.process import cache_folder, run


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_a_compiler_that_hangs_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(alive)!r}).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    begin = time.monotonic()
    with pytest.raises(ChipfitError, match=r"toolchain: waiting took more than 0\.5 s"):
        run([sys.executable, "-c", parent], tmp_path, "waiting", timeout=0.5)
    assert time.monotonic() - begin < 1.8
    time.sleep(max(0.0, 2.3 - (time.monotonic() - begin)))
    assert not alive.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_what_leaves_the_process_group_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.measuring.toolchain.process._KILL_TIMEOUT_S", 0.2)
    child = "import time; time.sleep(8)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    begin = time.monotonic()
    with pytest.raises(ChipfitError, match=r"toolchain: waiting took more than 0\.5 s"):
        run([sys.executable, "-c", parent], tmp_path, "waiting", timeout=0.5)
    assert time.monotonic() - begin < 4


def test_without_a_writable_cache_a_temporary_one_is_used_and_removed(tmp_path: Path) -> None:
    program = "from pipeline.measuring.toolchain.process import cache_folder; f = cache_folder(); print(f, f.is_dir())"
    (tmp_path / "file").write_text("", "utf-8")
    environment = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert printed[1] == "True" and not Path(printed[0]).exists()
    if sys.platform == "linux":
        assert Path(printed[0]).parent.parent == tmp_path
    assert cache_folder().is_dir()
