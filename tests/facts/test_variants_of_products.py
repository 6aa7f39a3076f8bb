"""Variants: products are the combinations of the axes without what is excluded, in order, with the keys they set."""

from contextlib import nullcontext
from itertools import product
from pathlib import Path

import pytest
import yaml
from bounded import bounded
from conftest import ROOT, some
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.facts.config import Loaded, Project, load_variants
from pipeline.facts.config.variants import MAX_VALUES, MAX_VARIANTS
from pipeline.facts.errors import ChipfitError

HEAD = "product: net\nmodel: {source: m.onnx}\nchip: truetouch-m0\n"


def products(folder: Path, text: str, name: str = "x.yaml") -> list[Project]:
    (folder / name).write_text(text, "utf-8")
    return [project(p) for p in load_variants(folder / name)]


def project(loaded: Loaded) -> Project:
    if isinstance(loaded[1], ChipfitError):
        raise loaded[1]
    assert loaded[0] == loaded[1].config.product
    return loaded[1]


WORDS = st.from_regex("[a-z][a-z0-9]{0,3}", fullmatch=True)
AXES = st.dictionaries(
    WORDS.map(lambda w: f"x{w}"), st.lists(WORDS, min_size=1, max_size=4, unique=True), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(AXES, st.data())
def test_products_are_all_combinations_without_the_excluded_ones(
    tmp_path: Path, axes: dict[str, list[str]], data: st.DataObject
) -> None:
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    selection = st.fixed_dictionaries(
        {}, optional={a: st.lists(st.sampled_from(v), min_size=1, unique=True) for a, v in axes.items()}
    )
    left, exclude = combinations, []
    for selected in data.draw(st.lists(selection.filter(bool), max_size=3)):
        fewer = [c for c in left if not all(c[a] in v for a, v in some(selected.items()))]
        if fewer and len(fewer) < len(left):
            exclude.append(selected)
            left = fewer
    document = {
        "product": "n",
        "model": {"source": "m.onnx"},
        "chip": "truetouch-m0",
        "variants": {**{a: dict.fromkeys(v) for a, v in axes.items()}, "exclude": exclude},
    }
    found = products(tmp_path, yaml.safe_dump(document, sort_keys=False))
    assert [dict(p.variant) for p in found] == left
    names = [p.config.product for p in found]
    assert names == ["_".join(["n", *c.values()]) for c in left] and len(set(names)) == len(names)


def test_an_axis_is_a_list_of_values_or_names_with_keys(tmp_path: Path) -> None:
    text = """
  quantization.weights: [int8, int5]
  size: {small: {budget: {flash: 9 KiB}, optimize: flash}, large: }
"""
    found = products(tmp_path, f"{HEAD}budget: {{flash: 8 KiB, ram: 1 KiB}}\nvariants:{text}")
    assert [p.config.product for p in found] == [f"net_{w}_{s}" for w in ("int8", "int5") for s in ("small", "large")]
    assert [p.config.quantization.weights for p in found] == ["int8", "int8", "int5", "int5"]
    assert [p.config.budget.flash for p in found] == [9216, 8192] * 2
    assert {p.config.budget.ram for p in found} == {1024}, "what a variant does not say is the product's"
    assert found[2].variant == {"quantization.weights": "int5", "size": "small"}


def test_a_variant_replaces_a_list_and_merges_a_section_as_extends_does(tmp_path: Path) -> None:
    text = "accuracy: {signal: none, allow: [chance, span]}\nvariants: {a: {b: {accuracy: {allow: [labels]}}, c: }}\n"
    ours, theirs = products(tmp_path, HEAD + text)
    assert (ours.config.accuracy.allow, ours.config.accuracy.signal) == (("labels",), None)
    assert theirs.config.accuracy.allow == ("chance", "span")


def test_of_two_overrides_the_later_one_holds(tmp_path: Path) -> None:
    text = """variants:
  simulate.vectors: [1, 2, 3]
  overrides:
    - {when: {simulate.vectors: [2, 3]}, budget: {flash: 1 KiB, ram: 1 KiB}}
    - {when: {simulate.vectors: 3}, budget: {flash: 2 KiB}}
"""
    found = products(tmp_path, HEAD + text)
    budgets = [(p.config.budget.flash, p.config.budget.ram) for p in found]
    assert budgets == [(None, None), (1024, 1024), (2048, 1024)]
    assert [p.config.simulate.vectors for p in found] == [1, 2, 3]
    assert [p.place("budget.flash").line for p in found] == [None, 7, 8]
    assert [p.place("simulate.vectors").line for p in found] == [5, 5, 5]


def test_every_key_has_the_line_that_it_comes_from(tmp_path: Path) -> None:
    text = """budget: {flash: 9 KiB}
variants:
  chip:
    - rp2040
    - samd21
  policy:
    wide: {}
    narrow:
      quantization:
        weights: int5
"""
    found = products(tmp_path, HEAD + text)
    assert [p.place("chip").line for p in found] == [7, 7, 8, 8]
    assert [p.place("quantization.weights").line for p in found] == [None, 13, None, 13]
    assert {p.place("budget.flash").line for p in found} == {4}
    assert {p.place("product").line for p in found} == {5}, "the name comes from the variants"
    (named,) = products(tmp_path, HEAD + "variants:\n  chip: [rp2040]\n  name: '{product}'\n")
    assert named.place("product").line == 6


def test_paths_are_relative_to_the_file_in_which_they_stand(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    base = HEAD + "data: {calibration: {file: c.npz, rows: 0-9}}\nvariants: {model.source: [a.onnx, b.onnx]}\n"
    (tmp_path / "sub" / "base.yaml").write_text(base, "utf-8")
    text = "extends: sub/base.yaml\nproduct: p\nvariants: {data: {x: {data: {calibration: x.npz}}, same: }}\n"
    found = products(tmp_path, text)
    assert [p.config.product for p in found] == ["p_a_x", "p_a_same", "p_b_x", "p_b_same"]
    assert {p.file("model.source", "m").parent for p in found} == {tmp_path / "sub"}
    assert [p.file("data.calibration", "m").parent for p in found] == [tmp_path, tmp_path / "sub"] * 2
    assert [p.config.data.calibration and p.config.data.calibration.file for p in found] == ["x.npz", "c.npz"] * 2


def test_what_extends_a_file_with_variants_has_them_too_or_none(tmp_path: Path) -> None:
    assert len(products(tmp_path, HEAD + "variants: {chip: [rp2040, samd21], size: {s: , l: }}\n", "base.yaml")) == 4
    child = "extends: base.yaml\nproduct: debug\n"
    assert [p.config.product for p in products(tmp_path, child + "variants: {chip: [rp2040]}\n")] == [
        "debug_rp2040_s",
        "debug_rp2040_l",
    ]
    (single,) = products(tmp_path, child + "variants: none\n")
    assert (single.config.product, single.variant) == ("debug", {})
    assert single.chip.chip == "truetouch-m0"


def test_one_axis_alone_names_products_freely(tmp_path: Path) -> None:
    text = "variants: {name: '{board}', board: {pad: {chip: rp2040}, remote: {chip: samd21}}}\n"
    found = products(tmp_path, HEAD + text)
    assert [(p.config.product, p.chip.chip) for p in found] == [("pad", "rp2040"), ("remote", "samd21")]


def test_numbers_and_switches_are_named_as_they_are_written(tmp_path: Path) -> None:
    chip = "{chip: c, core: cortex-m0, clock: 8 MHz, flash: {origin: 0, size: 16 KiB}, ram: {size: 4 KiB}}"
    text = f"chip: {chip}\nvariants: {{chip.flash.prefetch: [true, false], accuracy.max_drop: [0.01, 0.5]}}\n"
    found = products(tmp_path, "product: n\nmodel: {source: m.onnx}\ndata: {evaluation: e.npz}\n" + text)
    assert [p.config.product for p in found] == ["n_true_0_01", "n_true_0_5", "n_false_0_01", "n_false_0_5"]
    assert [p.chip.flash.prefetch for p in found] == [True, True, False, False]
    assert [p.config.accuracy.max_drop for p in found] == [0.01, 0.5] * 2


CHIP = "{chip: c, core: cortex-m0, clock: 8 MHz, flash: {origin: 0, size: 16 KiB}, ram: {size: 4 KiB}}"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("chip: {clock: 1 MHz}", "variants.overrides.0.chip.clock: is what the axis chip.clock says"),
        ("chip: rp2040", "variants.overrides.0.chip: is what the axis chip.clock says"),
        ("chip: {fpu: true}", ""),
        ("optimize: flash", ""),
    ],
)
def test_an_override_cannot_make_a_name_untrue(tmp_path: Path, keys: str, says: str) -> None:
    text = f"""product: net
model: {{source: m.onnx}}
chip: {CHIP}
variants:
  chip.clock: [2 MHz, 4 MHz]
  overrides: [{{when: {{chip.clock: 4 MHz}}, {keys}}}]
"""
    with pytest.raises(ChipfitError, match=says) if says else nullcontext():
        assert [p.chip.clock for p in products(tmp_path, text)] == [2_000_000, 4_000_000]


