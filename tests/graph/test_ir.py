"""What `Graph.verify` refuses: every way in which a pass could break a graph."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, Tensor
from pipeline.ops.clamp import Clamp


def legal() -> Graph:
    """Two clamps, one after the other."""
    tensors = {n: Tensor(n, (1, 3)) for n in "xyz"}
    nodes = tuple(Clamp(name=f"to {b}", inputs=(a,), outputs=(b,), low=-1.0, high=1.0) for a, b in ("xy", "yz"))
    return Graph("net", tensors, nodes, (Port("x", "x", (1, 3), (0, 1)),), (Port("z", "z", (1, 3), (0, 1)),))


BROKEN: dict[str, tuple[Callable[[Graph], Graph], str | None]] = {
    "order": (lambda g: replace(g, nodes=g.nodes[::-1]), "input 'y' is used before it is made"),
    "twice": (lambda g: replace(g, nodes=(*g.nodes, g.nodes[1])), "'z' is made twice"),
    "missing": (lambda g: replace(g, nodes=g.nodes[:1]), "output 'z' is never made"),
    "shape": (lambda g: replace(g, tensors=g.tensors | {"y": Tensor("y", (3, 1))}), r"y: \(3, 1\) != \(1, 3\)"),
    "dtype": (lambda g: replace(g, tensors=g.tensors | {"w": Tensor("w", (1,), "float16")}), "w is float16"),
    "name": (lambda g: replace(g, tensors=g.tensors | {"w": Tensor("v", (1,))}), None),
    "data": (lambda g: replace(g, tensors=g.tensors | {"w": Tensor("w", (2,), data=np.zeros(3, np.float32))}), None),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_graph_is_refused(fault: str) -> None:
    legal().verify(integer=False)
    change, message = BROKEN[fault]
    with pytest.raises(AssertionError, match=message):
        change(legal()).verify(integer=False)


def test_no_float_is_left_in_an_integer_graph() -> None:
    with pytest.raises(AssertionError, match="is float32"):
        legal().verify(integer=True)
