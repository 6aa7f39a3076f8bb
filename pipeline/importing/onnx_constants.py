"""The constants of an ONNX graph, however the file writes them."""

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

_KINDS: Mapping[str, tuple[int, bool]] = {
    "value_float": (TensorProto.FLOAT, False),
    "value_floats": (TensorProto.FLOAT, True),
    "value_int": (TensorProto.INT64, False),
    "value_ints": (TensorProto.INT64, True),
    "value_string": (TensorProto.STRING, False),
    "value_strings": (TensorProto.STRING, True),
}
"""Attributes of Constant that hold plain numbers or strings: their type, and whether they are a vector."""


def constants_of(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Initializers and results of Constant nodes by name; of a sparse one there is none. Source: ONNX Constant."""
    constants = {t.name: t for t in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" and len(node.output) == 1 else ():
            tensor = _tensor(node.output[0], attribute)
            if tensor is not None:
                constants[node.output[0]] = tensor
    return constants


def _tensor(name: str, attribute: onnx.AttributeProto) -> onnx.TensorProto | None:
    if attribute.name == "value" and attribute.HasField("t"):
        return attribute.t
    if attribute.name not in _KINDS:
        return None
    kind, vector = _KINDS[attribute.name]
    value = helper.get_attribute_value(attribute)
    values = list(value) if vector else [value]
    return helper.make_tensor(name, kind, [len(values)] if vector else [], values)
