"""`chipfit diff` on real builds: a deliberate change of one layer's weights, said with its cause, wherever it is."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, chipfit_here, need
from git import commit_all, git

PRODUCT = "configs/products/touch.yaml"
USUAL = "quantization: {weights: int5, "
CHANGED = "quantization: {weights: int5, layers: {node_linear_1: {weights: int8}}, "


@pytest.fixture(scope="module")
def repo(products: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose HEAD has a product, built as `release`, and one that does not build; the working tree has
    another width of one layer, and not the other product."""
    need("git")
    folder = tmp_path_factory.mktemp("repository")
    for part in ("products/touch.yaml", "models/touch.onnx", "models/touch.npz"):
        (folder / "configs" / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(products / "configs" / part, folder / "configs" / part)
    product = folder / "configs" / "products" / "touch.yaml"
    other = product.with_name("other.yaml")
    other.write_text("product: other\nmodel: {source: none.onnx}\nchip: truetouch-m0\n", "utf-8")
    (folder / ".gitignore").write_text("build/\nrelease/\n", "utf-8")
    commit_all(folder)
    git(folder, "tag", "v1")
    other.unlink()
    text = product.read_text("utf-8")
    assert USUAL in text
    product.write_text(text.replace(USUAL, CHANGED), "utf-8")
    shutil.copytree(products / "build" / "touch", folder / "release" / "touch")
    done = chipfit_here(folder, "build")
    assert done.returncode == 0, done.stderr
    return folder


def test_one_layer_that_was_changed_is_found_with_its_cause(repo: Path) -> None:
    done = chipfit_here(repo, "diff", "release", "build", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (product,) = found["products"]
    figures = {f["name"]: f for f in product["figures"]}
    for side, folder in (("old", "release"), ("new", "build")):
        verdict = json.loads((repo / folder / "touch" / "report" / "verdict.json").read_text("utf-8"))
        assert (figures["cycles"][side], figures["flash"][side]) == (verdict["cycles"], verdict["flash"]["used"])
    assert figures["cycles"]["difference"] == figures["cycles"]["new"] - figures["cycles"]["old"] > 0
    assert product["state"] == "changed" and product["same_library"] is False
    causes = [(c["kind"], c["name"], c["old"], c["new"]) for c in product["causes"]]
    assert ("setting", "quantization.layers.node_linear_1.weights", None, "int8") in causes
    assert ("width", "node_linear_1", "int5", "int8") in causes
    assert {kind for kind, *_ in causes} == {"setting", "width", "symbol"}
    assert [x["cycles"] for x in product["layers"]] == [figures["cycles"]["difference"]]
    assert product["symbols"]


def test_the_page_of_docs_shows_the_real_markdown(repo: Path) -> None:
    shown = chipfit_here(repo, "diff", "release", "build", "--markdown").stdout
    page = (ROOT / "docs" / "diff.md").read_text("utf-8")
    block = page.partition("```markdown\n")[2].partition("```\n")[0]
    assert block == shown, "docs/diff.md: put the Markdown as it is now between the marks"


def test_head_against_the_working_tree_is_the_same_comparison(repo: Path) -> None:
    done = chipfit_here(repo, "diff", "--json", "--exit-code")
    assert done.returncode == 1, "something differs"
    found = json.loads(done.stdout)
    other, touch = found["products"]
    assert [touch] == json.loads(chipfit_here(repo, "diff", "release", "build", "--json").stdout)["products"]
    commit = git(repo, "rev-parse", "--short=12", "HEAD").strip()
    assert (found["old"], found["new"]) == (f"HEAD ({commit})", "working tree")
    assert other["state"] == "not compared" and other["why"].startswith(f"HEAD ({commit}): configs/products/other.yaml")
    assert "none.onnx does not exist" in other["why"]
    assert git(repo, "worktree", "list").count("\n") == 1
    assert sorted(git(repo, "status", "--porcelain").split()) == [
        "D", "M", "configs/products/other.yaml", "configs/products/touch.yaml",
    ]  # fmt: skip


def test_a_product_that_does_not_build_is_an_error_of_the_new_side_alone(repo: Path) -> None:
    old = chipfit_here(repo, "diff", "v1", "--product", "other")
    assert old.returncode == 0 and "other: not compared: v1 (" in old.stdout and old.stderr == ""
    assert chipfit_here(repo, "diff", "v1", "--product", "other", "--exit-code").returncode == 1
    new = chipfit_here(repo, "diff", "build", "v1", "--product", "other")
    assert new.returncode == 1 and new.stderr.startswith("other was not compared: configs/products/other.yaml")


def test_nothing_changed_is_one_line(repo: Path) -> None:
    done = chipfit_here(repo, "diff", "build", "build", "--exit-code", "--markdown")
    assert (done.returncode, done.stdout) == (0, "### chipfit: build → build\n\nno change: touch\n")
    done = chipfit_here(repo, "diff", "build", "build", "--exit-code")
    assert (done.returncode, done.stdout) == (0, "build → build\nno change: touch\n")


def test_products_are_chosen_by_name(repo: Path, products: Path) -> None:
    both = [str(products / "build"), "build"]
    found = json.loads(chipfit_here(repo, "diff", *both, "--product", "touch", "--json").stdout)
    assert [p["product"] for p in found["products"]] == ["touch"]
    done = chipfit_here(repo, "diff", *both, "--product", "digit")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "--product: 'digit' is on neither side. Hint: Did you mean 'digits'?\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a", "b", "c"), "diff takes two sides at most"),
        (("-x",), "chipfit diff: unrecognized arguments: -x"),
        (("--", "-x"), "'-x' is no revision"),
        (("--json", "--markdown"), "not allowed with argument"),
        (("v2",), "'v2' is no path, and no revision of this repository"),
        (("configs",), "configs: no product was built here"),
    ],
)
def test_what_is_wrong_is_one_sentence(repo: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = chipfit_here(repo, "diff", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def limited(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with limits that its working tree misses in cycles, built; and the lock of its HEAD's product."""
    folder = Path(shutil.copytree(repo, tmp_path_factory.mktemp("limited") / "repository", symlinks=True))
    changed = (folder / PRODUCT).read_text("utf-8")
    (folder / PRODUCT).write_text(changed.replace(CHANGED, USUAL), "utf-8")
    assert chipfit_here(folder, "lock", PRODUCT).returncode == 0
    (folder / PRODUCT).with_name("touch.lock.yaml").replace(folder / "old.lock.yaml")
    (folder / PRODUCT).write_text(changed + "regression: {cycles: 1 %, flash: 0 B}\n", "utf-8")
    chipfit_here(folder, "build")
    return folder


@pytest.mark.parametrize("sides", [("v1",), ("release", "build"), ("old.lock.yaml",)])
def test_more_is_lost_than_the_yaml_of_the_new_side_allows(sides: tuple[str, ...], limited: Path) -> None:
    asked = ("diff", *sides, "--product", "touch")
    assert chipfit_here(limited, *asked).returncode == 0
    done = chipfit_here(limited, *asked, "--regression")
    name = done.stdout.partition(" → ")[0]
    place = "touch" if "build" in sides else f"{PRODUCT}:{(limited / PRODUCT).read_text('utf-8').count(chr(10))}"
    said = f"regression.cycles: 4,288 are 324 (8.2 %) more than the 3,964 of {name}, allowed 1 %"
    hint = "Where that is meant, say so in the YAML: a larger limit."
    assert (done.returncode, done.stderr) == (1, f"{place}: {said}. Hint: {hint}\n")
    assert "; misses regression.cycles\n" in done.stdout and f"  missed: {said}\n" in done.stdout
    markdown = chipfit_here(limited, *asked, "--regression", "--markdown").stdout
    assert "; misses regression.cycles</summary>" in markdown and "* **missed**: regression.cycles: 4,288 " in markdown
    (product,) = json.loads(chipfit_here(limited, *asked, "--regression", "--json").stdout)["products"]
    assert [(f["key"], f["passed"]) for f in product["regression"]] == [
        ("regression.flash", True), ("regression.cycles", False),
    ]  # fmt: skip


def test_nothing_is_lost_or_nothing_is_limited(limited: Path) -> None:
    for sides in (("build", "build"), ("build", "release")):
        done = chipfit_here(limited, "diff", *sides, "--regression")
        assert (done.returncode, done.stderr) == (0, "")
