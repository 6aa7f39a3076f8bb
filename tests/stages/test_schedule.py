"""Products that are found, and two of one name."""

import json
from pathlib import Path

import pytest
from conftest import chipfit_here

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from stages.app.schedule import _load, _refuse_duplicates, find_products, load_products

YAML = "product: net\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: stm32f030r8\n"


def test_a_folder_or_a_pattern_gives_its_products_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.yaml", "a.yml", "broken.yaml"):
        (tmp_path / name).write_text(YAML + ("- :\n" if name == "broken.yaml" else ""), "utf-8")
    (tmp_path / "other.yaml").write_text("version: 3\n# product: net\n", "utf-8")
    (tmp_path / "c.txt").write_text(YAML, "utf-8")
    assert [p.name for p in find_products(tmp_path)] == ["a.yml", "b.yaml", "broken.yaml"]
    monkeypatch.chdir(tmp_path)
    assert [p.name for p in find_products("*.yaml")] == ["b.yaml", "broken.yaml"]


def test_a_file_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_products(tmp_path / "missing.yaml") == [tmp_path / "missing.yaml"]
    (tmp_path / "other.yaml").write_text("version: 3\n", "utf-8")
    assert find_products(tmp_path / "other.yaml") == [tmp_path / "other.yaml"]


def test_of_two_products_of_one_name_the_second_fails_and_says_which(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(YAML, "utf-8")
    first, second = _refuse_duplicates([*_load(tmp_path / "a.yaml"), *_load(tmp_path / "b.yaml")])
    assert first[0] == "net" and isinstance(first[1], Project)
    assert second[0] == "net_b" and isinstance(second[1], ChipfitError)
    assert "'net' is also the product of" in str(second[1]) and "a.yaml" in str(second[1])


def test_what_is_wrong_with_a_file_is_told_the_same_however_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs" / "a.yaml"
    path.write_text(YAML.replace("stm32f030r8", "none"), "utf-8")
    ((_, elsewhere),) = load_products(path)
    assert str(elsewhere).startswith(f"{path}:4: ")
    monkeypatch.chdir(tmp_path)
    told = {
        str(error)
        for given in (path, "configs/a.yaml", path.parent, "configs/*.yaml")
        for _, error in load_products(given)
    }
    assert len(told) == 1 and told.pop().startswith("configs/a.yaml:4: ")


@pytest.mark.parametrize(
    ("text", "arguments", "stages"),
    [
        (YAML + "budgets: 1\n", (), 7),  # whose model is no matter: the file is wrong
        (YAML.replace("m.onnx", "m.pt2") + "budgets: 1\n", (), 7),
        (YAML, ("--locked",), 7),
        (YAML.replace("m.onnx", "m.pt2"), ("--locked",), 8),
    ],
    ids=["wrong", "a wrong one of PyTorch", "without its lock", "one of PyTorch without its lock"],
)
def test_a_product_that_cannot_be_built_counts_the_stages_that_it_has(
    tmp_path: Path, text: str, arguments: tuple[str, ...], stages: int
) -> None:
    (tmp_path / "net.yaml").write_text(text, "utf-8")
    done = chipfit_here(tmp_path, "build", "net.yaml", "--json", *arguments)
    assert done.returncode == 1 and json.loads(done.stdout)["stages"] == {"failed": 1, "not run": stages - 1}
