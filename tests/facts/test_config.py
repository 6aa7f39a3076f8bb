"""Product and chip YAMLs: what is read, and every mistake said with its line, all at once."""

from fractions import Fraction
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts import units
from pipeline.facts.config import json_schema, known_chips, load_project, load_variants
from pipeline.facts.errors import ChipfitError

INVALID = ROOT / "tests" / "invalid"
MINIMAL = "product: p\nmodel: {source: m.onnx}\nchip: truetouch-m0\n"


@pytest.mark.parametrize("path", sorted(INVALID.glob("*.yaml")), ids=lambda p: p.stem)
def test_each_invalid_product_gives_exactly_its_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(INVALID)
    assert mistakes(Path(path.name)) + "\n" == path.with_suffix(".txt").read_text("utf-8")


def mistakes(path: Path) -> str:
    """What is wrong with a file, or with some of its variants, each line once, as a build prints it."""
    try:
        wrong = [str(p) for _, p in load_variants(path) if isinstance(p, ChipfitError)]
    except ChipfitError as error:
        wrong = [str(error)]
    return "\n".join(dict.fromkeys(line for e in wrong for line in e.splitlines()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100 KiB", 102400), ("64 kB", 64000), ("1 MiB", 1 << 20), ("0.5 KiB", 512), ("7B", 7)],
)
def test_sizes(text: str, expected: int) -> None:
    assert units.parse_integer(text, units.SIZES, "100 KiB") == expected


def test_times_are_exact() -> None:
    assert units.parse("0.1 us", units.TIMES, "100 us") == Fraction(1, 10**7)


@pytest.mark.parametrize("text", ["100", 100, "100 KB", "-1 KiB", "KiB", "1 kib", "0.3 B", None, True, "1e3 B"])
def test_wrong_sizes_say_what_was_expected(text: object) -> None:
    with pytest.raises(ValueError, match="100 KiB"):
        units.parse_integer(text, units.SIZES, "100 KiB")


def test_sizes_and_times_for_people() -> None:
    assert [units.show_size(n) for n in (12, 2048, 5 << 20)] == ["12 B", "2.0 KiB", "5.0 MiB"]
    assert [units.show_time(t) for t in (357e-6, 9.61e-3, 1.5)] == ["357 us", "9.61 ms", "1.5 s"]


def test_extends_merges_and_the_child_wins(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.yaml").write_text(MINIMAL + "budget: {flash: 9 KiB, ram: 1 KiB}\n", "utf-8")
    (tmp_path / "child.yaml").write_text("extends: sub/base.yaml\nproduct: q\nbudget: {flash: 8 KiB}\n", "utf-8")
    project = load_project(tmp_path / "child.yaml")
    assert (project.config.product, project.config.budget.flash, project.config.budget.ram) == ("q", 8192, 1024)
    assert project.file("model.source", "m.onnx") == tmp_path / "sub" / "m.onnx"
    assert project.place("budget.ram").file.endswith("base.yaml")
    assert project.place("budget.flash").line == 3


def test_a_chip_may_be_inline_or_beside_the_product(tmp_path: Path) -> None:
    facts = "core: cortex-m0\nclock: 8 MHz\nflash: {origin: 0, size: 16 KiB}\nram: {size: 4 KiB}\n"
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "mine.yaml").write_text("chip: mine\n" + facts, "utf-8")
    (tmp_path / "p.yaml").write_text("product: p\nmodel: {source: m.onnx}\nchip: mine\n", "utf-8")
    assert load_project(tmp_path / "p.yaml").chip.clock == 8_000_000
    indented = "".join(f"  {line}\n" for line in ("chip: other", *facts.splitlines()))
    (tmp_path / "p.yaml").write_text("product: p\nmodel: {source: m.onnx}\nchip:\n" + indented, "utf-8")
    assert load_project(tmp_path / "p.yaml").chip.chip == "other"


def test_every_chip_that_comes_with_chipfit_names_its_manual(tmp_path: Path) -> None:
    assert len(known_chips()) >= 7
    for name in known_chips():
        (tmp_path / "p.yaml").write_text(MINIMAL.replace("truetouch-m0", name), "utf-8")
        chip = load_project(tmp_path / "p.yaml").chip
        assert chip.chip == name and chip.manual


def test_the_schema_describes_every_key() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert {"product", "model", "data", "chip", "budget", "quantization", "accuracy", "extends", "variants"} <= set(
        schema["properties"]
    )
    assert schema["additionalProperties"] is False