def test_the_page_of_variants_means_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "variants.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    found = products(tmp_path, text)
    assert [p.config.product for p in found] == [
        "touch_truetouch_m0_int8_eu",
        "touch_truetouch_m0_int8_us",
        "touch_truetouch_m0_int5_eu",
        "touch_truetouch_m0_int5_us",
        "touch_stm32g0b1_int5_eu",
        "touch_stm32g0b1_int5_us",
        "touch_rp2040_int8_eu",
        "touch_rp2040_int5_eu",
    ]
    assert [p.config.budget.flash for p in found] == [100 << 10] * 6 + [256 << 10] * 2
    assert [p.config.product for p in products(tmp_path, without_names(text))] == [p.config.product for p in found]


def without_names(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("  name:"))


HOSTILE = {
    "combinations": "variants: {" + ", ".join(f"a{i}: {{a: , b: }}" for i in range(3000)) + "}",
    "many values": "variants: {model.source: [" + ", ".join(f"m{i}.onnx" for i in range(9000)) + "]}",
    "values that are alike": "variants: {model.source: ["
    + ", ".join(f"{'a' * 190}{i}.onnx" for i in range(150))
    + "], exclude: ["
    + ", ".join(f"{{model.source: {'a' * 190}b{i}.onnx}}" for i in range(200))
    + "]}",
    "mistakes in each": "\n".join(f"k{i}: 1" for i in range(90))
    + "\nvariants: {a: {"
    + ", ".join(f"v{i}: " for i in range(MAX_VARIANTS))
    + "}}",
    "a long name": f"variants: {{chip: [rp2040], name: '{'{x}' * 3000}'}}",
    "a long axis": f"variants: {{{'x' * 9000}: {{a: }}}}",
    "a long value": f"variants: {{chip: [{'x' * 9000}]}}",
    "nested": "variants: {a: " + "{b: " * 40 + "1" + "}" * 40 + "}",
    "a circle": "variants: &x {a: *x}",
    "markup": r'variants: {chip: ["\e[31m</script>"]}',
    "a path": "variants: {chip: [../../../etc/passwd]}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_variants_are_answered_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.yaml").write_text(HEAD + HOSTILE[name] + "\n", "utf-8")
    message = str(bounded(lambda: load_variants(tmp_path / "x.yaml")))
    assert "\x1b" not in message and "Traceback" not in message
    assert all("x.yaml" in line for line in some(message.splitlines())), message[:2000]


def test_the_limits_are_those_of_the_file(tmp_path: Path) -> None:
    values = ", ".join(str(i) for i in range(1, MAX_VARIANTS + 1))
    assert len(products(tmp_path, f"{HEAD}variants: {{simulate.vectors: [{values}]}}\n")) == MAX_VARIANTS
    with pytest.raises(ChipfitError, match=r"makes 1,001 combinations, the limit is 1,000"):
        products(tmp_path, f"{HEAD}variants: {{simulate.vectors: [{values}, {MAX_VARIANTS + 1}]}}\n")
    layers = ", ".join(f"l{i}: {{weights: int4}}" for i in range(MAX_VALUES // 1000))
    with pytest.raises(ChipfitError, match=r"makes [0-9,]+ values, the limit is 500,000"):
        products(
            tmp_path, f"{HEAD}quantization: {{layers: {{{layers}}}}}\nvariants: {{simulate.vectors: [{values}]}}\n"
        )
