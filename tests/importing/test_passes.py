"""What is one network is one result, however its file spells it, in time that grows with the layers."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from spelling import Net, X, long_chain, numbers, quantized, written

from pipeline.importing.passes import PASSES


def spelled(*steps: Any) -> Callable[[Net], None]:
    """A convolution, `steps` (an operator and its constants, or a function of the network), and a dense layer."""

    def write(n: Net) -> None:
        n.conv(4, 3)
        for step in steps:
            if callable(step):
                step(n)
            else:
                n.then(step[0], *(n.constant(v) for v in step[1:]))
        n.then("Flatten")
        size = 4 * 30
        n.then("Gemm", n.constant(np.linspace(-1, 1, 5 * size).reshape(5, size)), transB=1)

    return write


def turned(perm: list[int]) -> Callable[[Net], None]:
    return lambda n: n.then("Transpose", perm=perm) and None


FACTOR, OFFSET = np.array([0.5, 2.0, 1.0, 0.25]), np.array([-0.5, 0.25, 0.0, 1.0])
UNIT = (np.zeros(4), 1.0 - np.full(4, 1e-5))
SPELLINGS: dict[str, tuple[Callable[[Net], None], Callable[[Net], None]]] = {
    "Relu behind a Flatten": (spelled(["Relu"]), spelled(["Flatten"], ["Relu"])),
    "Relu behind a Reshape": (spelled(["Relu"]), spelled(["Reshape", np.array([1, 2, -1])], ["Relu"])),
    "Relu between Transposes": (spelled(["Relu"]), spelled(turned([0, 2, 1, 3]), ["Relu"], turned([0, 2, 1, 3]))),
    "Relu behind a pool": (
        spelled(["Relu"], lambda n: n.then("MaxPool", kernel_shape=[1, 1]) and None),
        spelled(lambda n: n.then("MaxPool", kernel_shape=[1, 1]) and None, ["Relu"]),
    ),
    "Transposes": (spelled(), spelled(turned([0, 3, 1, 2]), turned([0, 2, 3, 1]))),
    "Relu6": (spelled(["Clip", 0.0, 6.0]), spelled(["Max", 0.0], ["Min", 6.0])),
    "Relu6 the other way": (spelled(["Clip", 0.0, 6.0]), spelled(["Min", 6.0], ["Relu"])),
    "BatchNormalization": (
        spelled(["BatchNormalization", FACTOR, OFFSET, *UNIT]),
        spelled(["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)]),
    ),
    "BatchNormalization behind Relu": (
        spelled(["Relu"], ["BatchNormalization", FACTOR, OFFSET, *UNIT]),
        spelled(["Relu"], ["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)]),
    ),
    "BatchNormalization that stays": (
        spelled(["Relu"], ["BatchNormalization", FACTOR, OFFSET, *UNIT], ["Tanh"]),
        spelled(["Relu"], ["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)], ["Tanh"]),
    ),
    "Sub and Div": (
        spelled(["Relu"], ["Add", OFFSET.reshape(4, 1, 1)], ["Mul", FACTOR.reshape(4, 1, 1)]),
        spelled(["Relu"], ["Sub", -OFFSET.reshape(4, 1, 1)], ["Div", 1 / FACTOR.reshape(4, 1, 1)]),
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_one_network_are_one_result(spelling: str) -> None:
    ours, theirs = (quantized(written(write, False), X) for write in SPELLINGS[spelling])
    assert numbers(ours) == numbers(theirs)
    np.testing.assert_array_equal(ours.expected[0], theirs.expected[0])


def test_a_matrix_and_an_offset_are_a_gemm() -> None:
    def dense(gemm: bool) -> Callable[[Net], None]:
        def write(n: Net) -> None:
            n.then("Flatten")
            matrix, offset = n.random(96, 6), n.random(6)
            if gemm:
                n.then("Gemm", matrix, offset)
            else:
                n.then("MatMul", matrix)
                n.then("Add", offset)

        return write

    ours, theirs = (quantized(written(dense(g), False), X) for g in (True, False))
    assert numbers(ours) == numbers(theirs)


def test_passes_take_steps_in_proportion_to_the_layers() -> None:
    """Calls of Python functions, which are the same on every machine."""
    counts = []
    for layers in (60, 180):
        graph, calls = long_chain(layers), 0

        def called(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            for step in PASSES:
                graph = step(graph)
        finally:
            sys.setprofile(before)
        counts.append(calls)
    assert counts[1] < 3.5 * counts[0]
