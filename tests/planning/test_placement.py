"""Memories of a routine, and the estimate of wait states that the plan chooses by."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import (
    Conv2dOffsetParams,
    Conv2dParams,
    DenseOffsetParams,
    DenseParams,
    RequantizeParams,
)
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.planning.placement import estimate_wait_cycles
from pipeline.planning.variants.without_offset import without_offset

TIMING = FlashTiming(2, 8, True)
CYCLES = 10_000
REQUANTIZE = RequantizeParams(low=-128, high=127)
BIAS, OFFSET = np.zeros(4, np.int32), np.full(4, 60, np.int32)
DENSE = DenseParams(
    weights=np.ones((4, 6), np.int8), bias=BIAS, requantize=REQUANTIZE, rows=1, inputs=6, outputs=4
)  # fmt: skip
CONV2D = Conv2dParams(
    weights=np.ones((4, 3, 6), np.int8), bias=BIAS, requantize=REQUANTIZE, batch=1, height=5, width=5, channels=2,
    out_height=3, out_width=3, out_channels=4, kernel_height=3, row=6, stride_y=1, stride_x=1, pad_top=0, pad_left=0,
    dilation_y=1, input_zero_point=0,
)  # fmt: skip


@pytest.mark.parametrize(
    "params", [DenseOffsetParams(dense=DENSE, offset=OFFSET), Conv2dOffsetParams(conv2d=CONV2D, offset=OFFSET)]
)
def test_kernels_in_c_wait_for_each_weight_with_an_offset_or_without(params: KernelParams) -> None:
    call = KernelCall(f"{params.struct_name()}_once", "layer", ("x",), ("y",), params, macs=1000)
    other = without_offset(call)
    assert isinstance(other.params, DenseParams | Conv2dParams) and other.macs == call.macs
    waits, code_alone = (
        estimate_wait_cycles(c, None, CYCLES, TIMING, "cortex-m0") for c in (call, replace(call, macs=0))
    )
    assert waits == estimate_wait_cycles(other, None, CYCLES, TIMING, "cortex-m0")
    assert waits - code_alone >= TIMING.wait_states * call.macs, "every weight is read anew"


@pytest.mark.parametrize("params", [DENSE, DenseOffsetParams(dense=DENSE, offset=OFFSET)])
def test_without_wait_states_nothing_waits(params: KernelParams) -> None:
    call = KernelCall("any", "layer", ("x",), ("y",), params, macs=1000)
    assert estimate_wait_cycles(call, None, CYCLES, FlashTiming(), "cortex-m0") == 0
