"""Random whole networks against ONNX Runtime and LiteRT, drawn by `tests/networks`; `python -m networks` runs many."""

import os

import numpy as np
import pytest
from networks.campaign import STYLES, Tally, attempt, drawn, report, run
from networks.case import CASES, load
from networks.outcome import Outcome

from pipeline.ops import IMPORTS


def test_networks_that_were_wrong_are_right() -> None:
    made = {path.stem: attempt(load(path)) for path in sorted(CASES.glob("*.json"))}
    assert {name: m for name, m in made.items() if not isinstance(m, Outcome)} == {}


@pytest.mark.parametrize("style", STYLES)
def test_random_networks(style: str) -> None:
    tally = Tally()
    for seed in range(20):
        run(style, seed, tally)
    judged(style, tally)


@pytest.mark.exhaustive
@pytest.mark.parametrize("style", STYLES)
def test_many_random_networks(style: str) -> None:
    """A hundred or so with a fixed seed, and some with a new one: replay one with `python -m networks --replay`."""
    fresh = int(os.environ.get("NETWORKS_SEED", np.random.SeedSequence().entropy % 10**9))  # type: ignore[operator]
    print(f"NETWORKS_SEED={fresh}")
    tally = Tally()
    for seed in [*range(1000, 1000 + 500 // len(STYLES)), *range(fresh, fresh + 100 // len(STYLES))]:
        run(style, seed, tally)
    judged(style, tally)


def judged(style: str, tally: Tally) -> None:
    assert not tally.findings, report({style: tally})
    compared = tally.counts["equal"] + tally.counts["near"]
    assert compared >= 0.7 * tally.counts["drawn"], report({style: tally})


def test_every_operator_is_drawn() -> None:
    found = {n.op for seed in range(1500) for n in drawn("float", seed).network.layers}
    assert found >= set(IMPORTS) - {"QuantizeLinear", "DequantizeLinear"}
