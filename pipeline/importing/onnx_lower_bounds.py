"""The lower bound of an ONNX file from dimensions alone: no weight is read, so gigabytes of them cost nothing."""

from collections.abc import Mapping
from math import prod
from typing import Any

import onnx
from google.protobuf.message import Error as ProtobufError
from onnx import TensorProto, ValueInfoProto, helper

from pipeline.graph.tensor import Shape
from pipeline.importing.lower_bounds import LowerBound, taps_inside

_SMALL = 256
"""Constants of up to so many elements are kept: shapes, axes and bounds, which shape inference reads."""
_LONGEST = 1 << 16
"""No axis of a real picture or kernel is longer; counting taps along it takes time."""


def onnx_lower_bound(model: onnx.ModelProto) -> LowerBound | None:
    """The lower bound of a model: at most that of the imported graph if no weight is zero, at one byte each.

    Only weights that a layer reads directly count. None when a shape is not known: the import then says why, or finds
    out. `model` need not be checked, nor its external data be loaded; it is left as it was.
    """
    try:
        without_weights = _without_weights(model)
        onnx.checker.check_model(without_weights)
        for output in without_weights.graph.output:
            output.type.tensor_type.ClearField("shape")  # to be found, not to be believed
        inferred = onnx.shape_inference.infer_shapes(without_weights).graph
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ProtobufError,
        ValueError,
        TypeError,
        RuntimeError,
    ):
        return None
    constants = {t.name: tuple(t.dims) for t in model.graph.initializer}
    shapes = {v.name: s for v in (*inferred.input, *inferred.value_info, *inferred.output) if (s := _shape(v))}
    weights: dict[str, int] = {}
    macs = executed = 0
    for node in _live_nodes(model.graph):
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in constants:
            continue
        kernel, x, y = constants[node.input[1]], shapes.get(node.input[0]), shapes.get(node.output[0])
        if x is None or y is None or len(kernel) < 2 or min(kernel) < 1:
            return None
        weights |= {n: prod(constants[n]) for n in node.input[1:3] if n in constants}
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            if not len(kernel) == len(x) == len(y) or max(*kernel[2:], *y[2:], 0) > _LONGEST:
                return None
            macs += prod(y) * prod(kernel[1:])
            executed += y[0] * y[1] * kernel[1] * _taps_inside(attributes, x[2:], y[2:], kernel[2:])
        else:
            products = prod(y) * (kernel[1] if attributes.get("transB") else kernel[0])
            macs, executed = macs + products, executed + products
    return LowerBound(sum(weights.values()), macs, executed)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with large and external constants as inputs, for its shapes; a batch of any size is 1.

    What the file itself says of inner shapes is left out: it might be wrong.
    """
    graph = model.graph
    copy = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    inner = copy.graph
    inner.name = graph.name
    inner.node.extend(graph.node)
    inner.input.extend(graph.input)
    inner.output.extend(graph.output)
    inputs = {v.name for v in graph.input}
    for value in inner.input:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value < 1:
            dims[0].dim_value = 1
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _SMALL and tensor.data_location != TensorProto.EXTERNAL:
            inner.initializer.append(tensor)
        elif tensor.name not in inputs:
            inner.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return copy


def _live_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that an output depends on and that depend on an input; the others are dropped or folded at import."""
    read = {o.name for o in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read & set(node.output):
            nodes.append(node)
            read |= set(node.input)
    constant = {t.name for t in graph.initializer} | {""}
    for node in graph.node:
        if constant.issuperset(node.input):
            constant |= set(node.output)
    return [n for n in nodes if not constant.issuperset(n.output)]


def _shape(value: ValueInfoProto) -> Shape | None:
    """The value's shape, None unless every dimension is known."""
    kind = value.type.tensor_type
    shape = tuple(d.dim_value for d in kind.shape.dim)
    return shape if kind.HasField("shape") and min(shape, default=0) > 0 else None


def _taps_inside(attributes: Mapping[str, Any], x: Shape, y: Shape, kernel: Shape) -> int:
    """The taps that meet the input, counted over all positions of one channel of any rank. Source: ONNX Conv."""
    units, auto_pad = (1,) * len(kernel), attributes.get("auto_pad", b"NOTSET")
    strides, dilations = attributes.get("strides", units), attributes.get("dilations", units)
    pads = list(attributes.get("pads", (0,) * len(kernel)))
    for i in range(len(kernel) if auto_pad in (b"SAME_UPPER", b"SAME_LOWER") else 0):
        total = max(0, (y[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - x[i])
        pads[i] = total // 2 if auto_pad == b"SAME_UPPER" else total - total // 2
    inside = (taps_inside(x[i], y[i], kernel[i], strides[i], pads[i], dilations[i]) for i in range(len(kernel)))
    return prod(int(taps.sum()) for taps in inside)
