"""The order of least memory: against every order that there is, and never worse than the given one."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, Tensor
from pipeline.ops.concat import Concat
from pipeline.ops.slice import Slice
from pipeline.planning.execution_order import _greedy, _Memory, least_memory


def branches(seed: int) -> Graph:
    """Wide parts of the input, a narrow part of each, and these joined; all wide ones are made first."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 64), "int8"))

    def part(source: str, label: str, size: int) -> str:
        fields = {"name": label, "inputs": (source,), "outputs": (label,)}
        return builder.append(Slice(**fields, starts=(0, 0), steps=(1, 1), shape=(1, size)), "int8")

    wide = [part("x", f"wide{i}", int(rng.integers(10, 64))) for i in range(3)]
    narrow = [part(w, f"narrow{i}", int(rng.integers(1, 10))) for i, w in enumerate(wide)]
    builder.append(Concat(name="y", inputs=tuple(narrow), outputs=("y",), axis=1), "int8")
    return builder.build((Port("x", "x", (1, 64), (0, 1)),), (Port("y", "y", builder.tensors["y"].shape, (0, 1)),))


def legal_orders(graph: Graph) -> list[tuple[int, ...]]:
    predecessors = _Memory(graph).predecessors
    orders = itertools.permutations(range(len(graph.nodes)))
    return [o for o in orders if all(predecessors[n] <= set(o[:i]) for i, n in enumerate(o))]


def peak(graph: Graph) -> int:
    return _Memory(graph).peak(range(len(graph.nodes)))


@pytest.mark.parametrize("seed", range(6))
def test_no_order_needs_less(seed: int) -> None:
    graph = branches(seed)
    ordered = least_memory(graph)
    ordered.verify(integer=True)
    assert peak(ordered) == min(_Memory(graph).peak(o) for o in legal_orders(graph)) < peak(graph)
    assert peak(replace(graph, nodes=tuple(graph.nodes[i] for i in _greedy(_Memory(graph), len(graph.nodes))))) > 0


def test_a_graph_whose_order_is_as_good_as_any_stays_as_it_is() -> None:
    ordered = least_memory(branches(3))
    assert least_memory(ordered) is ordered


@pytest.mark.parametrize("seed", range(6))
def test_the_greedy_order_is_legal(seed: int) -> None:
    graph = branches(seed)
    assert _greedy(_Memory(graph), len(graph.nodes)) in legal_orders(graph)
