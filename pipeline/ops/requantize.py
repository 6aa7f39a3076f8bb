"""QuantizeLinear and DequantizeLinear: the scales that a model file prescribes.

A quantized tensor and its dequantized twin are one tensor here: real values with prescribed parameters
(`Tensor.quant`), which the quantizer takes instead of choosing its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, QuantParams, Shape, Tensor
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.affine import Affine
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample

SUMMARY = "prescribes a scale; between two scales, a 256-byte table"

_STORED = {"int8": ("int8", 0), "uint8": ("int8", 128), "int16": ("int16", 0), "uint16": ("int16", 32768)}
"""The type in which integers of an ONNX type are stored, and what is subtracted from them and their zero point."""
_SMALL = ("int4", "uint4", "int2", "uint2")
"""Types that constants may have: their integers are int8 too."""


@dataclass(frozen=True, kw_only=True)
class Requantize(Node):
    """The same real values with the parameters of the output tensor."""

    follows_layout: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.node("Identity", [self.inputs[0]], self.output)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        source, target = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        if source == target:
            shape = quantizer.graph.tensors[self.output].shape
            quantizer.append(Reshape(name=self.name, inputs=self.inputs, outputs=self.outputs, shape=shape))
            return
        quantizer.requantize(self.inputs[0], source, self.output, target)


def storage_offset(kind: str) -> int:
    """What is subtracted from the file's integers of ONNX type `kind` to store them."""
    return _STORED[kind][1]


def identity_params(kind: str) -> QuantParams:
    """The parameters at which integers of ONNX type `kind` are their own real values: scale 1."""
    stored, lower = _STORED[kind]
    return QuantParams((1.0,), -lower, None, stored)


def reinterpret(node: OnnxNode, index: int, params: QuantParams, target: QuantParams) -> str:
    """The name of a tensor with the integers of input `index` (parameters `params`) at the parameters `target`.

    That is an affine map of the real values, whose integer meaning is the identity.
    """
    graph, x = node.graph, node.inputs[index]
    if params == target:
        return x
    if params.dtype != target.dtype:
        node.refuse(f"{params.dtype} read as {target.dtype}", "Dequantize with the type that it was quantized to.")
    label = graph.fresh(f"{x}.reinterpreted")
    ratio = target.scale[0] / params.scale[0]
    step = (params.zero_point - target.zero_point) * target.scale[0]
    factors = zip(("scale", "offset"), (ratio, step), strict=True)
    names = (graph.constant(f"{label}.{what}", np.array([v], np.float32)) for what, v in factors)
    axis = max(len(graph.tensors[x].shape) - 1, 0)
    return graph.append(Affine(name=label, inputs=(x, *names), outputs=(label,), axis=axis), "float32", target)


def _scale(node: OnnxNode) -> Array:
    if node.attr("block_size", 0):
        node.refuse("blocked quantization", "Quantize per tensor or per channel.")
    scale = node.constant(1, "scale").astype(np.float64)
    if scale.ndim > 1 or not np.isfinite(scale).all() or not (scale > 0).all():
        node.refuse("a scale that is zero, negative, infinite, NaN or blocked")
    return scale.reshape(-1)


def output_params(node: OnnxNode, dtype: str) -> QuantParams:
    """The parameters that inputs 1 and 2 give to an activation of ONNX type `dtype`: one scale for all of it."""
    scale, zero = _scale(node), node.optional(2, "zero point")
    if scale.size != 1 or (zero is not None and zero.size != 1):
        node.refuse("a scale per channel on an activation", "Quantize activations per tensor.")
    if dtype not in _STORED:
        node.refuse(f"type {dtype}", f"{', '.join(_STORED)} are supported.")
    if zero is not None and zero.dtype.name != dtype:
        node.refuse(f"a zero point of type {zero.dtype} for integers of type {dtype}")
    stored, lower = _STORED[dtype]
    return QuantParams((float(scale[0]),), (0 if zero is None else int(zero.reshape(-1)[0])) - lower, None, stored)


def _spread(node: OnnxNode, data: Array, parameter: Array) -> Array:
    """Scales or zero points, one or one for each index of the attribute axis, to be broadcast over `data`."""
    if parameter.size == 1:
        return parameter.reshape((1,) * data.ndim)
    axis = node.axis(int(node.attr("axis", 1)), data.ndim)
    if data.shape[axis] != parameter.size:
        node.refuse(f"{parameter.size} scales along axis {axis} of shape {list(data.shape)}")
    return parameter.reshape([-1 if i == axis else 1 for i in range(data.ndim)])


