"""Product and chip YAMLs: what is read, and every mistake said with its line, all at once."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest
from bounded import bounded
from conftest import ROOT, some

from pipeline.facts import units
from pipeline.facts.config import json_schema, known_chips, load_project
from pipeline.facts.config.yaml_file import MAX_BYTES
from pipeline.facts.errors import ChipfitError

INVALID = ROOT / "tests" / "invalid"
MINIMAL = "product: p\nmodel: {source: m.onnx}\nchip: truetouch-m0\n"


@pytest.mark.parametrize("path", sorted(INVALID.glob("*.yaml")), ids=lambda p: p.stem)
def test_each_invalid_product_gives_exactly_its_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(INVALID)
    with pytest.raises(ChipfitError) as caught:
        load_project(Path(path.name))
    assert str(caught.value) + "\n" == path.with_suffix(".txt").read_text("utf-8")


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


def test_extends_in_a_circle_or_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n", "utf-8")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n", "utf-8")
    with pytest.raises(ChipfitError, match="circle"):
        load_project(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").unlink()
    with pytest.raises(ChipfitError, match=r"b\.yaml does not exist"):
        load_project(tmp_path / "a.yaml")


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(levels), "utf-8")
    with pytest.raises(ChipfitError, match="expands to more than"):
        load_project(tmp_path / "bomb.yaml")


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"a" * (MAX_BYTES + 1), b"[1, 2]", b"", b"a: !!python/name:os.system x"]
)
def test_what_is_no_product_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(ChipfitError):
        load_project(tmp_path / "x.yaml")


HOSTILE = {
    "a circle of lists": ("&x [*x]", "is not a mapping of keys"),
    "a circle": ("a: &x [*x]", "x.yaml:1: is nested deeper than 50 levels, or holds itself"),
    "a circle of mappings": ("a: &x {b: *x}", "is nested deeper than 50 levels, or holds itself"),
    "nesting": ("a: " + "[" * 400 + "]" * 400, "is nested deeper than 50 levels"),
    "deep nesting": ("a: " + "[" * 200_000, "is not valid YAML"),
    "a mapping as key": ("{a: 1}: 2", "x.yaml:1: a key: a key is plain text of one line"),
    "a list as key": ("a: {? [b, c] : 2}", "x.yaml:1: a: a key is plain text of one line"),
    "a long key": ("a" * 900_000 + ": 2", ""),
    "many digits": ("budget: {flash: " + "9" * 5000 + "}", "budget.flash: has 5000 characters, the limit is 64"),
    "hexadecimal digits": ("a: 0x" + "f" * 4200, "a: has 4202 characters, the limit is 64"),
    "sexagesimal": ("a: 1" + ":59" * 300_000, "a: has 900001 characters, the limit is 64"),
    "sexagesimal fraction": ("a: 1" + ":59" * 300_000 + ".5", "a: has 900003 characters, the limit is 64"),
    "long text": ("product: " + "a" * 900_000, "product: has 900000 characters, the limit is 10000"),
    "exponent": ("accuracy: {at_least: 1e999999999}", "accuracy"),
    "wrong bool": ("a: !!bool maybe", "a: "),
    "wrong int": ('a: !!int ""', "a: "),
    "wrong date": ("a: !!timestamp soon", "a: "),
    "impossible date": ("a: 2001-13-45", "a: "),
    "wrong bytes": ("a: !!binary é", "a: "),
    "many keys": ("\n".join(f"k{i}: 1" for i in range(20_000)), "expands to more than 10000 values"),
    "surrogate": (r'product: "\ud800"', ""),
    "nul": (r'model: {source: "a\0b"}', ""),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_yaml_is_answered_at_once(tmp_path: Path, name: str) -> None:
    text, says = HOSTILE[name]
    (tmp_path / "x.yaml").write_text(text, "utf-8")
    message = bounded(lambda: load_project(tmp_path / "x.yaml")).message
    assert says in message and "Traceback" not in message, message[:2000]
    assert all("x.yaml" in line for line in some(message.splitlines())), message[:2000]
    assert message and len(message) < 10_000


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
    assert {"product", "model", "data", "chip", "budget", "quantization", "accuracy", "extends"} <= set(
        schema["properties"]
    )
    assert schema["additionalProperties"] is False
