"""Lower bounds on flash and cycles for every setting and kernel: a network above a budget is refused at once.

The counts hold whatever quantization and planning do, so that a refusal is a verdict and not an estimate
(`pipeline.planning.estimate` estimates). A weight that is zero once it is an integer counts
nothing: kernels may leave it out.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from pipeline.facts.cores import CORES
from pipeline.facts.weight_bits import Widths, bits_needed, largest_weight
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array
from pipeline.ops.conv import Conv
from pipeline.ops.conv_transpose import Spread
from pipeline.ops.shared.linear import Linear

TERNARY_SHARE = 0.5
"""Part of a core's least cycles that weights of -1, 0 and 1 need: outputs that add the same inputs may share a sum."""

MAX_SPARSITY = 16
"""At least one in so many weights that are not zero stays so: assumed where rounding cannot tell.

Two bits keep 46 % of a normal distribution and a third of a Laplacian one.
"""


@dataclass(frozen=True)
class LowerBound:
    """`weights`: bytes of weights and biases, zeros left out, at least one byte a bias; a shared one counted once.

    `macs`: multiply-accumulates as networks are usually counted; `executed`: those of them that have to be done,
    without products with padding and zeros; `ternary`: how many of those are by -1 or 1.
    """

    weights: int
    macs: int
    executed: int
    ternary: int = 0

    def cycles(self, core: str) -> int:
        """Fewest cycles of one inference on `core`."""
        return ceil((self.executed - (1 - TERNARY_SHARE) * self.ternary) * CORES[core].least_cycles_per_mac)

    def sparsest(self, bits: int) -> "LowerBound":
        """The lower bound for weights of `bits`, no more than one in MAX_SPARSITY of which is not zero.

        This one has to be of dimensions alone, at one byte a weight.
        """
        executed = self.executed // MAX_SPARSITY
        return replace(
            self, weights=self.weights * bits // (8 * MAX_SPARSITY), executed=executed, ternary=executed * (bits <= 2)
        )


def lower_bound_of(graph: Graph, widths: Widths = Widths()) -> LowerBound:  # noqa: B008
    """The lower bound of a canonical graph, float or integer: that of its convolutions and dense layers."""
    layers = [n for n in graph.nodes if isinstance(n, Linear)]
    spread = {n.output for n in graph.nodes if isinstance(n, Spread)}
    counted: list[tuple[Array, int]] = []
    executed = ternary = 0
    for layer in layers:
        bits, nonzero, share = _nonzero_weights(layer, graph, widths)
        _count_once(counted, graph.constant(layer.weights), int(nonzero.sum()) // share * bits)
        _count_once(counted, graph.constant(layer.bias), graph.tensors[layer.bias].size * 8)
        # Most of what a transposed convolution multiplies is the zeros between the input's entries.
        if layer.inputs[0] not in spread:
            products = _products(layer, graph, nonzero) // share
            executed, ternary = executed + products, ternary + products * (bits <= 2)
    return LowerBound(
        -(-sum(b for _, b in counted) // 8), sum(layer.macs(graph) for layer in layers), executed, ternary
    )


def float_weights(graph: Graph) -> bool:
    """Whether every layer's weights are still to be quantized."""
    tensors = [graph.tensors[n.weights] for n in graph.nodes if isinstance(n, Linear)]
    return all(t.dtype == "float32" and t.quant is None for t in tensors)


def _nonzero_weights(layer: Linear, graph: Graph, widths: Widths) -> tuple[int, Array, int]:
    """(bits, mask of weights that may be nonzero, n): at least one in n of those is nonzero once quantized."""
    weights, quant = graph.constant(layer.weights), graph.tensors[layer.weights].quant
    if weights.dtype.kind != "f":
        return bits_needed(weights), weights != 0, 1
    if quant is not None:
        return bits_needed(np.rint(weights / quant.spread(weights.ndim))), weights != 0, 1
    bits = widths.bits(layer.name)
    magnitude = np.abs(weights)
    # At least half of a scale's steps are used by the layer's largest weight, unless its bias dwarfs it. Eight bits are
    # rounded to the nearest step, fewer to one of the two neighbours: above half a step, or a whole one, none is lost.
    step = 2.0 * float(magnitude.max(initial=0)) / largest_weight(bits)
    surely_nonzero = magnitude > (step / 2 if bits == 8 else step)
    nonzero = magnitude > 0
    return (
        (bits, surely_nonzero, 1)
        if bits == 8 or surely_nonzero.sum() * MAX_SPARSITY > nonzero.sum()
        else (bits, nonzero, MAX_SPARSITY)
    )


def _count_once(counted: list[tuple[Array, int]], array: Array, bits: int) -> None:
    """Add an array and the bits that it takes, unless it is there: layers that share their weights need them once."""
    for index, (other, least) in enumerate(counted):
        if other.size == array.size and np.array_equal(other.reshape(-1), array.reshape(-1)):
            counted[index] = (other, min(least, bits))
            return
    counted.append((array, bits))


def taps_inside(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> Array:
    """How often each tap meets the input along one axis of `size` elements, over `out` positions, `before` padding."""
    start = np.arange(out, dtype=np.int64) * stride - before
    taps = (start + k * dilation for k in range(kernel))
    return np.array([int(((at >= 0) & (at < size)).sum()) for at in taps], np.int64)


def _products(layer: Linear, graph: Graph, nonzero: Array) -> int:
    """The layer's products of weights that are `nonzero` with inputs that are no padding."""
    if not isinstance(layer, Conv):
        rows = layer.macs(graph) // nonzero.size if nonzero.size else 0
        return rows * int(nonzero.sum())
    (batch, *outs, _), sizes = graph.tensors[layer.output].shape, graph.tensors[layer.inputs[0]].shape[1:3]
    window = layer.window
    y, x = (
        taps_inside(sizes[i], outs[i], window.kernel[i], window.strides[i], window.pads[i], window.dilations[i])
        for i in range(2)
    )
    return batch * int(y @ nonzero.sum(axis=(0, 3)) @ x)
