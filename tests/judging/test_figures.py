"""Figures of a built product are those that its stages measured."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.facts.artifact import digests, recorded_key, write_folder
from pipeline.facts.errors import ChipfitError
from pipeline.facts.totals import Totals
from pipeline.judging.figures import figures_of


def test_figures_are_those_of_the_verdict_the_layers_and_the_symbols(products: Path) -> None:
    build = products / "build"
    found = figures_of(build, "digits")
    verdict = json.loads((build / "digits/report/verdict.json").read_text("utf-8"))
    size = json.loads((build / "digits/size-check/size.json").read_text("utf-8"))
    simulated = json.loads((build / "digits/simulate/simulate.json").read_text("utf-8"))
    assert found.totals == Totals(
        flash=verdict["flash"]["used"],
        ram=verdict["ram"]["used"],
        stack=verdict["stack"]["used"],
        cycles=verdict["cycles"],
        latency_us=verdict["latency_us"],
        float_accuracy=verdict["accuracy"]["float"],
        accuracy=verdict["accuracy"]["integer"],
    )
    assert [(x.name, x.kernel, x.cycles) for x in found.layers] == [
        (x["name"], x["kernel"], x["cycles"]) for x in simulated["layers"]
    ]
    assert [x.constants for x in found.layers] == [x["constants"] for x in size["layers"]]
    assert [(x.name, x.size, x.kind) for x in found.symbols] == [
        (x["name"], x["size"], x["kind"]) for x in size["symbols"]
    ]


FILES = [
    "report/verdict.json",
    "quantize/quantize.json",
    "quantize/decisions.json",
    "size-check/size.json",
    "simulate/simulate.json",
]


@pytest.fixture
def build(products: Path, tmp_path: Path) -> Path:
    shutil.copytree(products / "build" / "touch", tmp_path / "touch")
    return tmp_path


def replace_file(build: Path, name: str, data: bytes) -> None:
    """Write a file of a stage as if the stage had."""
    stage, file = name.split("/")
    folder = build / "touch" / stage
    files = {n: (folder / n).read_bytes() for n in digests(folder)}
    write_folder(folder, files | {file: data}, recorded_key(folder))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_changed_or_damaged_is_named(build: Path, name: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for data in (b"{}", b"[]", b"\x00", b"null", deep):
        replace_file(build, name, data)
        with pytest.raises(ChipfitError, match=f"touch/{name} is damaged"):
            figures_of(build, "touch")
    (build / "touch" / name).write_bytes(b"{}")
    with pytest.raises(ChipfitError, match=f"touch/{name} was changed after it was made"):
        figures_of(build, "touch")
    (build / "touch" / name).unlink()
    with pytest.raises(ChipfitError, match=f"touch/{name} is missing"):
        figures_of(build, "touch")
    (build / "touch" / name).write_bytes(b"{}")
    (build / "touch" / name).with_name(".stamp.json").unlink()
    with pytest.raises(ChipfitError, match="has no stamp of this version of chipfit"):
        figures_of(build, "touch")


@pytest.mark.parametrize("wrong", ["-1", "NaN", "1" + "0" * 30, "Infinity"])
def test_numbers_that_no_build_has_are_refused(build: Path, wrong: str) -> None:
    data = json.loads((build / "touch" / "report" / "verdict.json").read_text("utf-8"))
    data["latency_us"] = json.loads(wrong)
    replace_file(build, "report/verdict.json", json.dumps(data).encode())
    with pytest.raises(ChipfitError, match=r"a figure is no number|is damaged"):
        figures_of(build, "touch")


def test_layers_of_two_builds_are_not_mixed(products: Path, build: Path) -> None:
    replace_file(build, "size-check/size.json", (products / "build/digits/size-check/size.json").read_bytes())
    with pytest.raises(ChipfitError, match="other layers"):
        figures_of(build, "touch")
