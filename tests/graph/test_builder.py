"""A graph being written: names, limits, and that nothing unread is left in it."""

import numpy as np
import pytest

from pipeline.facts.errors import ChipfitError
from pipeline.graph.builder import MAX_ACTIVATION, MAX_CONSTANTS, GraphBuilder
from pipeline.graph.tensor import Port, Tensor
from pipeline.ops.clamp import Clamp


def clamp(source: str, target: str) -> Clamp:
    return Clamp(name=f"to {target}", inputs=(source,), outputs=(target,), low=-1.0, high=1.0)


def chain() -> GraphBuilder:
    builder = GraphBuilder("net", "net.onnx")
    builder.add(Tensor("x", (1, 3)))
    for source, target in ("xa", "ab", "xc"):
        builder.append(clamp(source, target))
    builder.constant("w", np.zeros(3, np.float32))
    return builder


def test_a_name_is_given_once() -> None:
    builder = GraphBuilder("net")
    assert [builder.fresh("a") for _ in range(3)] == ["a", "a.2", "a.3"]
    builder.add(Tensor("b", (1,)))
    assert builder.fresh("b") == "b.2" and builder.constant("b", np.zeros(1)) == "b.3"


def test_what_no_output_reads_is_dropped_and_the_order_stays() -> None:
    builder = chain()
    graph = builder.build((Port("x", "x", (1, 3), (0, 1)),), (Port("b", "b", (1, 3), (0, 1)),))
    assert [n.output for n in graph.nodes] == ["a", "b"] and sorted(graph.tensors) == ["a", "b", "x"]
    graph.verify(integer=False)


def test_an_alias_is_another_name_of_the_file() -> None:
    builder = GraphBuilder("net")
    builder.alias("y", "x")
    assert (builder.resolved("y"), builder.resolved("z")) == ("x", "z")


def test_a_graph_beside_another_has_its_inputs_and_constants_and_no_node() -> None:
    ports = (Port("x", "x", (1, 3), (0, 1)),), (Port("a", "a", (1, 3), (0, 1)),)
    beside = GraphBuilder.beside(chain().build(*ports))
    assert set(beside.tensors) == {"x"} and beside.nodes == []


def test_more_values_than_any_chip_holds_are_refused_with_the_file() -> None:
    builder = GraphBuilder("net", "net.onnx")
    builder.add(Tensor("fits", (MAX_ACTIVATION,)))
    with pytest.raises(ChipfitError, match=rf"net\.onnx: tensor 'large' of shape \[{MAX_ACTIVATION + 1}\]"):
        builder.add(Tensor("large", (MAX_ACTIVATION + 1,)))
    zeros = np.broadcast_to(np.zeros((), np.int8), (MAX_CONSTANTS // 2,))
    for name in "ab":
        builder.add(Tensor(name, zeros.shape, "int8", zeros))
    with pytest.raises(ChipfitError, match="constant values"):
        builder.add(Tensor("c", (1,), "int8", np.zeros(1, np.int8)))
