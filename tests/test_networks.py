"""Random whole networks against ONNX Runtime and LiteRT, drawn by `tests/networks`; `python -m networks` runs many."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from networks.__main__ import further_of
from networks.campaign import STYLES, Tally, attempt, described, drawn, nothing, report, run
from networks.case import CASES, load
from networks.outcome import Outcome

from pipeline.importing.onnx_qoperator import OPERATORS
from pipeline.ops import IMPORTS, TFLITE

NOT_DRAWN = {
    "QuantizeLinear": "in every network of the styles qdq and qoperator",
    "DequantizeLinear": "likewise",
    "ConvInteger": "its scales are chosen behind it; tests/test_quantized_onnx.py has it",
    "MatMulInteger": "likewise",
    "DEQUANTIZE": "at a network's edges, where ports become integers; importing/test_tflite_graph.py has it",
    "RELU_0_TO_1": "LiteRT's reference kernels lack it",
}


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda p: p.stem)
def test_networks_that_were_wrong_are_right(path: Path) -> None:
    case = load(path)
    result = attempt(case)
    assert isinstance(result, Outcome), f"{described(case)}\n{result!r}"
    assert result.kind in ("equal", "near")


@pytest.mark.parametrize("style", STYLES)
def test_random_networks(style: str) -> None:
    judged(style, range(15), 0, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("style", STYLES)
def test_many_random_networks(style: str) -> None:
    """500 with fixed seeds and 100 with new ones, over all styles; replay one with `python -m networks --replay`."""
    fresh = int(os.environ.get("NETWORKS_SEED", np.random.default_rng().integers(10**9)))
    print(f"NETWORKS_SEED={fresh}")
    judged(style, range(1000, 1000 + 500 // len(STYLES)), 25, 60)
    judged(style, range(fresh, fresh + 100 // len(STYLES)), 0, 0)


def judged(style: str, seeds: range, host: int, chip: int) -> None:
    """Nothing found, and most networks compared: what is always refused tests nothing."""
    tally = Tally()
    for seed in seeds:
        run(style, seed, tally, further_of(seed, host, chip) if host else nothing)
    assert not tally.findings, report({style: tally})
    assert tally.counts["equal"] + tally.counts["near"] >= 0.6 * len(seeds), report({style: tally})


def test_every_operator_is_drawn_or_says_why_not() -> None:
    operators = {"float": set(IMPORTS), "qoperator": {op for _, op in OPERATORS}, "tflite": set(TFLITE)}
    assert set(NOT_DRAWN) <= set().union(*operators.values())
    for style, wanted in operators.items():
        left, seed = wanted - set(NOT_DRAWN), 0
        while left and seed < 10_000:  # a second's work: the rarest comes after some hundreds
            left -= {n.op for n in layers(style, seed)}
            seed += 1
        assert not left, style


def layers(style: str, seed: int) -> tuple:  # type: ignore[type-arg]
    try:
        return drawn(style, seed).network.layers
    except Exception:  # ONNX Runtime cannot say which scales it would have
        return ()
