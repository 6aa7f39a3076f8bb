"""A draft: written whole or not at all; what a kill leaves of it, the next writer removes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.drafts import draft_of, remove_draft, replace_file

WRITING = """
import sys, time
from pathlib import Path
from stages.app import signals
signals.install()
from pipeline.facts.drafts import replace_file
def check(draft):
    print(flush=True)
    time.sleep(60)
replace_file(Path("net.lock.yaml"), b"new", check)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_interrupted_leaves_the_old_file_and_the_next_writer_no_draft(number: int, tmp_path: Path) -> None:
    path = tmp_path / "net.lock.yaml"
    path.write_bytes(b"old")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITING]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None and running.stdout.readline() == b"\n"
        assert [p.name for p in sorted(tmp_path.iterdir())] == [".net.lock.yaml.draft", "net.lock.yaml"]
        running.send_signal(number)
    assert running.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert path.read_bytes() == b"old"
    assert draft_of(path).exists() == (number == signal.SIGKILL)
    replace_file(path, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["net.lock.yaml"] and path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_draft_that_was_left_is_removed_also_without_writing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    draft_of(path).write_bytes(b"half")
    remove_draft(path)
    remove_draft(path)
    assert not list(tmp_path.iterdir())


def test_what_is_refused_is_not_written(tmp_path: Path) -> None:
    def refuse(draft: Path) -> None:
        assert draft.read_bytes() == b"new"
        raise ValueError

    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ValueError):
        replace_file(tmp_path / "a", b"new", refuse)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.skipif(os.name != "posix", reason="links and locks are POSIX's")
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    draft_of(tmp_path / "a").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "other").read_bytes() == b"other" and not (tmp_path / "a").exists()


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_writers_at_once_take_turns(tmp_path: Path) -> None:
    texts = [bytes([65 + i]) * 10_000 for i in range(8)]
    failed: list[BaseException] = []

    def write(text: bytes) -> None:
        try:
            for _ in range(20):
                replace_file(tmp_path / "a", text)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(t,), daemon=True) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not failed
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_bytes() in texts
