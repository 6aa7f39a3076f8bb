"""Sparse tensors: dense ones in the network, refused by name where they are impossible."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_onnx_graph import model_of, near, node, refused

SPARSE = {"numbers": ([6, 4], [1, 7, 20]), "axes": ([6, 4], [[0, 1], [2, 3], [5, 0]])}


def sparse(name: str, dims: list[int], indices: Any) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([1.5, -2, 0.5], np.float32), name)
    proto: onnx.SparseTensorProto = helper.make_sparse_tensor(
        values, numpy_helper.from_array(np.array(indices, np.int64), f"{name}.at"), dims
    )
    return proto


@pytest.mark.parametrize("given", SPARSE)
def test_sparse_constants_are_dense_ones(given: str) -> None:
    layer = node("MatMul", ["x", "w"], ["y"])
    near(model_of([layer], [1, 6], [1, 4], sparse=(sparse("w", *SPARSE[given]),)))
    constant = node("Constant", [], ["w"], sparse_value=sparse("inner", *SPARSE[given]))
    near(model_of([constant, layer], [1, 6], [1, 4]))


@pytest.mark.parametrize(
    ("dims", "message"), [([6, 3], "does not hold its shape"), ([1 << 40, 1 << 40], "has an impossible shape")]
)
def test_impossible_sparse_constants_are_refused_by_name(dims: list[int], message: str) -> None:
    model = model_of([node("MatMul", ["x", "w"], ["y"])], [1, 6], [1, 4], sparse=(sparse("w", dims, [1, 7, 20]),))
    assert f"sparse tensor 'w' {message}" in refused(model)
