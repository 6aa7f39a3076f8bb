"""Algebra on constants: what a pass makes of two nodes computes the same, and it leaves what others read."""

from math import inf

import numpy as np
import pytest

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.importing.passes.fold import fold_affines, fold_pads, fuse_clamps, merge_affines
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.pad import Pad
from pipeline.ops.shared.window import Window
from pipeline.quantizing.onnx_runtime import FloatSession

RNG = np.random.default_rng(7)
BOUNDS = {"low": -inf, "high": inf}


class Writer:
    """A chain of nodes from x."""

    def __init__(self, *shape: int) -> None:
        self.builder, self.last, self.shape = GraphBuilder("net"), "x", shape
        self.builder.add(Tensor("x", shape))

    def constant(self, *values: Array) -> tuple[str, ...]:
        return tuple(self.builder.constant("c", np.asarray(v, np.float32)) for v in values)

    def then(self, kind: type, *constants: Array, **fields: object) -> "Writer":
        output = self.builder.fresh("t")
        inputs = (self.last, *self.constant(*constants))
        self.last = self.builder.append(kind(name=output, inputs=inputs, outputs=(output,), **fields))
        return self

    def graph(self, *outputs: str) -> Graph:
        names = outputs or (self.last,)
        ports = [Port(n, n, s, tuple(range(len(s)))) for n in names for s in [self.builder.tensors[n].shape]]
        own = Port("x", "x", self.shape, tuple(range(len(self.shape))))
        return self.builder.build((own,), ports)


def kinds(graph: Graph) -> list[str]:
    return [type(n).__name__ for n in graph.nodes]


def assert_same(before: Graph, after: Graph) -> None:
    after.verify(integer=False)
    feeds = {"x": RNG.normal(0, 3, (20, *before.tensors["x"].shape)).astype(np.float32)}
    expected, got = (list(FloatSession(float_model(g)).stacked(feeds).values()) for g in (before, after))
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def dense(writer: Writer) -> Writer:
    return writer.then(Dense, RNG.normal(0, 1, (4, 3)), RNG.normal(0, 1, 4), **BOUNDS)


@pytest.mark.parametrize("factor", [np.array([2.0, -1.0, 0.5, 3.0]), np.array(0.25)])
def test_an_affine_goes_into_the_layer_before_it(factor: Array) -> None:
    before = dense(Writer(1, 3)).then(Affine, factor, factor - 1, axis=1, **BOUNDS | {"low": -2.0}).graph()
    after = fold_affines(before)
    assert kinds(after) == ["Dense"]
    assert_same(before, after)


def test_a_layer_that_is_clamped_or_read_twice_keeps_its_affine() -> None:
    clamped = Writer(1, 3).then(Dense, np.ones((4, 3)), np.zeros(4), low=0.0, high=inf)
    clamped = clamped.then(Affine, np.ones(4) * 2, np.ones(4), axis=1, **BOUNDS)
    assert kinds(fold_affines(clamped.graph())) == ["Dense", "Affine"]
    twice = dense(Writer(1, 3))
    middle = twice.last
    twice.then(Affine, np.ones(4) * 2, np.ones(4), axis=1, **BOUNDS)
    assert kinds(fold_affines(twice.graph(twice.last, middle))) == ["Dense", "Affine"]


def test_two_affines_are_one() -> None:
    both = Writer(1, 4).then(Affine, RNG.normal(0, 1, 4), RNG.normal(0, 1, 4), axis=1, **BOUNDS)
    before = both.then(Affine, RNG.normal(0, 1, 4), RNG.normal(0, 1, 4), axis=1, low=-1.0, high=1.0).graph()
    after = merge_affines(before)
    assert kinds(after) == ["Affine"]
    assert_same(before, after)
    huge = Writer(1, 4).then(Affine, np.full(4, 1e30), np.zeros(4), axis=1, **BOUNDS)
    huge.then(Affine, np.full(4, 1e30), np.zeros(4), axis=1, **BOUNDS)
    assert kinds(merge_affines(huge.graph())) == ["Affine", "Affine"], "their product leaves float32"


def test_clamps_in_a_row_are_the_producers_and_meet_as_they_would() -> None:
    before = dense(Writer(1, 3)).then(Clamp, low=-1.0, high=0.5).then(Clamp, low=0.25, high=9.0).graph()
    after = fuse_clamps(before)
    assert kinds(after) == ["Dense"]
    assert_same(before, after)


@pytest.mark.parametrize(("value", "left"), [(0.0, ["Conv"]), (1.0, ["Pad", "Conv"])])
def test_zeros_around_an_image_are_the_windows_padding(value: float, left: list[str]) -> None:
    padded = Writer(1, 5, 6, 2).then(Pad, begin=(0, 1, 2, 0), end=(0, 0, 1, 0), value=value)
    weights = RNG.normal(0, 1, (3, 2, 2, 2))
    before = padded.then(Conv, weights, np.zeros(3), window=Window((2, 2), pads=(0, 0, 1, 0)), **BOUNDS).graph()
    after = fold_pads(before)
    assert kinds(after) == left
    assert_same(before, after)


def test_channels_that_are_padded_stay() -> None:
    padded = Writer(1, 5, 6, 2).then(Pad, begin=(0, 0, 0, 1), end=(0, 0, 0, 0), value=0.0)
    before = padded.then(Conv, np.ones((3, 2, 2, 3)), np.zeros(3), window=Window((2, 2)), **BOUNDS).graph()
    assert kinds(fold_pads(before)) == ["Pad", "Conv"]
