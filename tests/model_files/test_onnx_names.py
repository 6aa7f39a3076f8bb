"""Names that are not UTF-8, and element types that ONNX does not define: each is said with where it stands."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError, Place
from pipeline.model_files.onnx_names import check_names


def model() -> onnx.ModelProto:
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [4])] for n in ("x", "output_name")]
    node = helper.make_node("Add", ["x", "weights"], ["output_name"], "node_name")
    constant = numpy_helper.from_array(np.ones(4, np.float32), "weights")
    graph = helper.make_graph([node], "net", *infos, [constant], doc_string="comment_text")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def changed(old: bytes) -> onnx.ModelProto:
    """The model with a byte in a text that no UTF-8 has there."""
    data = model().SerializeToString()
    assert old in data
    return onnx.ModelProto.FromString(data.replace(old, b"\xff" + old[1:]))


def test_names_that_can_be_read_pass() -> None:
    check_names(model(), Place("net.onnx"))
    check_names(changed(b"comment_text"), Place("net.onnx"))
    assert count(model()) > 5


def count(proto: onnx.ModelProto) -> int:
    from pipeline.model_files.onnx_names import _messages

    return sum(1 for _ in _messages(proto))


@pytest.mark.parametrize(
    ("name", "where"),
    [(b"node_name", "the name .* of a NodeProto"), (b"weights", "is not UTF-8"), (b"output_name", "is not UTF-8")],
)
def test_a_name_that_is_not_utf8_is_said_with_its_message(name: bytes, where: str) -> None:
    with pytest.raises(ChipfitError, match=where) as error:
        check_names(changed(name), Place("net.onnx"))
    assert str(error.value).startswith("net.onnx: ")


def test_an_unknown_element_type_is_named_by_its_number() -> None:
    unknown = model()
    unknown.graph.initializer[0].data_type = 777
    with pytest.raises(ChipfitError, match="tensor 'weights' has the element type 777"):
        check_names(unknown, Place("net.onnx"))
