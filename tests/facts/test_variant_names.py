"""Names of variants: made of the values, and nothing that C or another product would mistake."""

from pathlib import Path

import pytest

from pipeline.facts.config import load_variants
from pipeline.facts.config.models import MAX_NAME
from pipeline.facts.errors import ChipfitError

HEAD = "product: net\nmodel: {source: m.onnx}\nchip: rp2040\nvariants:\n"


def names(folder: Path, *variants: str) -> list[str]:
    (folder / "x.yaml").write_text(HEAD + "".join(f"  {v}\n" for v in variants), "utf-8")
    return [name for name, _ in load_variants(folder / "x.yaml")]


def test_what_cannot_stand_in_a_name_becomes_an_underscore(tmp_path: Path) -> None:
    assert names(tmp_path, "policy: {Int8+Fast!: , 'a--b': }") == ["net_int8_fast", "net_a_b"]
    assert names(tmp_path, "budget.flash: [9 KiB, 9.5 KiB]") == ["net_9_kib", "net_9_5_kib"]


def test_of_a_path_the_name_of_the_file_counts(tmp_path: Path) -> None:
    assert names(tmp_path, "model.source: [../models/Touch-v2.onnx, a.b/c.tflite]") == ["net_touch_v2", "net_c"]


def test_a_template_says_which_axes_and_in_which_order(tmp_path: Path) -> None:
    axes = ("chip: [rp2040, samd21]", "quantization.weights: [int8]")
    template = "name: '{quantization.weights}_on_{chip}'"
    assert names(tmp_path, *axes, template) == ["int8_on_rp2040", "int8_on_samd21"]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("'{chip}__{product}'", "two _ side by side"),
        ("'9{chip}'", "cannot be a name in C"),
        ("'{product}-{chip}'", "cannot be a name in C"),
        ("'chipfit_{chip}'", "chipfit's own"),
        ("'{product.__class__}_{chip}'", r"x.yaml:6: variants.name: {product.__class__} is not an axis"),
        ("'{}{chip}'", "{} is not an axis"),
        ("'{chip}}'", "a brace without its other one"),
        ("''", "cannot be a name in C"),
    ],
)
def test_a_template_that_makes_no_name_is_refused(tmp_path: Path, template: str, says: str) -> None:
    with pytest.raises(ChipfitError) as caught:
        names(tmp_path, "chip: [rp2040]", f"name: {template}")
    assert says in str(caught.value)


def test_the_longest_name_fits(tmp_path: Path) -> None:
    longest = "a" * (MAX_NAME - len("net_"))
    assert names(tmp_path, f"x: {{{longest}: }}") == [f"net_{longest}"]
    with pytest.raises(ChipfitError, match=r"has 41 characters, a product's name at most 40 \(2 names are too long\)"):
        names(tmp_path, f"x: {{{longest}a: , {longest}b: , c: }}")


def test_the_name_of_the_file_itself_is_checked(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(HEAD.replace("net", "Net") + "  chip: [rp2040]\n", "utf-8")
    with pytest.raises(ChipfitError, match=r"x.yaml:1: product: 'Net' cannot be a name in C"):
        load_variants(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(HEAD.partition("\n")[2] + "  chip: [rp2040]\n", "utf-8")
    with pytest.raises(ChipfitError, match="product: is missing"):
        load_variants(tmp_path / "x.yaml")
