"""Figures of an evaluation: classes, accuracy, confusion and the worst inputs, worked out by hand."""

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.quantizing.data import Samples
from pipeline.quantizing.evaluate import _accuracy, _answers, _confusion, _inputs, _worst, hard_inputs

OURS = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])  # 1 0 1 0
THEIRS = np.array([[0.2, 0.8], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])  # 1 0 0 1
LABELS = np.array([1, 0, 1, 1])
QUANT = QuantParams((0.5,), 0)


def graph() -> Graph:
    tensors = {"x": Tensor("x", (1, 3), "int8", None, QUANT), "y": Tensor("y", (1, 2), "int8", None, QUANT)}
    return Graph("net", tensors, (), (Port("x", "in", (1, 3), (0, 1)),), (Port("y", "out", (1, 2), (0, 1)),))


def test_shares_of_right_and_of_equal_answers() -> None:
    found = _accuracy(OURS, THEIRS, LABELS)
    assert (found.integer, found.real, found.agreement) == (0.75, 0.75, 0.5)
    alone = _accuracy(OURS, None, None)
    assert alone.integer is alone.real is alone.agreement is None


def test_rows_of_the_confusion_are_the_truth() -> None:
    assert _confusion(OURS, LABELS) == ((1, 0), (1, 2)) and _confusion(OURS, None) is None
    assert _confusion(OURS, LABELS + 80) is None, "too many classes to show"


def test_the_worst_inputs_come_first_with_both_answers() -> None:
    worst = _worst(OURS, THEIRS)
    assert [w.sample for w in worst] == [2, 3, 0, 1] and worst[0].error == 0.6
    assert (worst[0].float_class, worst[0].integer_class) == (0, 1)


def test_answers_are_counted_and_labels_have_a_range() -> None:
    found = _answers(OURS, THEIRS, LABELS)
    assert (found.classes, found.integer, found.real, found.truth, found.labels) == (2, 2, 2, 2, (0, 1))
    assert _answers(OURS[:, :1], None, None).classes is None


def test_data_outside_an_inputs_range_are_a_share() -> None:
    data = np.array([[[0.0, 64.0, 63.9]], [[-64.4, -65.0, 1.0]]], np.float32)  # range -64 to 63.5, a step of 0.5
    (found,) = _inputs(graph(), Samples((data,)))
    assert (found.name, found.range, found.data) == ("in", (-64.0, 63.5), (-65.0, 64.0))
    assert found.outside == round(1 / 6, 6), "only more than a step counts"


def test_inputs_of_a_comparison_end_in_the_extremes_and_noise() -> None:
    (given,) = hard_inputs(graph(), Samples((np.zeros((20, 1, 3), np.float32),)))
    assert given.shape == (8 + 3, 1, 3) and (given[8] == -64.0).all() and (given[9] == 63.5).all()
    assert not given[:8].any() and np.unique(given[10]).size > 1