def import_quantize(node: OnnxNode) -> None:
    """QuantizeLinear. Source: ONNX. Without a zero point the type is uint8, or what output_dtype says."""
    zero = node.optional(2, "zero point")
    dtype = "uint8" if zero is None else zero.dtype.name
    if zero is None and node.attr("output_dtype", 0):
        names = {v: k.lower() for k, v in onnx.TensorProto.DataType.items()}
        dtype = names.get(int(node.attr("output_dtype")), "unknown")
    data = node.graph.data(node.inputs[0])
    if data is not None:
        node.graph.add(Tensor.constant(node.outputs[0], _quantized(node, data, dtype)))
        return
    target = output_params(node, dtype)
    node.graph.append(Requantize(name=node.name, inputs=node.inputs[:1], outputs=node.outputs[:1]), "float32", target)
    node.results[node.outputs[0]] = dtype


def _quantized(node: OnnxNode, data: Array, dtype: str) -> Array:
    """A constant's integers as the file has them: a float32 quotient, half to even, saturated. Source: ONNX."""
    if dtype not in _STORED:
        node.refuse(f"type {dtype}", f"{', '.join(_STORED)} are supported.")
    scale, zero = _scale(node), node.optional(2, "zero point")
    with np.errstate(over="ignore"):  # an infinite quotient saturates
        steps = np.rint(data.astype(np.float32) / _spread(node, data, scale.astype(np.float32))).astype(np.float64)
    if zero is not None:
        steps += _spread(node, data, zero.astype(np.int64))
    return steps.clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def import_dequantize(node: OnnxNode) -> None:
    """DequantizeLinear. Source: ONNX. A constant keeps its integers as float multiples of the scale."""
    graph, x = node.graph, node.inputs[0]
    data, params = graph.data(x), graph.tensors[x].quant
    if data is not None:
        _constant(node, data)
        return
    if params is None or not node.kind(0):
        node.refuse("its input is not quantized")
    graph.alias(node.outputs[0], reinterpret(node, 0, params, output_params(node, node.kind(0))))


def _constant(node: OnnxNode, data: Array) -> None:
    scale, zero = _scale(node), node.optional(2, "zero point")
    if data.dtype.name in _SMALL:
        data = data.astype(np.int8)
    zero = zero.astype(np.int8) if zero is not None and zero.dtype.name in _SMALL else zero
    if data.dtype.kind not in "iu":
        node.refuse(f"a constant of type {data.dtype}")
    integers = data.astype(np.int64)
    if zero is not None:
        if zero.size not in (1, scale.size):
            node.refuse(f"{zero.size} zero points for {scale.size} scales")
        integers = integers - _spread(node, data, zero.astype(np.int64))
    with np.errstate(over="ignore"):
        real = (integers * _spread(node, data, scale)).astype(np.float32)
    if not np.isfinite(real).all():
        node.refuse("a scale at which its integers leave float32")
    axis = node.axis(int(node.attr("axis", 1)), data.ndim) if scale.size > 1 else None
    # The integers less their zero points: what a kernel multiplies.
    small = integers.min(initial=0) >= -128 and integers.max(initial=0) <= 127
    quant = QuantParams(tuple(float(s) for s in scale), 0, axis, "int8" if small else "int16")
    node.graph.add(Tensor.constant(node.outputs[0], real, quant if data.dtype.itemsize <= 2 else None))


def import_cast(node: OnnxNode) -> None:
    """Cast to a float type: nothing, for floats and for the sums of ConvInteger and MatMulInteger.

    The integers of a quantized tensor become real values of scale 1 and zero point 0; a class stays one.
    """
    to = int(node.attr("to", 0))
    if node.kind(0) == "int64" and to in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
        node.graph.alias(node.outputs[0], node.inputs[0])
        node.results[node.outputs[0]] = "int64"
        return
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    if node.kind(0) == "int64":
        node.refuse("of a class to another type", "Leave it out: the class is an int32 output.")
    if to not in floats:
        node.refuse(f"to type {to}", "Casts to float are supported.")
    _as_floats(node)


def _as_floats(node: OnnxNode) -> None:
    x, params = node.inputs[0], node.graph.tensors[node.inputs[0]].quant
    if node.kind(0) and params is not None:
        x = reinterpret(node, 0, params, identity_params(node.kind(0)))
    node.graph.alias(node.outputs[0], x)


def import_cast_like(node: OnnxNode) -> None:
    """CastLike: to the type of another tensor, which is a float here."""
    like = node.graph.data(node.inputs[1])
    if (like is not None and like.dtype.kind != "f") or node.kind(1) or node.kind(0) == "int64":
        node.refuse(f"to {'integers' if like is None else like.dtype}", "Casts to float are supported.")
    _as_floats(node)


ONNX = {
    "QuantizeLinear": import_quantize,
    "DequantizeLinear": import_dequantize,
    "Cast": import_cast,
    "CastLike": import_cast_like,
}
NODES = (Requantize,)


def samples() -> Iterator[Sample]:
    """No samples: quantized models are compared with ONNX Runtime."""
    return iter(())
