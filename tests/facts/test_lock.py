"""A lock as a file: it comes back as it was written, says its mistakes with their lines, and is never trusted."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.facts.artifact import sha256
from pipeline.facts.config.lock import (
    FORMAT,
    Basis,
    DataDigest,
    Lock,
    check_library,
    check_network,
    decided_digests,
    drifts,
    lock_path,
    lock_text,
    read_lock,
)
from pipeline.facts.decisions import ActivationDecision, Decisions, LayerDecision
from pipeline.facts.errors import ChipfitError, ManyErrors
from pipeline.facts.totals import Totals

D, E = "d" * 64, "1" * 64
LAYER = LayerDecision("once", "0123456789abcdef", scales="3/2^9 5/2^9", bias="-3 4", rounding="AA==\nBB==\n")
LOCK = Lock(
    chipfit="0.1.0",
    tools={"numpy": "2.1.0"},
    model={"net.onnx": D},
    data={"calibration": DataDigest(D, {"calib": D}), "evaluation": DataDigest(D, {"x": D, "y": E})},
    chip={"chip": "c", "clock": 48_000_000, "flash": {"origin": 0, "size": 1024}},
    settings={"product": "net", "quantization": {"weights": "int5"}},
    lock=FORMAT,
    arithmetic=("chipfit.int8.once.v1",),
    activations={"x": ActivationDecision("2457/2^17", -3, -1.0, 0.1), "y": ActivationDecision("1", 0, 0.0, 1e-05)},
    layers={"dense": LAYER, "plain": LayerDecision("shift", "1234567890123456", shift="7")},
    network={"graph.json": D, "weights.bin": E},
    library={"include/net.h": D},
    figures=Totals(100, 10, None, 1000, 20.5, 0.9, 0.89),
)


def written(folder: Path, text: str) -> Path:
    path = folder / "net.lock.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    read = read_lock(written(tmp_path, lock_text(LOCK)))
    assert read.lock == LOCK
    assert lock_text(read.lock) == lock_text(LOCK)
    lines = lock_text(LOCK).splitlines()
    assert "  x: {scale: 2457/2^17, zero_point: -3, low: -1.0, high: 0.1}" in lines
    assert lines[read.place("layers.dense.bias").line - 1] == "    bias: -3 4"  # type: ignore[operator]
    assert read.place("layers.other").line is None
    assert lock_path(Path("a/b.yaml"), "net") == Path("a/net.lock.yaml")


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML has no libyaml")
def test_libyaml_reads_it_as_python_does_with_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = replace(
        LOCK, activations=dict.fromkeys(HOSTILE, LOCK.activations["x"]), layers=dict.fromkeys(HOSTILE, LAYER)
    )
    for text in (lock_text(LOCK), lock_text(lock)):
        quick = read_lock(written(tmp_path, text))
        with monkeypatch.context() as patch:
            patch.delattr(yaml, "CSafeLoader")
            slow = read_lock(quick.path)
        assert (quick.lock, quick.places) == (slow.lock, slow.places)


def test_no_line_of_it_makes_it_a_product() -> None:
    assert not any(x.startswith("product:") for x in lock_text(LOCK).splitlines())


HOSTILE = [
    *("a: b", "- x", "'", '"', "# no", "\x1b[2J\u202e", "a\nlock: chipfit.lock.v0", "null", "3", "é" * 300),
    *("{}", "&a", "*a", "!!python/x", "", " ", "a.b", "true", "<<", "\x85", "\ufeff"),
]


def test_names_of_a_model_file_come_back_whatever_they_are(tmp_path: Path) -> None:
    lock = replace(
        LOCK, activations=dict.fromkeys(HOSTILE, LOCK.activations["x"]), layers=dict.fromkeys(HOSTILE, LAYER)
    )
    text = lock_text(lock)
    assert text.isascii() and "\x1b" not in text
    assert read_lock(written(tmp_path, text)).lock == lock
    assert yaml.safe_load(text)["lock"] == FORMAT


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lock: chipfit.lock.v1", "lock: chipfit.lock.v9", r":2: lock: expected chipfit.lock.v1. Hint: It is no lock"),
        ("chipfit: 0.1.0\n", "", "chipfit: is missing"),
        ("chipfit: 0.1.0\n", "chipfit: 0.1.0\nextra: 1\n", "extra: is not a known key"),
        ("scale: 2457/2^17", "scale: 0.5", r"activations.x.scale: is 0.5, which should be a valid string"),
        ("scale: 2457/2^17", "scale: 1/3", r"activations.x.scale: is '1/3', String should match pattern"),
        ("low: -1.0", "low: .nan", "activations.x.low: is nan"),
        ("low: -1.0", "low: -1e39", "activations.x.low: is "),
        ("zero_point: -3", "zero_point: 99999", "activations.x.zero_point: is 99999, which should be less than"),
        ("bias: -3 4", "bias: three", "layers.dense.bias: is 'three'"),
        ("AA==", "\u202e", "layers.dense.rounding: is "),
        ("graph.json: d", "graph.json: x", "network.graph.json: is 'xddd"),
        ("calibration:\n", "training:\n", "data.training"),
        ("layers:\n", "layers: [1]\nother:\n", "layers: is .1., which should be a valid dictionary"),
        ("flash: 100", "flash: many", "figures.flash: is 'many'"),
        ("flash: 100", "flash: '100'", "figures.flash: is '100', which should be a valid integer"),
        ("flash: 100", "flash: true", "figures.flash: is True, which should be a valid integer"),
        ("ram: 10", "ram: -1", "figures.ram: is -1, which should be greater than or equal to 0"),
        ("stack: null", f"stack: {10**32}", "figures.stack: is 1000"),
        ("cycles: 1000", f"cycles: {1 << 53}", "figures.cycles: is 9007199254740992, which should be less than"),
        ("latency_us: 20.5", "latency_us: .inf", "figures.latency_us: is inf, which should be a finite number"),
        ("float_accuracy: 0.9", "float_accuracy: 1.01", "figures.float_accuracy: is 1.01, which should be less than"),
        ("accuracy: 0.89", "accuracy: .nan", "figures.accuracy: is nan, which should be a finite number"),
        ("shift: '7'", "shift: '7'\n    changed: [1, 1, 1, .nan, 1]", "layers.plain.changed.3: is nan"),
        ("weights: int5", "weights: 2026-01-01", "settings.quantization.weights: is neither text nor a"),
        ("chip: c", "chip: !!binary AA==", "chip.chip: is neither text nor a number"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_with_a_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = lock_text(LOCK)
    assert old in text
    with pytest.raises(ChipfitError) as raised:
        read_lock(written(tmp_path, text.replace(old, new, 1)))
    assert any(re.search(message, x) for x in str(raised.value).splitlines()), str(raised.value)
    assert "net.lock.yaml" in str(raised.value) and "\u202e" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a mapping of keys"),
        ("lock: !!python/object/apply:os.system [ls]", "lock: expected chipfit.lock.v1"),
        ("lock: !!python/name:os.system", "could not determine a constructor"),
        ("a: &a [*a]", "nested deeper"),
        ("lock: {" * 100, "is not valid YAML"),
        ("\x00", "is not valid YAML"),
        ("x: " + "[" * 60 + "]" * 60, "nested deeper"),
    ],
)
def test_a_file_that_is_no_lock_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=message):
        read_lock(written(tmp_path, text))


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.lock.yaml"
    with path.open("wb") as file:
        file.truncate((1 << 21) + 1)
    with pytest.raises(ChipfitError, match="has 2097153 bytes, the limit is 2097152"):
        read_lock(path)
    with pytest.raises(ChipfitError, match="does not exist"):
        read_lock(tmp_path / "none.lock.yaml")


@pytest.mark.parametrize("text", ["- x\n", "[],", "{},", "*a,", "x\r", "x\x85", "? \n"])
def test_values_are_counted_before_they_are_parsed(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, "lock: chipfit.lock.v1\nmore: [" + text * (1 << 18))
    with pytest.raises(ChipfitError, match="has more than 50000 line ends and commas"):
        read_lock(path)


def test_a_lock_of_a_large_network_has_room(tmp_path: Path) -> None:
    """Two thousand layers of as many tensors: what an import takes at most."""
    lock = replace(
        LOCK,
        activations={f"tensor_{i}": LOCK.activations["x"] for i in range(1000)},
        layers={f"layer_{i}": replace(LAYER, scales=None, shift="7 8 " * 63 + "7") for i in range(1000)},
    )
    text = lock_text(lock)
    assert len(text) * 2 < 1 << 21 and (text.count("\n") + text.count(",")) * 2 < 50_000


def basis() -> Basis:
    return Basis(LOCK.chipfit, LOCK.tools, LOCK.model, LOCK.data, LOCK.chip, LOCK.settings)


def test_what_drifted_is_named_with_the_old_and_the_new_value() -> None:
    assert drifts(LOCK, basis()) == []
    now = replace(
        basis(),
        chipfit="0.2.0",
        tools={"numpy": "2.2.0", "onnx": "1"},
        model={"net.onnx": E},
        chip={"chip": "c", "clock": 48_000_000, "flash": {"origin": 0, "size": 2048}},
        settings={"product": "net", "quantization": {}},
    )
    assert [(d.key, d.locked, d.now) for d in drifts(LOCK, now)] == [
        ("chipfit", "0.1.0", "0.2.0"),
        ("model.net.onnx", D, E),
        ("chip.flash.size", 1024, 2048),
        ("settings.quantization.weights", "int5", None),
        ("tools.numpy", "2.1.0", "2.2.0"),
        ("tools.onnx", None, "1"),
    ]


def test_calibration_data_may_be_missing_but_not_be_others() -> None:
    evaluation = LOCK.data["evaluation"]
    assert drifts(LOCK, replace(basis(), data={"evaluation": evaluation})) == []
    assert drifts(LOCK, replace(basis(), data={"evaluation": replace(evaluation, file=E)})) == []
    others = {"calibration": DataDigest(E, {"calib": E}), "evaluation": evaluation}
    assert [d.key for d in drifts(LOCK, replace(basis(), data=others))] == ["data.calibration.arrays.calib"]  # type: ignore[arg-type]
    none = {"evaluation": DataDigest(D, {"x": D})}
    assert [d.key for d in drifts(LOCK, replace(basis(), data=none))] == ["data.evaluation.arrays.y"]  # type: ignore[arg-type]
    alone = replace(LOCK, data={"calibration": LOCK.data["calibration"]})
    assert [d.key for d in drifts(alone, replace(basis(), data={}))] == ["data.calibration.arrays.calib"]


def test_what_comes_out_is_compared_with_the_lock(tmp_path: Path) -> None:
    files = {"graph.json": b"{}", "weights.bin": b"\1"}
    digests = {n: sha256(d) for n, d in files.items()}
    lock = replace(LOCK, network=digests, library=digests)
    file = read_lock(written(tmp_path, lock_text(lock)))
    check_network(file, lock.decisions, files)
    check_library(file, files)
    other = Decisions(lock.activations, {**lock.layers, "dense": replace(LAYER, bias="-3 5")})
    with pytest.raises(ManyErrors, match=r"lock.yaml:\d+: layers.dense.bias: -3 4 is locked, -3 5 came out"):
        check_network(file, other, files)
    with pytest.raises(ManyErrors, match=r"network.weights.bin: [0-9a-f]+ is locked, [0-9a-f]+ came out"):
        check_network(file, lock.decisions, {**files, "weights.bin": b"\2"})
    with pytest.raises(ManyErrors, match=r"library.more.c: none is locked"):
        check_library(file, {**files, "more.c": b""})
    assert decided_digests(lock) != decided_digests(replace(lock, layers=other.layers))
