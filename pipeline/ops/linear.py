"""What convolution and the dense layer share once they are integers: bias folding, requantization, kernel tables."""

from typing import Protocol

import numpy as np

from pipeline.fixedpoint import Rescale, folded_bias, rounding_constant
from pipeline.ir import Array, Graph


class Linear(Protocol):
    """A node with int8 weights of shape (out, taps...) and an int32 bias."""

    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def bias(self) -> str: ...
    @property
    def rescale(self) -> Rescale | None: ...


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
