"""YAML files: inheritance, and whatever a hostile one holds is answered in one sentence and at once."""

import sys
from pathlib import Path

import pytest
from bounded import bounded
from conftest import some

from pipeline.facts.config import load_project
from pipeline.facts.config.yaml_file import MAX_BYTES
from pipeline.facts.errors import ChipfitError


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
