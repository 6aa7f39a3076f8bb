"""What convolution and the dense layer share once they are integers: bias folding, requantization, kernel tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.fixedpoint import (
    INT32_MAX,
    Rescale,
    accumulator_bound,
    apply_rescale,
    folded_bias,
    quantize_multiplier,
    rounding_constant,
)
from pipeline.importers.tflite_node import TfliteNode
from pipeline.ir import Array, ClampedNode, Graph, QuantParams


@dataclass(frozen=True, kw_only=True)
class Linear(ClampedNode):
    """A node of (x, weights, bias); in an integer graph `rescale` says how its int32 accumulator becomes int8."""

    rescale: Rescale | None = None

    @property
    def weights(self) -> str:
        return self.inputs[1]

    @property
    def bias(self) -> str:
        return self.inputs[2]

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def quantize(self, quantizer: Any) -> None:
        quantizer.linear(self)

    def rescaled(self, accumulator: Array, graph: Graph) -> Array:
        """The accumulator (..., out), bias included, as the integers of the output."""
        assert self.rescale is not None
        multiplier = graph.constant(self.rescale.multiplier) if self.rescale.multiplier else None
        return apply_rescale(accumulator, self.rescale, graph.constant(self.rescale.shift), multiplier)


def linear_params(
    node: Linear, graph: Graph, weights: Array
) -> tuple[dict[str, int | tuple[int, ...]], dict[str, Array]]:
    """The integer fields and the tables that every linear kernel takes; `weights` is (out, taps).

    The input's zero point is folded into the bias, and for `shift` so are the rounding constant and the
    output's zero point: the kernel's epilogue is then one shift and one clamp.
    """
    rescale = node.rescale
    assert rescale is not None
    quant = graph.tensors[node.inputs[0]].quant
    assert quant is not None
    shift = graph.constant(rescale.shift)
    bias = folded_bias(weights, graph.constant(node.bias), quant.zero_point)
    params: dict[str, int | tuple[int, ...]] = {
        "requantize.low": rescale.low,
        "requantize.high": rescale.high,
    }
    tables: dict[str, Array] = {}
    if rescale.multiplier is None:
        bias = bias + rounding_constant(shift, rescale.zero_point)
        tables["requantize.shift"] = shift.astype(np.uint8)
    else:
        params["requantize.zero_point"] = rescale.zero_point
        tables["requantize.multiplier"] = graph.constant(rescale.multiplier).astype(np.int32)
        tables["requantize.exponent"] = shift.astype(np.int8)
    assert np.abs(bias).max(initial=0) < 2**31
    return params, {"bias": bias.astype(np.int32)} | tables


def tflite_linear(
    node: TfliteNode, kernel: Array, axis: int, bias: int, fused: int, *, once: bool = False
) -> dict[str, Any]:
    """`inputs` after the first, clamp and `rescale` of a linear node; `kernel` is (out, taps...), made of input 1.

    `axis` is the channels' dimension in the file, `bias` and `fused` the input index and the activation code.
    Source: TFLite PopulateConvolutionQuantizationParams and, with `once`, GetQuantizedConvolutionMultipler.
    """
    graph, out = node.graph, len(kernel)
    low, high = node.real_range(fused)
    offset = node.optional(bias, "bias")
    if offset is not None and offset.shape != (out,):
        node.refuse(f"a bias of shape {offset.shape} for {out} outputs")
    if not node.quantized:
        if kernel.dtype != np.float32:
            node.refuse(f"weights of type {kernel.dtype} on float activations", "Quantize the whole model to int8.")
        offset = np.zeros(out, np.float32) if offset is None else offset.astype(np.float32)
        names = (graph.constant(f"{node.inputs[1]}.rows", kernel), graph.constant(f"{node.name}.bias", offset))
        return {"inputs": (node.inputs[0], *names), "low": low, "high": high}
    if kernel.dtype != np.int8:
        node.refuse(f"weights of type {kernel.dtype}", "int8 and uint8 weights are supported.")
    weights, quant = kernel.astype(np.int16), node.quant(1)
    if quant.zero_point:
        weights = weights - np.int16(quant.zero_point)
    if quant.axis not in (None, axis):
        node.refuse(f"scales along dimension {quant.axis} of its weights, expected {axis}")
    wide = np.zeros(out, np.int64) if offset is None else offset.astype(np.int64)
    x, y = node.scale(0), node.output_scale()
    if once and quant.axis is None:
        reals = [float(np.float32(x) * np.float32(quant.scale[0])) / y] * out
    else:
        reals = [x * s / y for s in (quant.scale if quant.axis is not None else quant.scale * out)]
    pairs = [quantize_multiplier(r) for r in reals]
    multiplier, shift = (np.array(v) for v in zip(*pairs, strict=True))
    bound = accumulator_bound(weights.reshape(out, -1), folded_bias(weights.reshape(out, -1), wide, node.zero(0)))
    if (bound.astype(object) * 2 ** np.maximum(shift, 0).astype(object)).max(initial=0) > INT32_MAX:
        node.refuse("its accumulator can leave 32 bits", "Quantize it with smaller weights or fewer inputs.")
    fits = quant.zero_point == 0
    bottom, top = node.clamp(low, high)
    made = (
        graph.constant(f"{node.inputs[1]}.rows", weights.astype(np.int8) if fits else weights, _along_outputs(quant)),
        graph.constant(f"{node.name}.bias", wide.astype(np.int32)),
        graph.constant(f"{node.name}.shift", shift.astype(np.int8)),
        graph.constant(f"{node.name}.multiplier", multiplier.astype(np.int32)),
    )
    rescale = Rescale(made[2], made[3], node.output_zero(), bottom, top, once)
    return {"inputs": (node.inputs[0], *made), "low": low, "high": high, "rescale": rescale}


def _along_outputs(quant: QuantParams) -> QuantParams:
    return QuantParams(quant.scale, 0, None if quant.axis is None else 0)
