"""`chipfit estimate`, and networks that can never fit: told at once, before anything is quantized."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from pipeline import floor
from pipeline.estimate import CYCLES_PER_MAC
from pipeline.ops.samples import one_node, weights
from stages.cli import main

DIGITS = ROOT / "configs" / "models" / "digits.onnx"
PRODUCT = """product: big
model: {{source: {model}}}
chip: truetouch-m0
budget: {{flash: 100 KiB, latency: 100 us}}
"""


def test_estimate_prints_counts_and_every_chip(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(DIGITS)]) == 0
    said = capsys.readouterr().out
    assert "1,898 parameters, 23,680 multiply-accumulates, 640 B of activations" in said
    for chip in ("truetouch-m0", "stm32l4r5", "cortex-a8"):
        assert chip in said


def test_estimate_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", str(DIGITS), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"] == sum(x["parameters"] for x in document["layers"]) == 1898
    assert document["macs"] == 23680
    assert {c["core"] for c in document["chips"]} == set(CYCLES_PER_MAC)


def test_the_floor_is_below_every_range() -> None:
    assert all(least < CYCLES_PER_MAC[core][0] for core, least in floor.CYCLES_PER_MAC.items())


@pytest.mark.parametrize("arguments", [["estimate"], ["estimate", "a", "b"], ["estimate", "absent.onnx"]])
def test_estimate_says_what_is_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Hint:" in said


def build(folder: Path, model: Path) -> tuple[int, str, float]:
    (folder / "big.yaml").write_text(PRODUCT.format(model=model))
    started = time.monotonic()
    command = [sys.executable, "-m", "stages.cli", "build", "big.yaml"]
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
    import onnx

    sample = one_node("Gemm", {"x": (1, 600)}, {"w": weights(500, 600), "b": np.zeros(500, np.float32)}, transB=1)
    onnx.save(onnx.shape_inference.infer_shapes(sample.model), tmp_path / "big.onnx")
    code, said, _ = build(tmp_path, tmp_path / "big.onnx")
    assert code == 1
    assert "big.yaml:4: budget.flash: the weights alone need 293.5 KiB (300500 bytes as int8), limit 100.0 KiB" in said
    assert "big.yaml:4: budget.latency: 300000 multiply-accumulates need at least 150000 cycles on cortex-m0" in said
    assert said.count("big.yaml") == 2


@pytest.mark.exhaustive
def test_alexnet_is_refused_in_time(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "alexnet.py"), str(tmp_path / "a.onnx")], check=True)
    code, said, seconds = build(tmp_path, tmp_path / "a.onnx")
    (tmp_path / "a.onnx").unlink()
    assert code == 1
    assert "61100840 bytes" in said and "714188480 multiply-accumulates" in said
    assert seconds < 60
