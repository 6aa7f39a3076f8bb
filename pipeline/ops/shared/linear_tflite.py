"""A TensorFlow Lite convolution or dense layer: its weights, bias and requantizer as the reference kernels use them."""

from typing import Any

import numpy as np

from pipeline.arithmetic.double_rounding import nearest_multiplier
from pipeline.arithmetic.fixedpoint import (
    INT32_MAX,
    INT48_MAX,
    accumulator_bound,
    folded_bias,
    quantize_multiplier,
    wide_multiplier,
)
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, QuantParams
from pipeline.model_files.tflite_node import LIMITS, TfliteNode


def tflite_linear(
    node: TfliteNode, kernel: Array, axis: int, bias: int, fused: int, *, once: bool = False
) -> dict[str, Any]:
    """`inputs`, clamp and `rescale` of a linear node; `kernel` is (out, taps...), made of input 1.

    `axis` is the channels' dimension in the file, `bias` and `fused` the input index and the activation code.
    Source: TFLite PopulateConvolutionQuantizationParams and, for uint8, GetQuantizedConvolutionMultipler.
    """
    low, high = node.real_range(fused)
    offset = node.optional(bias, "bias")
    if offset is not None and offset.shape != (len(kernel),):
        node.refuse(f"a bias of shape {offset.shape} for {len(kernel)} outputs")
    if not node.quantized:
        return {"inputs": _float(node, kernel, offset), "low": low, "high": high}
    if kernel.dtype != np.int8:
        node.refuse(f"weights of type {kernel.dtype}", "int8 and uint8 weights are supported.")
    if node.dtype == "int16" and offset is not None and offset.dtype != np.int64:
        node.refuse(f"a bias of type {offset.dtype} on int16 activations", "Convert the model with an int64 bias.")
    if offset is not None and offset.dtype.kind != "i":
        node.refuse(f"a bias of type {offset.dtype} on quantized activations", "Quantize the whole model to int8.")
    quant = node.quant(1)
    if quant.axis not in (None, axis):
        node.refuse(f"scales along dimension {quant.axis} of its weights, expected {axis}")
    integers = np.zeros(len(kernel), np.int64) if offset is None else offset.astype(np.int64)
    lower = _wide if node.dtype == "int16" and not once else _narrow
    names, kind = lower(node, kernel, integers, _ratios(node, quant, len(kernel), once), once)
    rescale = Rescale(names[2], names[3], node.output_zero_point(), *node.clamp(low, high), kind)
    return {"inputs": (node.inputs[0], *names), "low": low, "high": high, "rescale": rescale}


def _float(node: TfliteNode, kernel: Array, bias: Array | None) -> tuple[str, ...]:
    if kernel.dtype != np.float32:
        node.refuse(f"weights of type {kernel.dtype} on float activations", "Quantize the whole model to int8.")
    bias = np.zeros(len(kernel), np.float32) if bias is None else bias.astype(np.float32)
    graph = node.graph
    return (
        node.inputs[0],
        graph.constant(f"{node.inputs[1]}.rows", kernel),
        graph.constant(f"{node.name}.bias", bias),
    )


def _ratios(node: TfliteNode, quant: QuantParams, out: int, once: bool) -> list[float]:
    """Real scale of the sum over that of the output, per output channel: double throughout, but for uint8.

    uint8 convolutions take the one multiplier of GetQuantizedConvolutionMultipler, whose product is float32; those of
    signed types and FULLY_CONNECTED of any type do not (measured on LiteRT 1.4 to 2.3).
    """
    x, y = node.scale(0), node.output_scale()
    if node.unsigned and quant.axis is not None:
        node.refuse("a scale per channel on uint8 weights", "Convert the model to int8.")
    if node.unsigned and not once:
        return [float(np.float32(x) * np.float32(quant.scale[0])) / y] * out
    return [x * s / y for s in (quant.scale if quant.axis is not None else quant.scale * out)]


def _narrow(
    node: TfliteNode, kernel: Array, bias: Array, ratios: list[float], once: bool
) -> tuple[tuple[str, str, str, str], str]:
    """A 32-bit sum; weights with a zero point become int16."""
    graph, quant = node.graph, node.quant(1)
    if quant.zero_point and node.dtype == "int16":
        node.refuse("uint8 weights on int16 activations")
    weights = kernel.astype(np.int16) - np.int16(quant.zero_point) if quant.zero_point else kernel
    flat = weights.reshape(len(weights), -1)
    bound = accumulator_bound(flat, folded_bias(flat, bias, node.zero_point(0)), -LIMITS[node.dtype][0])
    pairs = [quantize_multiplier(r) for r in ratios]
    if once:
        low, high = (v - node.output_zero_point() for v in LIMITS[node.dtype])
        pairs = [nearest_multiplier(r, int(b), low, high) for r, b in zip(ratios, bound, strict=True)]
    multiplier, shift = (np.array(v) for v in zip(*pairs, strict=True))
    if (bound.astype(object) * 2 ** np.maximum(shift, 0).astype(object)).max(initial=0) > INT32_MAX:
        node.refuse("its accumulator can leave 32 bits", "Quantize it with smaller weights or fewer inputs.")
    names = (
        graph.constant(f"{node.inputs[1]}.rows", weights, _scales(quant, weights)),
        graph.constant(f"{node.name}.bias", bias.astype(np.int32)),
        graph.constant(f"{node.name}.shift", shift.astype(np.int8)),
        graph.constant(f"{node.name}.multiplier", multiplier.astype(np.int32)),
    )
    return names, "once" if once else "multiplier"


def _wide(
    node: TfliteNode, kernel: Array, bias: Array, ratios: list[float], once: bool
) -> tuple[tuple[str, str, str, str], str]:
    """int16 activations: a 48-bit sum."""
    graph, quant = node.graph, node.quant(1)
    if quant.zero_point:
        node.refuse("uint8 weights on int16 activations")
    pairs = [p for p in (wide_multiplier(r) for r in ratios) if p]
    flat = kernel.reshape(len(kernel), -1)
    bound = accumulator_bound(flat, folded_bias(flat, bias, node.zero_point(0)), 32768)
    if len(pairs) < len(ratios) or bound.max(initial=0) > INT48_MAX:
        node.refuse("its accumulator or its scale is out of range")
    multiplier, shift = (np.array(v) for v in zip(*pairs, strict=True))
    names = (
        graph.constant(f"{node.inputs[1]}.rows", kernel, _scales(quant, kernel)),
        graph.constant(f"{node.name}.bias", bias),
        graph.constant(f"{node.name}.shift", shift.astype(np.uint8)),
        graph.constant(f"{node.name}.multiplier", multiplier.astype(np.uint16)),
    )
    return names, "wide"


def _scales(quant: QuantParams, weights: Array) -> QuantParams:
    return QuantParams(quant.scale, 0, None if quant.axis is None else 0, weights.dtype.name)
