"""Bounds on a chain of roundings: half a step for each, through moves unchanged, infinite where nothing is known."""

from math import inf

import numpy as np

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.ops.lookup import Lookup
from pipeline.ops.reshape import Reshape
from pipeline.ops.slice import Slice
from pipeline.quantizing.rounding_bounds import _largest, deviation, only_moves_values

QUANT = QuantParams((0.5,), 3)


def graph() -> Graph:
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 6), "int8", None, QUANT))
    builder.append(Reshape(name="r", inputs=("x",), outputs=("a",), shape=(2, 3)), "int8", QUANT)
    builder.append(
        Slice(name="s", inputs=("a",), outputs=("b",), starts=(0, 1), steps=(1, 1), shape=(2, 2)), "int8", QUANT
    )
    table = builder.constant("t", np.zeros(256, np.int8))
    builder.append(Lookup(name="l", inputs=("b", table), outputs=("y",)), "int8", QUANT)
    return builder.build((Port("x", "x", (1, 6), (0, 1)),), (Port("y", "y", (2, 2), (0, 1)),))


def test_moves_round_nothing_and_keep_what_was_rounded_before() -> None:
    found = deviation(graph(), (), (), {}, ())
    assert found["x"][0] == found["a"][0] == found["b"][0] == 0.5
    assert [only_moves_values(n) for n in graph().nodes] == [True, True, False]


def test_from_integers_that_are_equal_only_the_last_rounding_counts() -> None:
    found = deviation(graph(), ("b",), (), {}, ())
    assert found["y"][0] == 0.5 + graph().nodes[-1].rounding_bound(graph()).slack
    changed = deviation(graph(), ("b",), (), {"y": 2.0}, ())
    assert changed["y"][0] == found["y"][0] + 2.0


def test_a_range_that_chipfit_chose_and_constants_of_its_own_prove_nothing() -> None:
    assert deviation(graph(), (), ("b",), {}, ())["y"][0] == inf
    assert deviation(graph(), ("b",), (), {}, ("l",))["y"][0] == inf


def test_the_largest_of_several_is_one_number() -> None:
    array = np.array([0.1, 0.7])
    assert _largest([array, 0.3]) == 0.7 and _largest([0.3]) == 0.3
