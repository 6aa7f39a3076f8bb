"""Linear calls whose weights exceed int8, rewritten as dense, conv2d or depthwise calls with int16 weights."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import Conv2dOffsetParams, ConvW16Params, DenseOffsetParams, DepthwiseParams
from pipeline.graph.kernel_params.struct import KernelParams


@lru_cache(maxsize=128)
def without_offset(call: KernelCall) -> KernelCall:
    """The call of the same layer with int16 weights, an offset added to them; `call` itself where there is none."""
    params = _params_without_offset(call.params)
    kernel = call.kernel.replace(call.family, params.struct_name())
    return call if params is call.params else replace(call, kernel=kernel, params=params)


def _params_without_offset(params: KernelParams) -> KernelParams:
    match params:
        case DenseOffsetParams(dense=inner, offset=offset) | Conv2dOffsetParams(conv2d=inner, offset=offset):
            weights = inner.weights.astype(np.int16)
            return replace(inner, weights=weights + offset.reshape(-1, *(1,) * (weights.ndim - 1)))
        case ConvW16Params(depth=1, group_outputs=1):
            return DepthwiseParams(
                weights=params.weights[..., 0].transpose(1, 2, 0), bias=params.bias, requantize=params.requantize,
                batch=params.batch, height=params.height, width=params.width, channels=params.groups,
                out_height=params.out_height, out_width=params.out_width,
                kernel_height=params.kernel_height, kernel_width=params.kernel_width,
                stride_y=params.stride_y, stride_x=params.stride_x, pad_top=params.pad_top, pad_left=params.pad_left,
                dilation_y=params.dilation_y, dilation_x=params.dilation_x, input_zero_point=params.input_zero_point,
            )  # fmt: skip
    return params
