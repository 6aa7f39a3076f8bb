"""What convolution and the dense layer share once they are integers: bias folding, requantization, kernel tables."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.arithmetic.fixedpoint import INT32_MAX, apply_rescale, folded_bias, rounding_constant
from pipeline.graph.facets import NodeQuantizer
from pipeline.graph.ir import ClampedNode, Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, QuantParams
from pipeline.model_files.onnx_node import OnnxNode


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

    def quantize(self, quantizer: NodeQuantizer) -> None:
        inputs, rescale = quantizer.linear(self)
        quantizer.append(replace(self, inputs=inputs, rescale=rescale))

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
    if rescale.kind == "wide":
        assert rescale.multiplier is not None
        wide = {"bias": bias, "multiplier": graph.constant(rescale.multiplier), "shift": shift}
        return {"zero_point": rescale.zero_point, "low": rescale.low, "high": rescale.high}, wide
    assert np.abs(bias).max(initial=0) < 2**31
    return params, {"bias": bias.astype(np.int32)} | tables


def prescribed(node: OnnxNode, index: int, axis: int) -> QuantParams | None:
    """The parameters that the file prescribes for weights, said for rows of output channels (file axis `axis`).

    Scales along another axis cannot be taken out of a row's sum. The weights are then integers of sixteen bits, at most
    of 2**30 / (128 * taps) for the sum's sake, at one scale: as near to the file's values as that is.
    """
    quant = node.graph.tensors[node.inputs[index]].quant
    if quant is None or quant.axis is None:
        return quant
    if quant.axis == axis:
        return replace(quant, axis=0)
    kernel = node.constant(index, "weights")
    most = min(32767, 2**30 // (128 * max(1, kernel.size // kernel.shape[axis])))
    largest = float(np.abs(kernel).max(initial=0))
    return QuantParams((largest / most,), 0, None, "int16") if most > 255 and largest else None


def linear_kernel(family: str, rescale: Rescale) -> str:
    """The C function of a family for this requantizer."""
    return family if family.startswith("conv_s16") else f"{family}_{rescale.kind}"


def wide_family(rescale: Rescale, weights: Array) -> str:
    """The kernels for int16 weights, or for int16 activations with a wide or a 32-bit sum."""
    if weights.dtype == np.int16:
        return "conv_w16"
    return "conv_s16" if rescale.kind == "wide" else "conv_s16_once"


def with_offset(call: KernelCall) -> KernelCall | None:
    """A dense or conv2d call with int16 weights as one with int8 weights and an offset for each output channel.

    Exact: weights = int8 + offset, so that the offset multiplies the sum of the inputs, which all channels share. None
    where a channel's weights are more than 255 apart, or where a partial sum could leave 32 bits.
    """
    wide = call.tables["weights"].astype(np.int64)
    rows = wide.reshape(len(wide), -1)
    least, most = rows.min(axis=1, initial=0), rows.max(axis=1, initial=0)
    offset = np.maximum(most - 127, 0) + np.minimum(least + 128, 0)
    narrow = rows - offset[:, None]
    terms = 128 * (np.abs(narrow).sum(axis=1) + np.abs(offset) * rows.shape[1])
    if (most - least > 255).any() or (np.abs(call.tables["bias"].astype(np.int64)) + terms > INT32_MAX).any():
        return None
    inner = {f"{call.family}.{k}": v for k, v in call.tables.items()}
    inner[f"{call.family}.weights"] = narrow.astype(np.int8).reshape(wide.shape)
    return replace(
        call,
        kernel=call.kernel.replace(call.family, f"{call.family}_offset"),
        family=f"{call.family}_offset",
        params={f"{call.family}.{k}": v for k, v in call.params.items()},
        tables=inner | {"offset": offset.astype(np.int16)},
    )
