"""Kernel calls, routines and programs of a few numbers, made by hand: for tests that need no network."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall, Routine, RoutineMemory, SharedRoutines
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, DepthwiseParams, RequantizeParams
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor
from pipeline.planning.arena import Allocation
from pipeline.planning.plan import Location, Program


def routine(
    variant: str = "packed_split",
    includes: tuple[str, ...] = (),
    shared: tuple[SharedRoutines, ...] = (),
    lines: tuple[str, ...] = (),
    tables: Mapping[str, Array] | None = None,
    memory: RoutineMemory = "flash",
    executed: Executed = Executed(),  # noqa: B008
    code: int = 100,
    reads: int = 0,
) -> Routine:
    return Routine(variant, includes, shared, lines, tables or {}, executed, code, 40, 10, reads, memory)


def requantize_by_shift(outputs: int, shift: int = 7) -> RequantizeParams:
    return RequantizeParams(shift=np.full(outputs, shift, np.uint8), low=-128, high=127)


def dense(weights: Array, rows: int = 1, bias: Sequence[int] = ()) -> DenseParams:
    """A dense layer of int8 `weights` (outputs, inputs) that ends in a shift by 7."""
    outputs, inputs = weights.shape
    start = np.array(bias or [0] * outputs, np.int32)
    return DenseParams(
        weights=weights.astype(np.int8), bias=start, requantize=requantize_by_shift(outputs),
        rows=rows, inputs=inputs, outputs=outputs,
    )  # fmt: skip


def conv2d(
    weights: Array, height: int, width: int, pad: tuple[int, int] = (0, 0), stride: tuple[int, int] = (1, 1)
) -> Conv2dParams:
    """A convolution of int8 `weights` (outputs, ky, kx, channels) on one image, `pad` above and left, none below."""
    outputs, ky, kx, channels = weights.shape
    return Conv2dParams(
        weights=weights.astype(np.int8).reshape(outputs, ky, kx * channels), bias=np.zeros(outputs, np.int32),
        requantize=requantize_by_shift(outputs), batch=1, height=height, width=width, channels=channels,
        out_height=(height + pad[0] - ky) // stride[0] + 1, out_width=(width + pad[1] - kx) // stride[1] + 1,
        out_channels=outputs, kernel_height=ky, row=kx * channels, stride_y=stride[0], stride_x=stride[1],
        pad_top=pad[0], pad_left=pad[1], dilation_y=1, input_zero_point=3,
    )  # fmt: skip


def depthwise(weights: Array, height: int, width: int, pad: int = 0, stride: int = 1) -> DepthwiseParams:
    """A depthwise convolution of int8 `weights` (ky, kx, channels) on one image, `pad` on all sides."""
    ky, kx, channels = weights.shape
    return DepthwiseParams(
        weights=weights.astype(np.int8), bias=np.zeros(channels, np.int32), requantize=requantize_by_shift(channels),
        batch=1, height=height, width=width, channels=channels,
        out_height=(height + 2 * pad - ky) // stride + 1, out_width=(width + 2 * pad - kx) // stride + 1,
        kernel_height=ky, kernel_width=kx, stride_y=stride, stride_x=stride, pad_top=pad, pad_left=pad,
        dilation_y=1, dilation_x=1, input_zero_point=3,
    )  # fmt: skip


def linear_call(params: DenseParams | Conv2dParams | DepthwiseParams) -> KernelCall:
    return KernelCall(f"{params.struct_name()}_shift", "layer", ("x",), ("y",), params, macs=params.weights.size)


QUANT = QuantParams((0.375,), 5)


def program(call: KernelCall, locations: Mapping[str, Location], dtype: str = "int8") -> Program:
    """A network of one call from x (1, 3, 4, 2) to y (1, 6), planned by hand."""
    tensors = {"x": Tensor("x", (1, 3, 4, 2), dtype, None, QUANT), "y": Tensor("y", (1, 6), dtype, None, QUANT)}
    inputs = (Port("x", "image", (1, 2, 3, 4), (0, 2, 3, 1)),)
    graph = Graph("net", tensors, (), inputs, (Port("y", "scores", (1, 6), (0, 1)),))
    return Program("net", graph, (call,), locations, Allocation((), {}, 64, 64, True))
