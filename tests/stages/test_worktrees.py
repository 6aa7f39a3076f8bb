"""Revisions in temporary work trees: right files, nothing left of them, every mistake in one sentence."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, need
from git import commit_all, git

from pipeline.facts.errors import ChipfitError
from stages.app.worktrees import commit_of, forget_own, merge_base, repository, work_tree


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a file in a folder, in two commits."""
    need("git")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = tmp_path / "repository"
    (folder / "firmware").mkdir(parents=True)
    (folder / "firmware" / "a.txt").write_text("one", "utf-8")
    commit_all(folder)
    git(folder, "tag", "v1.0")
    (folder / "firmware" / "a.txt").write_text("two", "utf-8")
    commit_all(folder)
    return folder


def left(repo: Path) -> list[str]:
    """What is left of temporary work trees."""
    return [str(p) for p in (*repo.parent.glob("chipfit-scratch-*/*"), *(repo / ".git" / "worktrees").glob("*"))]


def test_a_revision_has_its_own_files_and_goes_without_a_trace(repo: Path) -> None:
    found = repository(repo / "firmware")
    with work_tree(found, commit_of(found, "v1.0")) as folder:
        assert (folder / "a.txt").read_text("utf-8") == "one"
        assert len(left(repo)) == 2
    assert left(repo) == []
    assert git(repo, "status", "--porcelain") == "" and git(repo, "worktree", "list").count("\n") == 1
    with pytest.raises(ZeroDivisionError), work_tree(found, commit_of(found, "HEAD")) as folder:
        assert (folder / "a.txt").read_text("utf-8") == "two"
        raise ZeroDivisionError
    assert left(repo) == []


def test_a_folder_that_the_revision_does_not_have(repo: Path) -> None:
    (repo / "later").mkdir()
    found = repository(repo / "later")
    with work_tree(found, commit_of(found, "HEAD")) as folder:
        assert not folder.exists()


def test_hooks_do_not_run_and_the_variables_of_a_hook_do_not_matter(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {repo}/ran\n", "utf-8")
    hook.chmod(0o755)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, "/nowhere")
    found = repository(repo)
    with work_tree(found, commit_of(found, "HEAD~1")) as folder:
        assert (folder / "firmware" / "a.txt").read_text("utf-8") == "one"
    assert not (repo / "ran").exists()


def test_a_revision_that_there_is_not(repo: Path) -> None:
    found = repository(repo)
    git(repo, "branch", "feature/pooling")
    with pytest.raises(ChipfitError) as error:
        commit_of(found, "feature/poolin")
    assert str(error.value) == (
        "'feature/poolin' is no path, and no revision of this repository. Hint: Did you mean 'feature/pooling'?"
    )
    for name in ("-x", "--all", "", "a\nb", "\x1b[31m"):
        with pytest.raises(ChipfitError, match="is no revision"):
            commit_of(found, name)
    for name in ("v1.0:firmware", "nothing~1", "HEAD^{tree}", "$(touch x)", "a b", "ü" * 5000):
        with pytest.raises(ChipfitError, match="no revision of this repository"):
            commit_of(found, name)


def test_where_two_revisions_parted(repo: Path) -> None:
    found = repository(repo)
    git(repo, "checkout", "--quiet", "-b", "side", "v1.0")
    commit_all(repo)
    assert merge_base(found, "side", "main") == commit_of(found, "v1.0")
    git(repo, "checkout", "--quiet", "--orphan", "alone")
    commit_all(repo, "another beginning")
    with pytest.raises(ChipfitError, match="'alone' and 'main' have no commit in common"):
        merge_base(found, "alone", "main")


def test_a_shallow_clone_says_what_would_help(repo: Path) -> None:
    git(repo.parent, "clone", "--quiet", "--depth", "1", f"file://{repo}", "shallow")
    with pytest.raises(ChipfitError, match=r"This clone is shallow: .* fetch-depth: 0"):
        commit_of(repository(repo.parent / "shallow"), "v1.0~1")


def test_folders_without_a_repository_commits_or_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("git")
    with pytest.raises(ChipfitError, match="is not in a git repository"):
        repository(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(ChipfitError, match=r"'HEAD' is no path.* Hint: Commit something first\."):
        commit_of(repository(tmp_path), "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChipfitError, match="git was not found on PATH"):
        repository(tmp_path)


STARTED = """
import sys, time
from pathlib import Path
from stages.app import signals
from stages.app.worktrees import commit_of, repository, work_tree
signals.install()
found = repository(Path.cwd())
with work_tree(found, commit_of(found, "HEAD")):
    print(flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_process_that_was_stopped(repo: Path, number: int) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = subprocess.Popen([sys.executable, "-c", STARTED], cwd=repo, env=environment, stdout=-1, stderr=-1)
    assert running.stdout is not None and running.stdout.readline() == b"\n"
    assert len(left(repo)) == 2
    running.send_signal(number)
    assert running.communicate(timeout=60) and running.returncode == (
        -number if number == signal.SIGKILL else 128 + number
    )
    if number == signal.SIGKILL:  # nobody can tidy up then: the next one does
        assert len(left(repo)) == 2
        found = repository(repo)
        with work_tree(found, commit_of(found, "HEAD")):
            assert len(left(repo)) == 2
    assert left(repo) == []


def test_work_trees_of_others_are_left_alone(repo: Path) -> None:
    git(repo, "worktree", "add", "--quiet", "--detach", str(repo.parent / "theirs"))
    shutil.rmtree(repo.parent / "theirs")  # on a disk that is not mounted now
    found = repository(repo)
    with work_tree(found, commit_of(found, "HEAD")):
        pass
    forget_own()
    assert [Path(p).name for p in left(repo)] == ["theirs"]
