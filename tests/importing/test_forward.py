"""Factors and offsets fold into the linear layers around them where that is exact, and stay where it is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from spelling import Net, imported, written

from pipeline.graph.ir import Graph
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.affine import Affine
from pipeline.ops.shared.linear import Linear


def affines(graph: Graph) -> int:
    return sum(isinstance(n, Affine) for n in graph.nodes)


def scaled(behind: Callable[[Net], Any], factor: Any = (0.5, -2.0, 1.0), offset: Any = None) -> onnx.ModelProto:
    """A factor and an offset per channel of the input, and what reads the result."""

    def write(n: Net) -> None:
        n.then("Mul", n.constant(np.reshape(factor, (-1, 1, 1))))
        if offset is not None:
            n.then("Add", n.constant(np.reshape(offset, (-1, 1, 1))))
        behind(n)

    return written(write, False)


def two_readers(n: Net) -> None:
    source = n.last
    left = n.conv(2, 3)
    n.last, n.channels = source, 3
    right = n.conv(2, 3)
    n.add("Add", left, right)


def flattened(n: Net) -> None:
    n.then("Flatten")
    n.then("Gemm", n.random(96, 5))


FOLDED = {
    "convolution": (lambda n: n.conv(4, 3), (-1.0, 0.5, 0.25)),
    "padded, no offset": (lambda n: n.conv(4, 3, pad=1), None),
    "grouped": (lambda n: n.conv(6, 3, groups=3), (-1.0, 0.5, 0.25)),
    "transposed": (lambda n: n.conv(2, 3, stride=2, op="ConvTranspose"), None),
    "two readers": (two_readers, (-1.0, 0.5, 0.25)),
    "flattened": (flattened, (-1.0, 0.5, 0.25)),
    "averaged": (lambda n: (n.pool("AveragePool", 2), n.conv(4, 3)), (-1.0, 0.5, 0.25)),
    "summed": (lambda n: (n.then("ReduceSum", n.constant(np.array([2, 3]))), n.conv(4, 1)), (-1.0, 0.5, 0.25)),
    "padded before": (lambda n: (n.then("Pad", n.constant(np.array([0, 0, 0, 1] * 2))), n.conv(4, 3)), None),
}


@pytest.mark.parametrize("case", FOLDED)
def test_an_affine_folds_into_the_linear_layers_behind_it(case: str) -> None:
    behind, offset = FOLDED[case]
    assert affines(imported(scaled(behind, offset=offset))) == 0


def test_one_value_passes_a_padding_with_another_value() -> None:
    pads = np.array([0, 0, 0, 2, 0, 0, 0, 1])
    model = scaled(lambda n: (n.then("Pad", n.constant(pads), n.constant(0.75)), n.conv(4, 3)), 0.5, 0.25)
    assert affines(imported(model)) == 0


def test_positive_scales_pass_a_maximum_and_negative_ones_do_not() -> None:
    for factor, left in ((0.5, 2.0, 1.0), 0), ((0.5, -2.0, 1.0), 1):
        model = scaled(lambda n: (n.pool("MaxPool", 2), n.conv(4, 3)), factor, (-1.0, 0.5, 0.25))
        assert affines(imported(model)) == left


@pytest.mark.parametrize(
    "behind",
    [
        lambda n: n.conv(4, 3, pad=1),
        lambda n: (n.then("Relu"), n.conv(4, 3)),
        lambda n: (n.then("Pad", n.constant(np.array([0, 0, 0, 1] * 2))), n.conv(4, 3)),
        lambda n: n.add("Add", n.conv(3, 1), "t1"),
        lambda n: n.conv(2, 3, stride=2, op="ConvTranspose"),
    ],
    ids=["padding", "nonlinear", "zeros around", "another reader", "zeros between"],
)
def test_an_offset_stays_where_it_cannot_be_said_exactly(behind: Callable[[Net], Any]) -> None:
    assert affines(imported(scaled(behind, offset=(-1.0, 0.5, 0.25)))) == 1


def test_weights_that_another_layer_shares_are_not_stored_twice() -> None:
    def write(n: Net) -> None:
        kernel = n.random(3, 3, 1, 1)
        n.then("Conv", kernel)
        n.then("Relu")
        n.then("Mul", n.constant(np.array([0.5, 2.0, 1.0]).reshape(3, 1, 1)))
        n.then("Conv", kernel)

    graph = imported(written(write, False))
    assert affines(graph) == 1
    assert len({graph.constant(n.weights).tobytes() for n in graph.nodes if isinstance(n, Linear)}) == 1


def test_a_fold_never_overflows_and_never_buries_an_input() -> None:
    huge = scaled(lambda n: n.then("Conv", n.constant(np.full((2, 3, 1, 1), 3e38))), (2.0, 1.0, 1.0))
    with np.errstate(over="ignore"):
        assert affines(canonical(graph_of(huge, "net.onnx", "net"), "net.onnx")) == 1
    unlike = (1e-3, 1.0, 300.0)
    assert affines(imported(scaled(lambda n: n.conv(4, 3), unlike))) == 1, "what makes channels alike stays in front"
    kernel = np.random.default_rng(2).normal(0, 1, (4, 3, 1, 1)) / np.reshape(unlike, (3, 1, 1))
    assert affines(imported(scaled(lambda n: n.then("Conv", n.constant(kernel)), unlike))) == 0


def test_a_scale_that_the_file_prescribes_between_stays() -> None:
    def write(n: Net) -> None:
        n.then("Relu")
        n.then("Mul", n.constant(np.array([0.5, 2.0, 1.0]).reshape(3, 1, 1)))
        pair = (n.constant(0.05), n.constant(np.int8(0)))
        n.then("QuantizeLinear", *pair)
        n.then("DequantizeLinear", *pair)
        n.conv(4, 1)

    graph = canonical(graph_of(written(write, False), "net.onnx", "net"), "net.onnx")
    assert affines(graph) == 1
