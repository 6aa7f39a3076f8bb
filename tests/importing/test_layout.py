"""Networks of one dimension are those of two whose height is one, to the last integer and cycle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import assert_chip_equals, on_chip, write_library
from conftest import some
from spelling import NETWORKS, Net, X, imported, numbers, quantized, same, written

from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical


@pytest.mark.parametrize("write", NETWORKS)
def test_one_dimension_is_two_of_height_one(write: Callable[[Net], None]) -> None:
    same(quantized(written(write, True), X), quantized(written(write, False), X))


@pytest.mark.exhaustive
@pytest.mark.parametrize("write", NETWORKS)
def test_one_dimension_takes_the_cycles_of_two(write: Callable[[Net], None], tmp_path: Path) -> None:
    totals = []
    for flat in (True, False):
        built = quantized(written(write, flat), X)
        runs = on_chip(built, write_library(built, tmp_path / str(flat), "cortex-m0"), "cortex-m0", count=2)
        assert_chip_equals(built, runs)
        totals.append(runs[0].total)
    assert totals[0] == totals[1]


def branched(n: Net) -> None:
    source, channels = n.last, n.channels
    left = n.conv(2, 3, pad=1)
    n.last, n.channels = source, channels
    right = n.conv(3, 1)
    n.add("Concat", left, right, axis=1)
    n.channels = 5


STEPS: list[Callable[[Net], Any]] = [
    lambda n: n.conv(int(n.rng.integers(2, 6)), int(n.rng.integers(1, 4)), pad=int(n.rng.integers(0, 2))),
    lambda n: n.then("Relu"),
    lambda n: n.norm(),
    lambda n: n.pool("MaxPool", 2),
    lambda n: n.then("Mul", n.per_channel(0.3, 2.0)),
    lambda n: n.then("Add", n.per_channel()),
    lambda n: n.then("Clip", n.constant(-1.0), n.constant(2.0)),
    lambda n: n.pool("AveragePool", 2),
    lambda n: n.conv(n.channels, 2, groups=n.channels),
    lambda n: n.add("Add", n.last, n.then("Relu")),
    lambda n: n.then("PRelu", n.per_channel()),
    lambda n: n.then("Tanh"),
    branched,
]
ENDS: list[Callable[[Net], Any]] = [
    lambda n: (n.then("GlobalAveragePool"), n.then("Flatten")),
    lambda n: (n.then("Flatten"), n.then("Relu")),
    lambda n: (n.then("GlobalMaxPool"), n.norm(), n.then("Flatten"), n.then("Gemm", n.random(n.channels, 3))),
    lambda n: n.then("Tanh"),
]


def randomly(seed: int) -> Callable[[Net], None]:
    def write(n: Net) -> None:
        n.rng = np.random.default_rng(seed)
        for step in n.rng.integers(0, len(STEPS), n.rng.integers(2, 9)):
            STEPS[step](n)
        ENDS[n.rng.integers(0, len(ENDS))](n)

    return write


@pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, 250), marks=pytest.mark.exhaustive)], ids=["a few", "many"]
)
def test_random_networks_of_one_dimension_are_those_of_two(seeds: range) -> None:
    for seed in some(seeds):
        models = [written(randomly(seed), flat) for flat in (True, False)]
        for model in models:
            imported(model)
        ours, theirs = (quantized(m, X) for m in models)
        assert numbers(ours) == numbers(theirs), f"seed {seed}"
        np.testing.assert_array_equal(ours.expected[0].reshape(48, -1), theirs.expected[0].reshape(48, -1))


def test_a_mean_over_axes_that_fall_apart_when_channels_are_last_is_taken_as_the_file_lies() -> None:
    def write(n: Net) -> None:
        n.conv(4, 3)
        n.then("ReduceMean", axes=[1, 2], keepdims=0)

    imported(written(write, False))
    net = Net(False, (1, 3, 6, 6))
    net.conv(4, 1)
    net.then("ReduceMean", axes=[1, 2], keepdims=0)
    canonical(graph_of(net.model(), "net.onnx", "net"), "net.onnx")
