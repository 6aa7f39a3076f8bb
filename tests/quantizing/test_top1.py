"""The answers of a classifier, worked out by hand."""

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.quantizing.top1 import classes_of, top1

OUTPUTS = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])  # 1 0 1 0
LABELS = np.array([1, 0, 1, 1])


def test_a_class_is_the_largest_entry_or_the_number_itself() -> None:
    assert classes_of(OUTPUTS).tolist() == [1, 0, 1, 0]
    assert classes_of(np.array([[2.0], [0.4], [6.6]])).tolist() == [2, 0, 7]


def test_the_share_of_right_answers() -> None:
    y = Tensor("y", (1, 2), "int8", None, QuantParams((0.5,), 0))
    graph = Graph("net", {"y": y}, (), (), (Port("y", "out", (1, 2), (0, 1)),))
    assert top1(graph, (OUTPUTS * 100).astype(np.int8).reshape(4, 1, 2), LABELS) == 0.75
    assert top1(graph, OUTPUTS, None) is None
