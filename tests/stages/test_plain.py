"""A product as plain data: another machine has the same product, but for where its files lie."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, some

from pipeline.facts.config import Project, load_project, load_variants
from pipeline.facts.config.lock import FORMAT, DataDigest, Lock, LockFile
from pipeline.facts.decisions import ActivationDecision, LayerDecision
from pipeline.facts.errors import Place
from pipeline.facts.totals import Totals
from stages.cluster.plain import place_of, plain_place, plain_project, project_of

PRODUCTS = sorted((ROOT / "configs" / "products").glob("*.yaml"))
EVERYTHING = """\
product: net
model: {source: m.onnx}
data: {calibration: {file: c.npz, rows: 0-9, scale: 0.1}, evaluation: e.npz}
chip: {chip: own, core: cortex-m0, clock: 48 MHz, multiplier: 32 cycles, flash: {origin: 0, size: 64 KiB, line: 8 B},
  ram: {size: 8 KiB}}
budget: {latency: 0.1 us, ram: 1 KiB}
quantization: {layers: {a: {weights: ternary}}, percentile: 99.9}
accuracy: {signal: none, allow: [chance, span]}
"""

D = "d" * 64
LOCK = Lock(
    chipfit="0.1.0",
    tools={"numpy": "2.1.0"},
    model={"net.onnx": D},
    data={"calibration": DataDigest(D, {"calib": D})},
    chip={"flash": {"origin": 0, "size": "1 KiB"}},
    settings={"quantization": {"percentile": 99.9}},
    lock=FORMAT,
    arithmetic=("chipfit.int8.once.v1",),
    activations={"x": ActivationDecision("2457/2^17", -3, -1.0, 1e-05)},
    layers={"dense": LayerDecision("once", "0123456789abcdef", scales="3/2^9", bias="-3 4", rounding="AA==\nBB==\n")},
    network={"graph.json": D},
    library={"include/net.h": D},
    figures=Totals(100, 10, None, 1000, 20.5, 0.9, None),
)


def there_and_back(project: Project, files: dict[str, Path] | None = None) -> Project:
    return project_of(json.loads(json.dumps(plain_project(project))), files or {})


def same(one: Project, other: Project) -> bool:
    return (one.config, one.chip, one.path, one.places, one.variant) == (
        other.config, other.chip, other.path, other.places, other.variant,
    ) and one.config.model_dump() == other.config.model_dump()  # fmt: skip


def test_every_product_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(EVERYTHING, "utf-8")
    fleet = [p for _, p in load_variants(ROOT / "examples" / "variants" / "fleet.yaml")]
    for project in some([load_project(p) for p in (*PRODUCTS, tmp_path / "net.yaml")] + fleet):
        assert isinstance(project, Project)
        back = there_and_back(project)
        assert same(project, back)
        assert [type(v) for v in back.config.__dict__.values()] == [type(v) for v in project.config.__dict__.values()]


def test_its_files_are_where_the_other_machine_has_them(tmp_path: Path) -> None:
    back = there_and_back(load_project(PRODUCTS[0]), {"model.source": tmp_path / "m.onnx"})
    assert back.file("model.source", "../models/touch.onnx") == tmp_path / "m.onnx"


def test_a_lock_comes_along() -> None:
    file = LockFile(LOCK, Path("net.lock.yaml"), {"layers.dense": Place("net.lock.yaml", 30)})
    back = there_and_back(replace(load_project(PRODUCTS[0]), lock=file)).lock
    assert back is not None and (back.lock, back.path, back.places) == (file.lock, file.path, file.places)


@pytest.mark.parametrize("place", [None, "net.yaml", Place("net.yaml"), Place("net.yaml", 3)])
def test_a_place_comes_back_as_it_was(place: Place | str | None) -> None:
    assert place_of(json.loads(json.dumps(plain_place(place)))) == place


@pytest.mark.parametrize(
    "config", [{"section": "Unknown", "of": {}}, {"fraction": [1]}, ["x"], {"section": "Budget", "of": {"ram": [1]}}]
)
def test_another_form_is_refused(config: object) -> None:
    document = plain_project(load_project(PRODUCTS[0])) | {"config": config}
    with pytest.raises((KeyError, TypeError, ValueError)):
        project_of(document, {})
