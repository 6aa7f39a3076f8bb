"""Each name of arithmetic is pinned to vectors: who changes what a rule computes must give it another name."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, some

from pipeline.arithmetic.versions import EXACT, VERSIONS, arithmetic_of
from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph, Node
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, QuantParams, Tensor
from pipeline.ops.add import Add, AddRescaled
from pipeline.ops.affine import Affine
from pipeline.ops.argmax import ArgMax
from pipeline.ops.average_pool import AveragePool, AveragePoolExact
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.lookup import Interpolate, Lookup
from pipeline.ops.mean import Mean, MeanRescaled
from pipeline.ops.mul import Mul, MulRescaled, MulWide
from pipeline.ops.prelu import PRelu, PReluRescaled
from pipeline.ops.shared.window import Window
from pipeline.ops.softmax import Softmax, SoftmaxExact, SoftmaxScaled, SoftmaxWide

NAMED: dict[str, Any] = {"name": "node", "outputs": ("y",)}
X: dict[str, Any] = {"inputs": ("x",), **NAMED}
AB: dict[str, Any] = {"inputs": ("a", "b"), **NAMED}
LINEAR: dict[str, Any] = {"inputs": ("x", "w", "b"), **NAMED}
HALF, THIRD = (1 << 30, 0), (1431655765, -1)
"""0.5 and 0.3333, as (multiplier, exponent)."""


def quantized(name: str, values: Any, dtype: str, zero_point: int = 0) -> Tensor:
    return Tensor(name, np.shape(values), dtype, None, QuantParams((1.0,), zero_point, None, dtype))


def constant(name: str, values: Any, dtype: str) -> Tensor:
    return Tensor(name, np.shape(values), dtype, np.array(values, dtype))


def computed(node: Node, dtype: str, inputs: dict[str, Any], zero_point: int, **constants: tuple[Any, str]) -> Graph:
    """A network of one node; `inputs` of one sample each, `constants` as (values, type)."""
    tensors = {n: quantized(n, v, dtype, zero_point) for n, v in inputs.items()}
    tensors |= {n: constant(n, *c) for n, c in constants.items()}
    shape = node.shapes([tensors[n].shape for n in node.inputs])[0]
    tensors["y"] = quantized("y", np.zeros(shape), dtype)
    return Graph("net", tensors, (node,), (), ())


def outputs(graph: Graph, inputs: dict[str, Any]) -> list[int]:
    node = graph.nodes[0]
    given: Sequence[Array] = [
        graph.constant(n) if graph.is_constant(n) else np.array([inputs[n]], graph.tensors[n].dtype)
        for n in node.inputs
    ]
    return [int(v) for v in np.reshape(node.meaning(given, graph)[0], -1)]


Case = tuple[str, Callable[[], tuple[Node, str, dict[str, Any], int, dict[str, tuple[Any, str]]]], list[int]]


def linear(kind: str, dtype: str, shift: list[int], multiplier: list[int] | None) -> Any:
    """Sums of -6 * w + b of four channels: w is 1, -1, 20, 100; b is 0, 1, -77, 7; x - zero point -6."""
    low, high = (-100, 90) if dtype == "int8" else (-30000, 90)
    rescale = Rescale("s", "m" if multiplier else None, 3, low, high, kind)
    constants = {
        "w": ([[1], [-1], [20], [100]], "int8"), "b": ([0, 1, -77, 7], "int32"), "s": (shift, "int64"),
        **({"m": (multiplier, "int64")} if multiplier else {}),
    }  # fmt: skip
    return lambda: (Dense(rescale=rescale, **LINEAR), dtype, {"x": [[-5]]}, 1, constants)


POOL = Window((1, 3), (1, 1), (0, 1, 0, 1))
IMAGE = {"x": [[[[7], [-5], [8]]]]}
GOLDEN: list[Case] = [
    ("chipfit.int8.shift.v1", linear("shift", "int8", [2, 1, 3, 3], None), [2, 7, -22, -71]),
    ("chipfit.int8.multiplier.v1", linear("multiplier", "int8", [-1, 0, -2, 1], [1 << 30] * 4), [1, 7, -22, -100]),
    ("chipfit.int8.once.v1", linear("once", "int8", [-1, 0, -2, 1], [1 << 30] * 4), [2, 7, -22, -100]),
    ("chipfit.int16.wide.v1", linear("wide", "int16", [15, 16, 15, 10], [1 << 14] * 4), [0, 5, -95, -9485]),
    ("chipfit.int16.once.v1", linear("once", "int16", [-1, 0, -2, 1], [1 << 30] * 4), [2, 7, -22, -590]),
    (
        "chipfit.int8.scaled.v1",
        lambda: (Add(scales=(3, -5), offset=(7 << 4) + 8, shift=4, **AB), "int8",
                 {"a": [100, -128, 8, 127], "b": [-100, 127, 4, -128]}, 0, {}),
        [57, -57, 7, 71],
    ),
    (
        "chipfit.int8.scaled.v1",
        lambda: (Mul(zero_points=(1, -2), scale=3, offset=4, shift=3, bottom=-90, **AB), "int8",
                 {"a": [10, -128, 1, 0], "b": [10, 127, 4, -3]}, 0, {}),
        [41, -90, 0, 0],
    ),
    (
        "chipfit.int8.scaled.v1",
        lambda: (Mean(axes=(0,), scale=11, offset=16, shift=5, **X), "int8", {"x": [1, 2, -9]}, 0, {}),
        [-2],
    ),
    (
        "chipfit.int8.scaled.v1",
        lambda: (AveragePool(window=POOL, offset=16 + (2 << 5), shift=5, inputs=("x", "r"), **NAMED), "int8", IMAGE, 1,
                 {"r": ([32, 16, 11], "int32")}),
        [2, 4, 3],
    ),
    (
        "chipfit.int8.scaled.v1",
        lambda: (PRelu(axis=0, zero_point=2, scale=8, offset=20, shift=3, inputs=("x", "s"), **NAMED), "int8",
                 {"x": [5, -5]}, 0, {"s": ([1, 3], "int32")}),
        [5, -1],
    ),
    (
        "chipfit.int16.scaled.v1",
        lambda: (Affine(axis=0, shift=3, bottom=-900, top=800, inputs=("x", "s", "o"), **NAMED), "int16",
                 {"x": [-301, 299, 3]}, 0, {"s": ([5, 100000, 1], "int32"), "o": ([4, 1 << 40, -4], "int64")}),
        [-188, 800, -1],
    ),
    (
        "chipfit.int8.rescaled.v1",
        lambda: (AddRescaled(zero_points=(1, -1, 2), rescales=(HALF, THIRD, (1 << 30, -18)), **AB), "int8",
                 {"a": [100, -128, 8, 1], "b": [-100, 127, 4, -2]}, 0, {}),
        [35, -42, 12, 1],
    ),
    (
        "chipfit.int8.rescaled.v1",
        lambda: (MulRescaled(zero_points=(1, -2, 5), rescale=(1 << 30, -2), top=100, **AB), "int8",
                 {"a": [0, 2, 3, 127], "b": [2, 2, 127, 127]}, 0, {}),
        [4, 6, 37, 100],
    ),
    (
        "chipfit.int8.rescaled.v1",
        lambda: (MeanRescaled(axes=(0,), offset=-3, rescale=THIRD, zero_point=1, **X), "int8",
                 {"x": [1, 2, -9]}, 0, {}),
        [-2],
    ),
    (
        "chipfit.int8.rescaled.v1",
        lambda: (PReluRescaled(axis=0, zero_point=2, rescales=(HALF, THIRD), output_zero_point=-1,
                               inputs=("x", "s"), **NAMED), "int8", {"x": [5, -5]}, 0, {"s": ([1, 3], "int8")}),
        [1, -8],
    ),
    (
        "chipfit.int16.rescaled.v1",
        lambda: (AddRescaled(left=15, subtract=True, rescales=(HALF, THIRD, (1 << 30, -13)), bottom=-30000, top=32767,
                             **AB), "int16",
                 {"a": [1000, -32768, 8], "b": [-1000, 32767, 4]}, 0, {}),
        [1667, -30000, 5],
    ),
    (
        "chipfit.int16.once.v1",
        lambda: (MulWide(zero_points=(0, -32768, 3), rescale=(1 << 30, -14), bottom=-32768, top=32767, **AB), "int16",
                 {"a": [-3, 32767, 5], "b": [0, 32767, -32765]}, 0, {}),
        [0, 32767, 3],
    ),
    (
        "chipfit.int8.quotient.v1",
        lambda: (AveragePoolExact(window=POOL, **X), "int8", IMAGE, 0, {}),
        [1, 3, 2],
    ),
    (
        "chipfit.int8.quotient.v1",
        lambda: (AveragePoolExact(window=POOL, bias=128, **X), "int8", {"x": [[[[-128], [-127], [-5]]]]}, 0, {}),
        [-127, -87, -66],
    ),
    (
        "chipfit.int16.quotient.v1",
        lambda: (AveragePoolExact(window=POOL, bottom=-32768, top=32767, **X), "int16",
                 {"x": [[[[-301], [300], [8]]]]}, 0, {}),
        [-1, 2, 154],
    ),
    (
        "chipfit.int8.table.v1",
        lambda: (Lookup(inputs=("x", "t"), **NAMED), "int8", {"x": [-128, 0, 127]}, 0,
                 {"t": ([(7 * i) % 256 - 128 for i in range(256)], "int8")}),
        [-128, 0, 121],
    ),
    (
        "chipfit.int16.table.v1",
        lambda: (Interpolate(inputs=("x", "t"), **NAMED), "int16", {"x": [-32768, 0, 1, 64, 127, 32767]}, 0,
                 {"t": ([17 * (i - 256) ** 2 - 40000 for i in range(513)], "int32")}),
        [32767, -32768, -32768, -32768, -32768, 32767],
    ),
    (
        "chipfit.int8.softmax.v1",
        lambda: (Softmax(axis=0, inputs=("x", "t"), **NAMED), "int8", {"x": [3, 1, 0, -128]}, 0,
                 {"t": ([32768 >> min(i, 15) for i in range(256)], "uint16")}),
        [58, -81, -105, -128],
    ),
    (
        "chipfit.int8.softmax_scaled.v1",
        lambda: (SoftmaxScaled(axis=0, factor=40000, shift=9, zero_point=-60, inputs=("x", "t"), **NAMED), "int8",
                 {"x": [3, 1, 0, -128]}, 0, {"t": ([32768 >> min(i, 15) for i in range(256)], "uint16")}),
        [-3, -46, -53, -60],
    ),
    (
        "chipfit.int8.softmax_exact.v1",
        lambda: (SoftmaxExact(axis=0, inputs=("x", "t"), **NAMED), "int8", {"x": [3, 1, 0, -128]}, 0,
                 {"t": ([(2**31 - 1) >> min(i, 31) for i in range(256)], "int32")}),
        [58, -81, -105, -128],
    ),
    (
        "chipfit.int16.softmax.v1",
        lambda: (SoftmaxWide(axis=0, step=3, inputs=("x", "t"), **NAMED), "int16", {"x": [30, 19, 0, -32768]}, 0,
                 {"t": ([32768 >> min(i, 15) for i in range(512)] + [0], "uint16")}),
        [22075, 8968, 1725, 0],
    ),
    (EXACT, lambda: (ArgMax(axis=0, **X), "int8", {"x": [3, 7, 7, -128]}, 0, {}), [1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "expected"), GOLDEN, ids=[f"{c[0]}-{i}" for i, c in enumerate(GOLDEN)])
def test_a_name_means_these_integers(name: str, make: Any, expected: list[int]) -> None:
    node, dtype, inputs, zero_point, constants = make()
    graph = computed(node, dtype, inputs, zero_point, **constants)
    assert arithmetic_of(graph) == (name,)
    assert outputs(graph, inputs) == expected


def test_every_name_is_pinned_and_documented() -> None:
    assert {name for name, _, _ in GOLDEN} == set(VERSIONS)
    page = (ROOT / "docs" / "arithmetic.md").read_text("utf-8")
    assert set(re.findall(r"chipfit\.[a-z0-9_.]+\.v[0-9]+", page)) == set(VERSIONS)


def test_an_operator_without_a_name_is_a_bug_not_a_guess() -> None:
    node = Conv(rescale=Rescale("s", "m", 0, 0, 0, "twice"), window=Window((1, 1)), **LINEAR)
    graph = Graph("net", {"x": quantized("x", [0], "int8")}, (node,), (), ())
    with pytest.raises(ValueError, match=r"no arithmetic is called chipfit\.int8\.twice\.v1"):
        arithmetic_of(graph)


@pytest.mark.exhaustive
def test_every_sample_has_names_of_the_table() -> None:
    from building import build

    from pipeline.ops import samples

    found: set[str] = set()
    for sample in some(list(samples())):
        for requantizer, activations in (("shift", "int8"), ("multiplier", "int8"), ("shift", "int16")):
            inputs = tuple(sample.inputs(2).values())
            try:
                built = build(sample.model, inputs, inputs, requantizer, activations=activations)
            except ChipfitError:  # no table of straight lines follows a step
                continue
            found |= set(arithmetic_of(built.quantized.graph))
    assert found <= set(VERSIONS)
