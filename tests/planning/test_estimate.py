"""`chipfit estimate`, and networks that can never fit: told at once, before anything is quantized."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import build
from conftest import ROOT

from pipeline.facts.config import ChipSpec, chip_folder, find_chip, known_chips
from pipeline.facts.config.models import Flash, Ram
from pipeline.facts.cores import APPLICATION, CORES
from pipeline.facts.errors import Place
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops import samples
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.planning.estimate import Need, activations, needs
from stages.app.cli import main

DIGITS = ROOT / "configs" / "models" / "digits.onnx"
PRODUCT = """product: big
model: {{source: {model}}}
chip: truetouch-m0
budget: {{flash: 100 KiB, latency: 100 us}}
"""
LIMITED = """
import resource, sys
from stages.app.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "KiB at most")
sys.exit(code)
"""


def test_estimate_prints_counts_and_every_chip(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(DIGITS)]) == 0
    output = capsys.readouterr().out
    assert "1,898 parameters, 23,680 multiply-accumulates, 640 B of activations alive at once, 76 B of inputs" in output
    for chip in ("truetouch-m0", "stm32l4r5", "cortex-a8"):
        assert chip in output


def test_the_readme_shows_what_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["estimate", "configs/models/digits.onnx"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = (ROOT / "README.md").read_text("utf-8").partition("<!-- estimate -->\n```\n")[2].partition("\n```")[0]
    assert shown == "\n".join(lines).strip("\n")


def test_estimate_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(DIGITS), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    def chip(name: str) -> ChipSpec:
        return find_chip(name, chip_folder(), Place(name))

    assert document["parameters"] == sum(x["parameters"] for x in document["layers"]) == 1898
    assert document["macs"] == 23680
    assert (document["arena"], document["ports"]) == (640, 64 + 12)
    assert {c["core"] for c in document["chips"]} == {chip(n).core for n in known_chips()} | {APPLICATION}


def test_one_chip_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(DIGITS), "--json", "--chip", "stm32f030r8"]) == 0
    (chip,) = json.loads(capsys.readouterr().out)["chips"]
    assert (chip["chip"], chip["fits"], chip["lacks"]) == ("stm32f030r8", True, [])


def test_a_chip_that_is_too_small_lacks_something_by_name() -> None:
    graph = canonical(graph_of(onnx.load(DIGITS), "digits.onnx", "digits"), "digits.onnx")
    chip = find_chip("stm32f030r8", chip_folder(), Place("test"))

    def need(flash: int, ram: int) -> Need:
        small = chip.model_copy(update={"flash": Flash(origin=0, size=f"{flash} B"), "ram": Ram(size=f"{ram} B")})
        return needs(graph, [small], application=False)[0]

    low, high = need(1, 1).flash
    assert need(low - 1, 700).lacks == ("flash", "ram")
    assert (need(low, 716).lacks, need(low, 716).fits, need(high, 716).fits) == ((), None, True)


@pytest.mark.parametrize("sample", [*samples()], ids=lambda s: s.name)
def test_activations_are_what_the_plan_finds_at_least(sample: Sample) -> None:
    inputs = tuple(sample.inputs(2).values())
    built = build(sample.model, inputs, inputs)
    estimated, placed = activations(built.graph).arena, built.program.arena.lower_bound
    added = len(built.quantized.graph.nodes) - len(built.graph.nodes)
    assert estimated == placed or (estimated < placed and added > 0), "quantizing adds layers, and they need memory"


def test_the_floor_is_below_every_range() -> None:
    assert all(core.least_cycles_per_mac < core.cycles_per_mac.low for core in CORES.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ["estimate"],
        ["estimate", "a.onnx", "b.onnx"],
        ["estimate", "--fast", "a.onnx"],
        ["estimate", "absent.onnx"],
        ["estimate", "model.h5"],
        ["estimate", str(DIGITS), "--chip"],
        ["estimate", str(DIGITS), "--chip", "rp2041"],
    ],
)
def test_estimate_says_what_is_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "Hint:" in message


def refused(folder: Path, model: Path) -> tuple[int, str, float]:
    (folder / "big.yaml").write_text(PRODUCT.format(model=model))
    started = time.monotonic()
    command = [sys.executable, "-c", LIMITED, "build", "big.yaml"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - started


def test_a_hopeless_network_is_told_before_data_are_asked_for(tmp_path: Path) -> None:
    sample = one_node(
        "Gemm", {"x": (1, 600)}, {"w": 1 + weights(500, 600) / 9, "b": np.zeros(500, np.float32)}, transB=1
    )
    onnx.save(onnx.shape_inference.infer_shapes(sample.model), tmp_path / "big.onnx")
    code, error, _ = refused(tmp_path, tmp_path / "big.onnx")
    assert code == 1
    assert (
        "big.yaml:4: budget.flash: the weights alone need 293.5 KiB (300500 bytes as int8 without zeros), limit"
        in error
    )
    assert "big.yaml:4: budget.latency: 300000 multiply-accumulates need at least 150000 cycles on cortex-m0" in error
    assert error.count("big.yaml") == 2


@pytest.mark.exhaustive
def test_alexnet_is_refused_in_time(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "alexnet.py"), str(tmp_path / "a.onnx")], check=True)
    code, error, seconds = refused(tmp_path, tmp_path / "a.onnx")
    (tmp_path / "a.onnx").unlink()
    assert code == 1
    assert (
        f"{61100840 // 16} bytes as int8 without 15 of 16 weights" in error
        and "714188480 multiply-accumulates" in error
    )
    assert seconds < 60
    kib = int(error.partition(" KiB at most")[0].split()[-1])
    assert kib < 3 << 20
