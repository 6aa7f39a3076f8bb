"""Constant folding: NumPy's results, within bounds that are known before any work is done."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.tensor import Array
from pipeline.importing.onnx_fold import MAX_VALUES, ConstantFolder, TooMuchWork

A, B = np.arange(6.0, dtype=np.float32).reshape(2, 3), np.array([[1.0], [10.0]], np.float32)


def folded(op: str, *arrays: Array, outputs: int = 1, **attributes: Any) -> list[Array]:
    names = [f"i{k}" for k in range(len(arrays))]
    node = helper.make_node(op, names, [f"o{k}" for k in range(outputs)], **attributes)
    return ConstantFolder(17).evaluate(node, dict(zip(names, arrays, strict=True)).get)


def test_results_are_numpys() -> None:
    assert (folded("Add", A, B)[0] == A + B).all() and (folded("MatMul", A, A.T)[0] == A @ A.T).all()
    left, right = folded("Split", A, np.array([1, 2]), outputs=2, axis=1)
    assert (left == A[:, :1]).all() and (right == A[:, 1:]).all()
    assert (folded("Range", np.int64(2), np.int64(9), np.int64(3))[0] == [2, 5, 8]).all()


def test_of_a_choice_only_the_branch_that_is_taken_is_read() -> None:
    info = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    taken = helper.make_graph([helper.make_node("Neg", ["outer"], ["r"])], "then", [], [info])
    other = helper.make_graph([helper.make_node("Loop", ["nothing"], ["r"])], "else", [], [info])
    node = helper.make_node("If", ["c"], ["y"], then_branch=taken, else_branch=other)
    known = {"c": np.array(True), "outer": A}
    assert (ConstantFolder(17).evaluate(node, known.get)[0] == -A).all()
    with pytest.raises(ValueError, match="condition"):
        ConstantFolder(17).evaluate(node, {"outer": A}.get)


def test_what_is_no_constant_is_not_computed() -> None:
    with pytest.raises(ValueError, match="no constant"):
        ConstantFolder(17).evaluate(helper.make_node("Add", ["a", "b"], ["y"]), {"a": A}.get)


@pytest.mark.parametrize(
    ("op", "arrays", "attributes"),
    [
        ("ConstantOfShape", [np.array([MAX_VALUES + 1])], {}),
        ("Expand", [np.zeros(1, np.float32), np.array([1 << 13, 1 << 13])], {}),
        ("Tile", [np.zeros((1, 2), np.float32), np.array([1 << 20, 1 << 20])], {}),
        ("Range", [np.int64(0), np.int64(1 << 40), np.int64(1)], {}),
        ("RandomNormal", [], {"shape": [2]}),
    ],
)
def test_results_that_are_too_large_or_never_the_same_are_refused(
    op: str, arrays: list[Array], attributes: dict[str, Any]
) -> None:
    with pytest.raises(TooMuchWork):
        folded(op, *arrays, **attributes)


def test_the_work_of_all_nodes_together_is_bounded() -> None:
    folder, zeros = ConstantFolder(17), np.zeros(1 << 22, np.float32)
    node = helper.make_node("Neg", ["a"], ["y"])
    done = 0
    with pytest.raises(TooMuchWork, match="more work than a network's"):
        for _ in range(10_000):
            folder._charge(node, {"a": zeros})
            done += 1
    assert done == (1 << 29) // (2 * zeros.size + 3000)
    assert isinstance(numpy_helper.from_array(zeros[:1]), onnx.TensorProto)
