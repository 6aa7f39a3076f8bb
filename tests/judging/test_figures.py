"""Figures of a built product are those that its stages measured."""

import json
import shutil
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("name", ["report/verdict.json", "size-check/size.json", "simulate/simulate.json"])
def test_a_file_that_is_missing_or_damaged_is_named(products: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(products / "build" / "touch", tmp_path / "touch")
    (tmp_path / "touch" / name).write_bytes(b"{}")
    with pytest.raises(ChipfitError, match=f"touch/{name} is damaged"):
        figures_of(tmp_path, "touch")
    (tmp_path / "touch" / name).unlink()
    with pytest.raises(ChipfitError, match=f"touch/{name} is missing"):
        figures_of(tmp_path, "touch")


def test_layers_of_two_builds_are_not_mixed(products: Path, tmp_path: Path) -> None:
    shutil.copytree(products / "build" / "touch", tmp_path / "touch")
    shutil.copy(products / "build/digits/size-check/size.json", tmp_path / "touch/size-check/size.json")
    with pytest.raises(ChipfitError, match="other layers"):
        figures_of(tmp_path, "touch")
