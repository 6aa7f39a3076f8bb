"""Products of a file: one that is wrong hides no other, and what they share is read once."""

from fractions import Fraction
from pathlib import Path

import pytest
from conftest import ROOT, some

from pipeline.facts.config import Project, load_project, load_variants
from pipeline.facts.errors import ChipfitError

HEAD = "product: net\nmodel: {source: m.onnx}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(HEAD + text, "utf-8")
    return path


def test_a_variant_that_is_wrong_does_not_hide_the_others(tmp_path: Path) -> None:
    text = "variants:\n  chip: [rp2040, nochip, samd21]\n  x: {a: , b: }\n  name: '{chip}_{x}'\n"
    loaded = load_variants(written(tmp_path, text))
    assert [n for n, _ in loaded] == ["rp2040_a", "rp2040_b", "nochip_a", "nochip_b", "samd21_a", "samd21_b"]
    good = [p.chip.chip for _, p in loaded if isinstance(p, Project)]
    assert good == ["rp2040", "rp2040", "samd21", "samd21"]
    bad = [str(p) for _, p in loaded if isinstance(p, ChipfitError)]
    assert len(bad) == 2 and len(set(bad)) == 1, "said alike, so that a build says it once"
    assert "x.yaml:4: nochip_a and 1 more: chip: 'nochip' is not known. Hint: Known:" in bad[0]


def test_a_mistake_of_the_whole_file_is_one_error(tmp_path: Path) -> None:
    text = "toolchain: iar\nvariants: {chip: [rp2040, nochip]}\n"
    with pytest.raises(ChipfitError) as caught:
        load_variants(written(tmp_path, text))
    assert str(caught.value).splitlines() == [f"{tmp_path}/x.yaml:3: toolchain: is 'iar', expected 'ziglang' or 'gcc'."]


def test_variants_share_the_chips_that_they_name(tmp_path: Path) -> None:
    loaded = load_variants(written(tmp_path, "variants: {chip: [rp2040, samd21], x: {a: , b: }}\n"))
    chips = [p.chip for _, p in loaded if isinstance(p, Project)]
    assert chips[0] is chips[1] and chips[2] is chips[3] and chips[0] is not chips[2]


def test_one_product_of_several_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "variants: {chip: [rp2040, samd21, nochip]}\n")
    assert load_project(path, "net_samd21").chip.chip == "samd21"
    with pytest.raises(ChipfitError, match=r"declares 3 products.* Name one of net_rp2040, net_samd21, net_nochip"):
        load_project(path)
    with pytest.raises(ChipfitError, match=r"no product 'net_samd2'. Hint: Did you mean 'net_samd21'"):
        load_project(path, "net_samd2")
    with pytest.raises(ChipfitError, match="'nochip' is not known"):
        load_project(path, "net_nochip")
    assert load_project(written(tmp_path, "chip: rp2040\n"), "net").variant == {}


def test_a_message_about_a_variant_says_which(tmp_path: Path) -> None:
    single, several = "chip: rp2040\n", "variants: {chip: [rp2040]}\n"
    told = [load_project(written(tmp_path, t)).told("budget.flash: too small") for t in (single, several)]
    assert told == ["budget.flash: too small", "net_rp2040: budget.flash: too small"]


def test_the_example_is_fifty_products() -> None:
    loaded = load_variants(ROOT / "examples" / "variants" / "fleet.yaml")
    projects = [p for _, p in loaded if isinstance(p, Project)]
    assert len(projects) == len(loaded) == 50
    assert {p.chip.chip for p in projects if p.config.budget.latency == Fraction(1, 1000)} == {"stm32f103", "stm32l4r5"}
    assert all(p.file("model.source", p.config.model.source).is_file() for p in some(projects))
