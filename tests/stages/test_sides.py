"""What an argument of `chipfit diff` names: an existing path wins, else it is a revision."""

from pathlib import Path

import pytest
from conftest import need
from git import commit_all, git

from pipeline.facts.errors import ChipfitError
from stages.app.sides import WORKING_TREE, Source, check_wanted, side, sources


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The current folder is a repository with two commits, of which the first is also v1."""
    need("git")
    monkeypatch.chdir(tmp_path)
    first = commit_all(tmp_path)
    git(tmp_path, "tag", "v1")
    (tmp_path / "a.txt").write_text("two", "utf-8")
    return first, commit_all(tmp_path)


def revision(name: str, commit: str) -> Source:
    return Source(f"{name} ({commit[:12]})", commit=commit)


def test_revisions(commits: tuple[str, str]) -> None:
    first, second = commits
    assert sources([]) == (revision("HEAD", second), WORKING_TREE)
    assert sources(["v1"]) == (revision("v1", first), WORKING_TREE)
    assert sources(["v1", "main"]) == (revision("v1", first), revision("main", second))
    assert sources(["v1..main"]) == sources(["v1", "main"])
    assert sources(["v1.."]) == sources(["v1", "HEAD"]) and sources(["..v1"]) == sources(["HEAD", "v1"])
    old, new = sources(["main...v1"])
    assert old == Source(f"main at the merge base ({first[:12]})", commit=first) and new == revision("v1", first)
    for argument in ("v1..nothing", "nothing...v1", "v1..v1..v1"):
        with pytest.raises(ChipfitError, match="no revision of this repository"):
            sources([argument])


def test_an_existing_path_wins(commits: tuple[str, str], tmp_path: Path) -> None:
    for name in ("v1", "v1..main"):
        (tmp_path / name).mkdir()
    assert sources(["v1", "main"])[0] == Source("v1", path=Path("v1"))
    assert sources(["refs/tags/v1"])[0].commit == commits[0]
    assert sources(["v1..main"])[0] == Source("v1..main", path=Path("v1..main"))


def test_a_revision_without_products_has_none(commits: tuple[str, str]) -> None:
    assert side(sources([])[0], ()) == {}


def test_products_that_are_wrong_have_a_sentence(commits: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("product: bad\nmodel: 3\nchip: nothing\n", "utf-8")
    (tmp_path / "none.yaml").write_text("product: none\nmodel: {source: none.onnx}\nchip: truetouch-m0\n", "utf-8")
    commit_all(tmp_path)
    found = side(sources([])[0], ())
    assert isinstance(found["bad"], str) and found["bad"].startswith("bad.yaml:2: model: ")
    assert isinstance(found["none"], str) and "none.onnx does not exist" in found["none"]
    assert side(sources([])[0], ("none",))["bad"] is None
    assert side(WORKING_TREE, ()) == found and (tmp_path / "build").is_dir()


def test_a_product_that_neither_side_has() -> None:
    check_wanted(("touch",), ("touch", "digits"))
    with pytest.raises(ChipfitError, match=r"--product: 'tuch' is on neither side\. Hint: Did you mean 'touch'\?"):
        check_wanted(("tuch",), ("touch", "digits"))


@pytest.mark.parametrize(
    ("name", "full"), [("main", "branch of that name is refs/heads/main"), ("v1", "tag of that name is refs/tags/v1")]
)
def test_a_folder_with_the_name_of_a_branch_says_how_to_name_the_branch(
    name: str, full: str, commits: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ChipfitError) as caught:
        side(sources([name])[0], ())
    assert str(caught.value) == f"{name}: no product was built here. Hint: It is a folder; the {full}."
    (tmp_path / "other").mkdir()
    with pytest.raises(ChipfitError, match=r"A build folder is such as build/\."):
        side(sources(["other"])[0], ())
