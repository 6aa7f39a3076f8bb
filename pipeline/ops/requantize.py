"""QuantizeLinear and DequantizeLinear: the scales that a model file prescribes.

A quantized tensor and its dequantized twin are one tensor here: real values with prescribed parameters
(`Tensor.quant`), which the quantizer takes instead of choosing its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx

from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph, Node, QuantParams, Shape, Tensor
from pipeline.ops.samples import Sample

SUMMARY = "prescribes a scale; between two scales, a 256-byte table"

_STORED = {"int8": ("int8", 0), "uint8": ("int8", 128), "int16": ("int16", 0), "uint16": ("int16", 32768)}
"""How an ONNX type is kept here, and how much lower its integers and zero point are."""


@dataclass(frozen=True, kw_only=True)
class Requantize(Node):
    """The same real values with the parameters of the output tensor."""

    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        emit.node("Identity", [self.inputs[0]], self.output)

    def quantize(self, quantizer: Any) -> None:
        source, target = quantizer.params(self.inputs[0]), quantizer.params(self.output)
        quantizer.requantize(self.inputs[0], source, self.output, target)


def _scale(node: OnnxNode) -> Array:
    if node.attr("block_size", 0):
        node.refuse("blocked quantization", "Quantize per tensor or per channel.")
    scale = node.constant(1, "scale").astype(np.float64)
    if scale.ndim > 1 or not np.isfinite(scale).all() or not (scale > 0).all():
        node.refuse("a scale that is zero, negative, infinite, NaN or blocked")
    return scale.reshape(-1)


def _params(node: OnnxNode, dtype: str) -> QuantParams:
    """One scale for a whole activation."""
    scale, zero = _scale(node), node.optional(2, "zero point")
    if scale.size != 1 or (zero is not None and zero.size != 1):
        node.refuse("a scale per channel on an activation", "Quantize activations per tensor.")
    if dtype not in _STORED:
        node.refuse(f"type {dtype}", f"{', '.join(_STORED)} are supported.")
    stored, lower = _STORED[dtype]
    return QuantParams((float(scale[0]),), (0 if zero is None else int(zero.reshape(-1)[0])) - lower, None, stored)


def import_quantize(node: OnnxNode) -> None:
    """Source: ONNX QuantizeLinear. Without a zero point the type is uint8, or what output_dtype says."""
    zero = node.optional(2, "zero point")
    dtype = "uint8" if zero is None else zero.dtype.name
    if zero is None and node.attr("output_dtype", 0):
        names = {v: k.lower() for k, v in onnx.TensorProto.DataType.items()}
        dtype = names.get(int(node.attr("output_dtype")), "unknown")
    target, x, y = _params(node, dtype), node.inputs[0], node.outputs[0]
    data = node.graph.data(x)
    if data is not None:
        real = target.dequantize(target.quantize(data)).astype(np.float32)
        node.graph.add(Tensor.constant(y, real, target))
    else:
        node.graph.append(Requantize(name=node.name, inputs=(x,), outputs=(y,)), "float32", target)
    node.graph.integers[y] = dtype


def import_dequantize(node: OnnxNode) -> None:
    """Source: ONNX DequantizeLinear. A constant keeps its integers as float multiples of the scale."""
    graph, x, y = node.graph, node.inputs[0], node.outputs[0]
    data = graph.data(x)
    if data is not None and x not in graph.integers:
        _constant(node, data)
        return
    if x not in graph.integers:
        node.refuse("its input is not quantized")
    target, tensor = _params(node, graph.integers[x]), graph.tensors[x]
    if tensor.quant is None and x in graph.raw_inputs:
        graph.raw_inputs.discard(x)
        graph.add(Tensor(x, tensor.shape, tensor.dtype, None, target))
        graph.alias(y, x)
    elif tensor.quant == target:
        graph.alias(y, x)
    else:
        graph.append(Requantize(name=node.name, inputs=(x,), outputs=(y,)), "float32", target)


def _constant(node: OnnxNode, data: Array) -> None:
    scale, zero = _scale(node), node.optional(2, "zero point")
    if data.dtype.kind not in "iu":
        node.refuse(f"a constant of type {data.dtype}")
    axis = None
    spread: tuple[int, ...] = (1,) * data.ndim
    if scale.size > 1:
        axis = node.axis(int(node.attr("axis", 1)), data.ndim)
        if data.shape[axis] != scale.size:
            node.refuse(f"{scale.size} scales along axis {axis} of shape {list(data.shape)}")
        spread = tuple(-1 if i == axis else 1 for i in range(data.ndim))
    wide = data.astype(np.int64)
    if zero is not None:
        if zero.size not in (1, scale.size):
            node.refuse(f"{zero.size} zero points for {scale.size} scales")
        wide = wide - (zero.astype(np.int64).reshape(spread if zero.size > 1 else (1,) * data.ndim))
    real = (wide * scale.reshape(spread)).astype(np.float32)
    # The integers less their zero points: what a kernel multiplies.
    small = wide.min(initial=0) >= -128 and wide.max(initial=0) <= 127
    quant = QuantParams(tuple(float(s) for s in scale), 0, axis, "int8" if small else "int16")
    node.graph.add(Tensor.constant(node.outputs[0], real, quant if data.dtype.itemsize <= 2 else None))


def import_cast(node: OnnxNode) -> None:
    """To a float type: nothing, for floats and for the sums of ConvInteger and MatMulInteger."""
    to = int(node.attr("to", 0))
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    if to not in floats or node.inputs[0] in node.graph.integers:
        node.refuse(f"to type {to}", "Casts to float are supported.")
    node.graph.alias(node.outputs[0], node.inputs[0])


def import_cast_like(node: OnnxNode) -> None:
    """To the type of another tensor, which is a float here."""
    like = node.graph.data(node.inputs[1])
    if (like is not None and like.dtype.kind != "f") or node.inputs[0] in node.graph.integers:
        node.refuse(f"to {'integers' if like is None else like.dtype}", "Casts to float are supported.")
    node.graph.alias(node.outputs[0], node.inputs[0])


ONNX = {
    "QuantizeLinear": import_quantize,
    "DequantizeLinear": import_dequantize,
    "Cast": import_cast,
    "CastLike": import_cast_like,
}
NODES = (Requantize,)


def samples() -> Iterator[Sample]:
    """Quantized models are compared with ONNX Runtime instead."""
    return iter(())
