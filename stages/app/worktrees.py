"""Revisions of the user's git repository, each in a temporary work tree that goes away with the process."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.facts.errors import ChipfitError, did_you_mean
from pipeline.measuring.toolchain.process import ToolError, run
from pipeline.measuring.toolchain.scratch import remove_left_over, scratch

_TIMEOUT_S = 600
_PREFIX = "chipfit-diff-"
_MAX_NAMES = 1000
# Set while git runs a hook: they would make git work on another repository's index than that of the folder.
_IGNORED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
_own: set[Path] = set()
"""What git keeps of the work trees that this process has."""


@dataclass(frozen=True)
class Repository:
    """A git repository as seen from a folder in it: `prefix` is the folder's path below `root`; `common` is git's."""

    folder: Path
    root: Path
    prefix: Path
    common: Path


def repository(folder: Path) -> Repository:
    """The repository that `folder` lies in; raises ChipfitError where there is none, or no git."""
    if shutil.which("git") is None:
        raise ChipfitError("git was not found on PATH", hint="Install it, or name two build folders.")
    try:
        printed = _git(folder, "rev-parse", "--show-toplevel", "--git-common-dir").splitlines()
        root, common = Path(printed[0]), folder / printed[1]
    except ToolError as error:
        if "not a git repository" in error.printed:
            message = "is not in a git repository: there is no HEAD to compare with"
            raise ChipfitError(message, place=str(folder), hint="Name two build folders or lock files.") from error
        raise
    prefix = folder.resolve().relative_to(root.resolve())
    return Repository(folder, root, prefix, common.resolve())


def commit_of(repo: Repository, revision: str) -> str:
    """The commit that `revision` names, in full; raises ChipfitError where there is none."""
    _check(revision)
    try:
        return _verified(repo, f"{revision}^{{commit}}")
    except ToolError as error:
        message = f"{revision!r} is no path, and no revision of this repository"
        raise ChipfitError(message, hint=_hint(repo, revision)) from error


def merge_base(repo: Repository, one: str, other: str) -> str:
    """The commit from which two revisions parted; raises ChipfitError where they have none in common."""
    commits = commit_of(repo, one), commit_of(repo, other)
    try:
        return _git(repo.folder, "merge-base", *commits).splitlines()[0]
    except ToolError as error:
        message = f"{one!r} and {other!r} have no commit in common"
        raise ChipfitError(message, hint=_shallow(repo)) from error


@contextlib.contextmanager
def work_tree(repo: Repository, commit: str) -> Iterator[Path]:
    """The files of a commit in a temporary folder; what is yielded is in it what `repo.folder` is in the repository.

    The folder that is yielded need not be there. No hook of the repository runs.
    """
    _forget_left_over(repo)
    with scratch() as parent:
        tree = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        record = repo.common / "worktrees" / tree.name
        _own.add(record)
        try:
            _git(repo.folder, "worktree", "add", "--quiet", "--detach", str(tree), commit)
            yield tree / repo.prefix
        finally:
            with contextlib.suppress(ChipfitError):
                _git(repo.folder, "worktree", "remove", "--force", "--force", str(tree))
            _own.discard(record)


def forget_own() -> None:
    """Remove what git keeps of this process's work trees, before it ends."""
    for record in list(_own):
        shutil.rmtree(record, ignore_errors=True)


def _forget_left_over(repo: Repository) -> None:
    """Remove work trees that killed processes left, and what git keeps of them."""
    remove_left_over()
    for record in (repo.common / "worktrees").glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            tree = Path((record / "gitdir").read_text("utf-8").strip()).parent
            if not tree.parent.exists():
                shutil.rmtree(record, ignore_errors=True)


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; raises ToolError with its first line, or ChipfitError."""
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-c", "advice.detachedHead=false", *arguments]
    try:
        return run(command, folder, f"git {arguments[0]}", _TIMEOUT_S, _IGNORED)
    except ToolError as error:
        raise ToolError(error.message.removeprefix("toolchain: "), error.printed) from error


def _verified(repo: Repository, revision: str) -> str:
    return _git(repo.folder, "rev-parse", "--verify", "--quiet", "--end-of-options", revision).splitlines()[0]


def _check(revision: str) -> None:
    if not revision or revision.startswith("-") or not revision.isprintable():
        raise ChipfitError(f"{revision!r} is no revision", hint="One is such as HEAD, main, v1.2 or main..HEAD.")


def _hint(repo: Repository, revision: str) -> str:
    """Hint for an unknown revision: a branch or tag of a like name, or that the clone is shallow."""
    if revision in ("HEAD", "@"):
        return "Commit something first."
    formats = ("--format=%(refname:short)", f"--count={_MAX_NAMES}")
    names = _git(repo.folder, "for-each-ref", *formats, "refs/heads", "refs/tags", "refs/remotes").splitlines()
    shallow = _shallow(repo)
    if not names:
        return shallow
    guess = did_you_mean(revision, names)
    return f"{shallow} {guess}".strip() if guess.startswith("Did") or len(names) <= 10 else shallow


def _shallow(repo: Repository) -> str:
    if _git(repo.folder, "rev-parse", "--is-shallow-repository").strip() != "true":
        return ""
    return "This clone is shallow: run git fetch --unshallow, or in CI check out with fetch-depth: 0."
