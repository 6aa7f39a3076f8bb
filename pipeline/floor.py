"""What no setting and no kernel of chipfit can go below: the reason to refuse a network before anything is made of it.

The counts hold whatever quantization and planning do, so that a refusal is a verdict and not an estimate
(`pipeline.estimate` estimates). A kernel that stores a weight in less than a byte, or multiplies cheaper than
CYCLES_PER_MAC says, has to lower the bound here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from pipeline.ir import Array, Graph
from pipeline.ops.conv import Conv
from pipeline.ops.conv_transpose import Spread
from pipeline.ops.linear import Linear

CYCLES_PER_MAC: Mapping[str, float] = {"cortex-m0": 0.5, "cortex-m0plus": 0.5, "cortex-m3": 0.25, "cortex-m4": 0.25}
"""Half of what the densest inner loops need, loads not counted, which leaves room for weights that are zero.

Two MACs take a MULS and an ADDS on Armv6-M, packed in one word (Cortex-M0 TRM DDI 0432C, table 3-1: one cycle each; a
32-bit product has no room for a third of 16 bits), and one SMLAD on Armv7E-M (Cortex-M4 TRM DDI 0439B, table 3-1).
Cortex-M3 has no SMLAD; it is counted like M4, which is lower still.
"""


@dataclass(frozen=True)
class Floor:
    """`weights`: bytes of weights and biases, at one byte each, a shared one counted once.

    `macs`: multiply-accumulates as networks are usually counted; `executed`: those of them that have to be done,
    without products with padding.
    """

    weights: int
    macs: int
    executed: int

    def cycles(self, core: str) -> int:
        """Fewest cycles of one inference on `core`."""
        return ceil(self.executed * CYCLES_PER_MAC[core])


def floor_of(graph: Graph) -> Floor:
    """The floor of a canonical graph, float or integer: its convolutions and dense layers; the rest counts nothing."""
    layers = [n for n in graph.nodes if isinstance(n, Linear)]
    constants = sorted({n for layer in layers for n in layer.inputs[1:3] if graph.is_constant(n)})
    spread = {n.output for n in graph.nodes if isinstance(n, Spread)}
    return Floor(
        weights=_distinct([graph.constant(n) for n in constants]),
        macs=sum(layer.macs(graph) for layer in layers),
        # Most of what a transposed convolution multiplies is the zeros between the input's entries.
        executed=sum(_executed(layer, graph) for layer in layers if layer.inputs[0] not in spread),
    )


def taps_inside(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> int:
    """How often a tap meets the input along one axis of `size` elements, over `out` positions, `before` of padding."""
    start = np.arange(out, dtype=np.int64) * stride - before
    taps = (start + k * dilation for k in range(kernel))
    return sum(int(((at >= 0) & (at < size)).sum()) for at in taps)


def _executed(layer: Linear, graph: Graph) -> int:
    """The layer's MACs that meet no padding: all of a dense layer's."""
    if not isinstance(layer, Conv):
        return layer.macs(graph)
    (batch, *outs, channels), sizes = graph.tensors[layer.output].shape, graph.tensors[layer.inputs[0]].shape[1:3]
    w, per_group = layer.window, graph.tensors[layer.weights].shape[3]
    inside = (taps_inside(sizes[i], outs[i], w.kernel[i], w.strides[i], w.pads[i], w.dilations[i]) for i in range(2))
    return batch * channels * per_group * prod(inside)


def _distinct(arrays: Sequence[Array]) -> int:
    """Bytes of the arrays that differ, floats as int8: layers that share their weights need them once."""
    kept: list[Array] = []
    for array in arrays:
        if not any(a.size == array.size and np.array_equal(a.reshape(-1), array.reshape(-1)) for a in kept):
            kept.append(array)
    return sum(a.size if a.dtype.kind == "f" else a.nbytes for a in kept)
