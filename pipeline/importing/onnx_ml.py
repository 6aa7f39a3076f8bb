"""Operators of ONNX's classical domain (ai.onnx.ml), as scikit-learn's networks have them, in standard ONNX."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError, Place
from pipeline.importing.onnx_constants import constants_of
from pipeline.model_files.node import MALFORMED

DOMAIN = "ai.onnx.ml"


def without_ml(model: onnx.ModelProto, shown: str) -> onnx.ModelProto:
    """The model without those operators that have a standard spelling; the very same object when it has none.

    A map of probabilities by label becomes the tensor of probabilities. Raises ChipfitError.
    """
    if not any((n.domain, n.op_type) in OPERATORS for n in model.graph.node):
        return model
    writer = _Writer(model, shown)
    for node in model.graph.node:
        rewrite = OPERATORS.get((node.domain, node.op_type))
        if rewrite is None:
            writer.nodes.append(node)
            continue
        try:
            rewrite(writer, node)
        except MALFORMED as error:
            raise writer.refuse(node, f"is malformed ({type(error).__name__}: {str(error)[:100]})", "") from error
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    del rewritten.graph.node[:], rewritten.graph.value_info[:]
    rewritten.graph.node.extend(writer.nodes)
    rewritten.graph.initializer.extend(writer.constants)
    for output in rewritten.graph.output:
        if output.name in writer.maps:
            output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None))
    return rewritten


class _Writer:
    def __init__(self, model: onnx.ModelProto, shown: str) -> None:
        self.shown = shown
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.maps: set[str] = set()
        self.known = constants_of(model.graph)

    def refuse(self, node: onnx.NodeProto, why: str, hint: str) -> ChipfitError:
        return ChipfitError(f"{node.op_type} node {node.name!r}: {why}", place=Place(self.shown), hint=hint)

    def constant(self, node: onnx.NodeProto, what: str, value: Any) -> str:
        name = f"{node.output[0]}.chipfit.{what}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def emit(self, op: str, node: onnx.NodeProto, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{node.name or output}.{op}", **attributes))
        return output


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _scaler(writer: _Writer, node: onnx.NodeProto) -> None:
    """Scaler: (x - offset) * scale, of each feature or of all. Source: ONNX ai.onnx.ml Scaler."""
    attributes = _attributes(node)
    offset, scale = (np.asarray(attributes.get(k, [v]), np.float32) for k, v in (("offset", 0.0), ("scale", 1.0)))
    real = writer.emit("Cast", node, [node.input[0]], f"{node.output[0]}.chipfit.real", to=TensorProto.FLOAT)
    centered = writer.emit(
        "Sub", node, [real, writer.constant(node, "offset", offset)], f"{node.output[0]}.chipfit.moved"
    )
    writer.emit("Mul", node, [centered, writer.constant(node, "scale", scale)], node.output[0])


def _zip_map(writer: _Writer, node: onnx.NodeProto) -> None:
    """ZipMap becomes the tensor itself: which label an entry belongs to is known outside."""
    writer.maps.add(node.output[0])
    writer.emit("Identity", node, [node.input[0]], node.output[0])


def _extractor(writer: _Writer, node: onnx.NodeProto) -> None:
    """Constant entries along the last axis of an activation, or the label of a class, which is the class.

    Source: ONNX ai.onnx.ml ArrayFeatureExtractor; indices of whatever shape are one list, as ONNX Runtime takes them.
    """
    labels = writer.known.get(node.input[0])
    if labels is None:
        flat = writer.constant(node, "flat", np.array([-1], np.int64))
        indices = writer.emit("Reshape", node, [node.input[1], flat], f"{node.output[0]}.chipfit.at")
        writer.emit("Gather", node, [node.input[0], indices], node.output[0], axis=-1)
        return
    strings = labels.data_type == TensorProto.STRING
    count = int(np.prod(labels.dims))
    values = [] if strings else numpy_helper.to_array(labels).reshape(-1).tolist()
    if values != list(range(count)):
        raise writer.refuse(
            node,
            f"labels {'of strings' if strings else values} instead of 0 to {count - 1}",
            f"Before exporting write: model.classes_ = numpy.arange({count}); the output is then the label's place.",
        )
    writer.emit("Identity", node, [node.input[1]], node.output[0])


def _normalizer(writer: _Writer, node: onnx.NodeProto) -> None:
    raise writer.refuse(
        node, "a norm over the features of every sample", "Normalize outside, and export the network behind it alone."
    )


OPERATORS: Mapping[tuple[str, str], Callable[[_Writer, onnx.NodeProto], None]] = {
    (DOMAIN, "Scaler"): _scaler,
    (DOMAIN, "ZipMap"): _zip_map,
    (DOMAIN, "ArrayFeatureExtractor"): _extractor,
    (DOMAIN, "Normalizer"): _normalizer,
}
