"""Activations as TensorFlow Lite's reference kernels compute them on integers: each is a table of all its values.

In a float model the same operators are the activations and clamps that ONNX has too.
"""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

import numpy as np
import tflite

from pipeline.arithmetic import gemmlowp
from pipeline.arithmetic.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from pipeline.graph.ir import Node
from pipeline.graph.tensor import Array
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.activation import Activation
from pipeline.ops.clamp import Clamp
from pipeline.ops.lookup import append_table
from pipeline.ops.shared.samples import Sample

SUMMARY = "TensorFlow Lite's integer activations: a 256-byte table each"

_RANGES = {"RELU": (0.0, inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}


def _rescaled(values: Array, real: float) -> Array:
    multiplier, exponent = quantize_multiplier(real)
    return multiply_by_quantized_multiplier(values, multiplier, exponent)


def _clamped_relu(node: TfliteNode, x: Array) -> Array:
    """Relu, Relu6 and their like. Source: TFLite QuantizedReluX."""
    low, high = node.clamp(*_RANGES[node.op])
    ratio = float(np.float32(node.scale(0)) / np.float32(node.output_scale()))
    return (_rescaled(x, ratio) + node.output_zero_point()).clip(low, high)


def _leaky_relu(node: TfliteNode, x: Array) -> Array:
    """LeakyRelu. Source: TFLite reference_ops::QuantizeLeakyRelu."""
    alpha = np.float32(node.options(tflite.LeakyReluOptions).Alpha())
    scale, y = np.float32(node.scale(0)), np.float32(node.output_scale())
    above = _rescaled(x, float(scale / y))
    slope = float(scale * alpha / y)
    below = _rescaled(x, abs(slope)) if slope > 0 else np.zeros_like(x)
    if slope < 0:
        node.refuse(f"a slope of {alpha}")
    return np.where(x >= 0, above, below) + node.output_zero_point()


def _float_table(node: TfliteNode, x: Array, function: Callable[[Array], Array]) -> Array:
    """The table of a function in float32 at every step.

    `function` is of float64, whose rounding is what the C library's float one gives.
    Source: TFLite LUTPopulate.
    """
    real = np.float32(node.scale(0)) * x.astype(np.float32)
    y = function(real.astype(np.float64)).astype(np.float32)
    scaled = (y * (np.float32(1) / np.float32(node.output_scale()))).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    integers: Array = rounded.astype(np.int64) + node.output_zero_point()
    return integers


def _sigmoid(real: Array) -> Array:
    """1 / (1 + exp(-x)), exponential, sum and quotient in float32."""
    e = np.exp(np.minimum(-real, 100.0)).astype(np.float32)
    sigmoid: Array = np.float32(1) / (np.float32(1) + e)
    return sigmoid


def _logistic(node: TfliteNode, x: Array) -> Array:
    """Sigmoid. Source: TFLite SigmoidPrepare of the reference kernel."""
    if (node.output_scale(), node.output_zero_point()) != (1 / 256, -128):
        node.refuse("its output must have scale 1/256 and zero point -128 (0 as uint8)")
    return _float_table(node, x, _sigmoid)


def _tanh(node: TfliteNode, x: Array) -> Array:
    """Tanh. Source: TFLite TanhPrepare of the reference kernel."""
    if (node.output_scale(), node.output_zero_point()) != (1 / 128, 0):
        node.refuse("its output must have scale 1/128 and zero point 0 (128 as uint8)")
    return _float_table(node, x, np.tanh)


def _hard_swish(node: TfliteNode, x: Array) -> Array:
    """HardSwish in int16 on the input times 128. Source: TFLite HardSwishPrepare, reference_ops::HardSwish."""
    fine = np.float32(1 / 128) * np.float32(node.scale(0))
    out, out_exponent = quantize_multiplier(float(fine / np.float32(node.output_scale())))
    relu, relu_exponent = quantize_multiplier(float(fine / np.float32(3 / 32768)))
    if out_exponent > 0:
        node.refuse("an output scale far below its input's")
    value = x << 7
    value16 = _high16(value, _to_int16(out))
    reluish = value
    if relu_exponent > 0:
        reluish = np.clip(reluish << (relu_exponent - 1), -32768, 32767)
    reluish = _high16(reluish, _to_int16(relu))
    if relu_exponent > 0:
        reluish = np.clip(reluish << 1, -32768, 32767)
    elif relu_exponent < 0:
        reluish = gemmlowp.divide_by_pot(reluish, -relu_exponent)
    reluish = (reluish + (1 << 15)) >> 1
    product = reluish * value16
    product = np.where(product >= 0, product >> 15, -((-product) >> 15))
    return gemmlowp.divide_by_pot(np.minimum(product, 32767), -out_exponent) + node.output_zero_point()


def _to_int16(multiplier: int) -> int:
    return 32767 if multiplier >= 2**31 - 1 - (1 << 15) else (multiplier + (1 << 15)) >> 16


def _high16(a: Array, b: int) -> Array:
    """SaturatingRoundingDoublingHighMul on int16."""
    return np.minimum((a * b + (1 << 14)) >> 15, 32767)


def _elu(node: TfliteNode, x: Array) -> Array:
    return _float_table(node, x, lambda real: np.where(real < 0, np.expm1(np.minimum(real, 0)), real))


def _requantize(node: TfliteNode, x: Array) -> Array:
    """QUANTIZE from int8 to int8. Source: TFLite reference_ops::Requantize."""
    return _rescaled(x, node.scale(0) / node.output_scale()) + node.output_zero_point()


_INTEGER: Mapping[str, Callable[[TfliteNode, Array], Array]] = {
    **dict.fromkeys(_RANGES, _clamped_relu),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "HARD_SWISH": _hard_swish,
    "ELU": _elu,
    "QUANTIZE": _requantize,
}
_FLOAT = {"LOGISTIC": "Sigmoid", "TANH": "Tanh", "HARD_SWISH": "HardSwish"}


def import_unary(node: TfliteNode) -> None:
    """An activation as the table of its values on every int8 input, clamped to int8."""
    if not node.quantized:
        node.emit(_float_node(node))
        return
    if node.graph.tensors[node.inputs[0]].dtype != "int8" or node.dtype != "int8":
        node.refuse(f"{node.graph.tensors[node.inputs[0]].dtype} to {node.dtype}", "int8 and uint8 are supported.")
    values = np.arange(-128, 128, dtype=np.int64) - node.zero_point(0)
    append_table(node, node.inputs[0], _INTEGER[node.op](node, values).clip(-128, 127))


def _float_node(node: TfliteNode) -> Node:
    fields: dict[str, Any] = {"name": node.name, "inputs": node.inputs[:1], "outputs": node.outputs}
    if node.op in _RANGES:
        low, high = _RANGES[node.op]
        return Clamp(low=low, high=high, **fields)
    if node.op in _FLOAT:
        return Activation(function=_FLOAT[node.op], **fields)
    if node.op == "LEAKY_RELU":
        alpha = float(node.options(tflite.LeakyReluOptions).Alpha())
        return Activation(function="LeakyRelu", parameters={"alpha": alpha}, **fields)
    if node.op == "ELU":
        return Activation(function="Elu", parameters={"alpha": 1.0}, **fields)
    return node.refuse("on a float tensor inside the network", "Quantize the whole model to int8.")


def import_dequantize(node: TfliteNode) -> None:
    """DEQUANTIZE of a constant; one at the edge of the network is removed before."""
    if not node.is_constant(0):
        node.refuse("inside the network", "Quantize the whole model to int8.")
    data, quant = node.constant(0, "value"), node.graph.tensors[node.inputs[0]].quant
    node.fold((data if quant is None else quant.dequantize(data)).astype(np.float32))


ONNX: dict[str, Callable[[OnnxNode], None]] = {}
TFLITE = {**dict.fromkeys(_INTEGER, import_unary), "DEQUANTIZE": import_dequantize}
NODES: tuple[type[Node], ...] = ()


def samples() -> Iterator[Sample]:
    """No samples: every table is compared with LiteRT on all 256 inputs."""
    return iter(())
