"""What the C kernels cost: sizes as compiled for Cortex-M0, and cycles as far as the plan needs them.

C has no exact cost before it is compiled: the sizes are upper bounds over both toolchains (a test compares), the cycles
are those measured on the larger layers of MLPerf Tiny's networks. What the verdict says is measured.
"""

from collections.abc import Mapping
from math import prod

from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, DepthwiseParams
from pipeline.graph.kernel_params.moves import CopyParams
from pipeline.graph.kernel_params.pairs import WalkParams
from pipeline.graph.kernel_params.pooling import AveragePoolExactParams, AveragePoolParams, MaxPoolParams
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.planning.variants.without_offset import without_offset

CODE: Mapping[str, int] = {
    "add": 264, "add_rescaled": 660, "add_rescaled_s16": 708, "affine": 152, "affine_wide": 332, "argmax": 200,
    "argmax_s16": 196, "average_pool": 664, "average_pool_exact": 660, "average_pool_exact_s16": 852,
    "conv2d_grouped_multiplier": 744, "conv2d_grouped_once": 752, "conv2d_grouped_shift": 688,
    "conv2d_multiplier": 1400, "conv2d_offset_multiplier": 1644, "conv2d_offset_once": 1600, "conv2d_once": 1376,
    "conv2d_shift": 1060, "conv_s16": 1064, "conv_s16_once": 984,
    "conv_w16_multiplier": 776, "conv_w16_once": 756, "copy": 228, "dense_multiplier": 692,
    "dense_offset_multiplier": 848, "dense_offset_once": 788, "dense_once": 640,
    "dense_shift": 332, "depthwise_multiplier": 700, "depthwise_once": 648, "depthwise_shift": 516,
    "extremum": 264, "extremum_s16": 276, "fill": 24, "fill_s16": 28, "gather": 96,
    "interpolate": 116, "lookup": 36, "max_pool": 604, "max_pool_s16": 664, "mean": 156, "mean_rescaled": 264,
    "mean_rescaled_s16": 360, "mul": 268, "mul_rescaled": 376, "mul_rescaled_s16": 440,
    "mul_wide_s16": 528, "prelu": 208, "prelu_rescaled": 428, "prelu_s16": 256,
    "reduce_extremum": 168, "reduce_extremum_s16": 184, "select": 56, "select_s16": 60,
    "softmax": 336, "softmax_exact": 716, "softmax_s16": 444, "softmax_scaled": 308,
}  # fmt: skip
"""Bytes of code of each kernel."""

_PER_MAC: Mapping[str, float] = {"dense": 8.5, "conv2d": 9.5, "depthwise": 58.0}
_PER_ROW: Mapping[str, int] = {"conv2d": 40}  # of the window: each is one run of memory, and a loop of its own
_PER_OUTPUT: Mapping[str, Mapping[str, int]] = {
    "dense": {"shift": 49, "multiplier": 100, "once": 100},
    "conv2d": {"shift": 50, "multiplier": 108, "once": 108},
    "depthwise": {"shift": 90, "multiplier": 148, "once": 148},
}
_PER_OTHER: Mapping[str, float] = {"add_rescaled": 235.0, "add": 50.0, "max_pool": 34.0, "average_pool": 37.0}
_STACK = 264


def cycles(call: KernelCall) -> int:
    """Estimated cycles of the call in C."""
    if without_offset(call).family not in _PER_MAC:
        return round(_PER_OTHER.get(call.family, 30) * max(call.macs, _elements(call.params)))
    call = without_offset(call)
    params = call.params
    assert isinstance(params, DenseParams | Conv2dParams | DepthwiseParams)
    outputs = call.macs / max(1.0, params.weights.size / max(1, params.bias.size))
    rows = 1 if isinstance(params, DenseParams) else params.kernel_height
    each = _PER_ROW.get(call.family, 0) * rows + _PER_OUTPUT[call.family][call.requantizer]
    return round(call.macs * _PER_MAC[call.family] + outputs * each)


def _elements(params: KernelParams) -> int:
    """Outputs of an addition, taps of a pool; 1 of what `macs` says."""
    if isinstance(params, WalkParams | CopyParams):
        return prod(params.dims)
    if isinstance(params, MaxPoolParams | AveragePoolParams | AveragePoolExactParams):
        p = params.pool
        return p.out_height * p.out_width * p.channels * p.kernel_height * p.kernel_width
    return 1


def flash(call: KernelCall) -> int:
    """Bytes of the call's own constants."""
    members = [m for _, m in call.params.members()]
    words = sum(len(m) if isinstance(m, tuple) else 1 for m in members)
    return sum(m.nbytes for m in members if not isinstance(m, int | tuple)) + 4 * words


def stack() -> int:
    """Bytes that no C kernel exceeds, its callees included."""
    return _STACK
