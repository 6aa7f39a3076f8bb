"""Constants of an ONNX graph in each of the forms that a file may write them in."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.importing.onnx_constants import constants_of


def test_every_form_of_a_constant_is_a_tensor() -> None:
    forms = {
        "value": (numpy_helper.from_array(np.eye(2, dtype=np.int8)), np.eye(2)),
        "value_float": (1.5, 1.5), "value_floats": ([1.5, 2.0], [1.5, 2.0]),
        "value_int": (7, 7), "value_ints": ([7, -8], [7, -8]),
    }  # fmt: skip
    nodes = [helper.make_node("Constant", [], [f"of {n}"], **{n: v}) for n, (v, _) in forms.items()]
    initial = [numpy_helper.from_array(np.arange(3), "w")]
    found = constants_of(helper.make_graph([*nodes, helper.make_node("Relu", ["w"], ["y"])], "g", [], [], initial))
    assert set(found) == {"w", *(f"of {n}" for n in forms)}
    for name, (_, expected) in (("value", forms["value"]), *forms.items()):
        array = numpy_helper.to_array(found[f"of {name}"])
        assert array.shape == np.shape(expected) and (array == expected).all(), name
    assert (
        found["of value_int"].data_type == TensorProto.INT64 and found["of value_float"].data_type == TensorProto.FLOAT
    )


def test_a_sparse_constant_is_none_here() -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0]), "i"), [4])
    node = helper.make_node("Constant", [], ["c"], sparse_value=sparse)
    assert constants_of(helper.make_graph([node], "g", [], [])) == {}
