"""Proof that no intermediate value of a C kernel overflows, for each kernel call and inputs of any value.

One function for each family of kernels repeats its arithmetic on intervals. Activations take the whole range
of their type, constants that of their data; zero points, scales and shifts are the call's own. A value that could leave
the C type that holds it is refused: signed overflow is undefined in C. docs/bounds.md is the table of what is bounded.
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from pipeline.arithmetic.kernel_bounds.proof import IntermediateBound, Interval, OverflowProof, flat, maximum, minimum
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import (
    Conv2dOffsetParams,
    ConvS16Params,
    DenseOffsetParams,
    LinearParams,
    weight_rows,
)
from pipeline.graph.kernel_params.moves import (
    CopyParams,
    FillParams,
    GatherParams,
    InterpolateParams,
    LookupParams,
    SelectParams,
)
from pipeline.graph.kernel_params.pairs import (
    AddParams,
    AddRescaledParams,
    ExtremumParams,
    MulParams,
    MulRescaledParams,
    MulWideParams,
)
from pipeline.graph.kernel_params.pooling import AveragePoolExactParams, AveragePoolParams, MaxPoolParams
from pipeline.graph.kernel_params.rows import (
    AffineParams,
    AffineWideParams,
    ArgmaxParams,
    MeanParams,
    MeanRescaledParams,
    PreluParams,
    PreluRescaledParams,
    ReduceExtremumParams,
    SoftmaxExactParams,
    SoftmaxParams,
    SoftmaxS16Params,
    SoftmaxScaledParams,
)
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.tensor import Array

_Scaled = AddParams | MulParams | AffineParams | PreluParams | MeanParams | AveragePoolParams


def intermediate_bounds(call: KernelCall, graph: Graph) -> Mapping[str, IntermediateBound]:
    """Bounds of the intermediates of a call, by name; raises ChipfitError where one can leave its C type."""
    proof = OverflowProof(call, [_input_range(graph, n) for n in call.inputs])
    bound_intermediates(call.params, proof)
    return proof.bounds


def check_overflow(calls: Sequence[KernelCall], graph: Graph) -> None:
    """Raise ChipfitError for a call whose kernel could overflow."""
    for call in calls:
        intermediate_bounds(call, graph)


def _input_range(graph: Graph, name: str) -> Interval:
    tensor = graph.tensors[name.removesuffix("#copy")]
    if tensor.data is not None and tensor.data.size:
        return Interval(int(tensor.data.min()), int(tensor.data.max()))
    info = np.iinfo("int8" if tensor.dtype == "uint8" else tensor.dtype)
    return Interval(int(info.min), int(info.max))


@singledispatch
def bound_intermediates(params: KernelParams, p: OverflowProof) -> None:
    """Repeat the arithmetic of a family of kernels on the intervals of `p`; one function for each type of `params`."""
    raise TypeError(f"nothing bounds the kernels of struct {params.struct_name()}")


@bound_intermediates.register
def _linear(params: LinearParams, p: OverflowProof) -> None:
    """A convolution or dense layer with a 32-bit accumulator."""
    p.requantize(p.check("acc", _accumulator(p, params)), params.requantize)


def _accumulator(p: OverflowProof, params: LinearParams | ConvS16Params, offset: Array | None = None) -> Interval:
    """Interval of the accumulator after any number of terms in any order, for each output channel."""
    rows = weight_rows(params).astype(np.int64)
    bias = flat(params.bias)
    low, high = p.inputs[0].ends
    terms = np.abs(rows).sum(axis=1).astype(object) * max(-low, high)
    if offset is not None:
        total = p.check("total", Interval(low * rows.shape[1], high * rows.shape[1]))
        terms = terms + np.abs(p.check("offset * total", total * offset).low)
    return Interval(minimum(bias, 0) - terms, maximum(bias, 0) + terms)


@bound_intermediates.register
def _linear_offset(params: DenseOffsetParams | Conv2dOffsetParams, p: OverflowProof) -> None:
    """A convolution or dense layer that also adds an offset times the sum of its inputs."""
    inner = params.dense if isinstance(params, DenseOffsetParams) else params.conv2d
    p.requantize(p.check("acc", _accumulator(p, inner, flat(params.offset))), inner.requantize)


@bound_intermediates.register
def _conv_s16(params: ConvS16Params, p: OverflowProof) -> None:
    """A convolution on int16 with a 48-bit accumulator; see rescale_wide.h."""
    total = p.check("acc", _accumulator(p, params), "int64")
    shift, multiplier = flat(params.shift), flat(params.multiplier)
    p.require("sum", total.low, -(2**47) + 1, 2**47 - 1)
    p.require("sum", total.high, -(2**47) + 1, 2**47 - 1)
    p.require("multiplier", multiplier, 0, 2**15 - 1)
    p.require("shift", shift, 1, 46)
    value = p.check("value", (total * multiplier + 2 ** (shift - 1)) >> shift)
    p.clamp(p.check("value + zero_point", value + params.zero_point), params.low, params.high)


def _epilogue(
    params: AddParams | MulParams | AffineParams | PreluParams | MeanParams | AveragePoolParams,
    p: OverflowProof,
    acc: Interval,
    offset: Array | int,
) -> None:
    """The epilogue (acc + offset) >> shift, clamped."""
    p.require("shift", params.shift, 0, 31)
    total = p.check("acc + offset", acc + offset)
    p.clamp(total >> params.shift, params.low, params.high)


@bound_intermediates.register
def _add(params: AddParams, p: OverflowProof) -> None:
    x, y = p.inputs
    a, b = p.check("a * a_scale", x * params.a_scale), p.check("b * b_scale", y * params.b_scale)
    _epilogue(params, p, p.check("acc", a + b), params.offset)


@bound_intermediates.register
def _add_rescaled(params: AddRescaledParams, p: OverflowProof) -> None:
    p.require("left", params.left, 0, 30)
    terms = (
        ("a", params.a_zero_point, params.a_multiplier, params.a_exponent),
        ("b", params.b_zero_point, params.b_multiplier, params.b_exponent),
    )
    parts = []
    for (n, zero_point, multiplier, exponent), x in zip(terms, p.inputs, strict=True):
        shifted = p.check(f"({n} - {n}_zero_point) << left", (x - zero_point) * 2**params.left)
        parts.append(p.rescale(n, shifted, multiplier, exponent))
    total = p.check("sum", parts[0] + parts[1] * params.sign)
    value = p.rescale("sum", total, params.y_multiplier, params.y_exponent)
    p.clamp(p.check("value + zero_point", value + params.y_zero_point), params.low, params.high)


def _product(params: MulParams | MulRescaledParams | MulWideParams, p: OverflowProof, ctype: str) -> Interval:
    x, y = p.inputs
    a = p.check("a - a_zero_point", x - params.a_zero_point)
    b = p.check("b - b_zero_point", y - params.b_zero_point)
    return p.check("product", a * b, ctype)


@bound_intermediates.register
def _mul(params: MulParams, p: OverflowProof) -> None:
    _epilogue(params, p, p.check("product * scale", _product(params, p, "int32") * params.scale), params.offset)


@bound_intermediates.register
def _mul_rescaled(params: MulRescaledParams, p: OverflowProof) -> None:
    value = p.rescale("product", _product(params, p, "int32"), params.multiplier, params.exponent)
    p.clamp(p.check("value + zero_point", value + params.y_zero_point), params.low, params.high)


@bound_intermediates.register
def _mul_wide(params: MulWideParams, p: OverflowProof) -> None:
    """A multiplication with a product of 34 bits; see mul_wide.h."""
    product, shift = _product(params, p, "int64"), params.shift
    p.check("product >> 1", product >> 1)
    p.require("multiplier", params.multiplier, 0, 2**31 - 1)
    p.require("shift", shift, 31, 62)
    total = p.check("sum", product * params.multiplier + 2 ** (shift - 1), "int64")
    value = p.check("value", total >> shift)
    p.clamp(p.check("value + zero_point", value + params.y_zero_point), params.low, params.high)


@bound_intermediates.register
def _affine(params: AffineParams, p: OverflowProof) -> None:
    _epilogue(params, p, p.check("x * scale", p.inputs[0] * flat(params.scale)), flat(params.offset))


@bound_intermediates.register
def _affine_wide(params: AffineWideParams, p: OverflowProof) -> None:
    total = p.check("x * scale + offset", p.inputs[0] * flat(params.scale) + flat(params.offset), "int64")
    p.require("shift", params.shift, 1, 62)
    p.clamp(p.check("value", total >> params.shift), params.low, params.high)


@bound_intermediates.register
def _prelu(params: PreluParams, p: OverflowProof) -> None:
    d = p.check("x - zero_point", p.inputs[0] - params.zero_point)
    above = p.check("above * scale", Interval(maximum(d.low, 0), maximum(d.high, 0)) * params.scale)
    below = p.check("below * slope", Interval(minimum(d.low, 0), minimum(d.high, 0)) * flat(params.slope))
    # One of both is 0.
    either = Interval(minimum(above.low, below.low), maximum(above.high, below.high))
    _epilogue(params, p, p.check("above + below", either), params.offset)


@bound_intermediates.register
def _prelu_rescaled(params: PreluRescaledParams, p: OverflowProof) -> None:
    d = p.check("x - zero_point", p.inputs[0] - params.x_zero_point)
    above = p.rescale("d", d, params.above_multiplier, params.above_exponent)
    product = p.check("d * slope", d * flat(params.slope))
    below = p.rescale("d * slope", product, params.below_multiplier, params.below_exponent)
    for value in (above, below):
        p.clamp(p.check("value + zero_point", value + params.y_zero_point), -128, 127)


@bound_intermediates.register
def _mean(params: MeanParams, p: OverflowProof) -> None:
    total = p.check("sum", _sum_of(p.inputs[0], params.reduced))
    _epilogue(params, p, p.check("sum * scale", total * params.scale), params.offset)


@bound_intermediates.register
def _mean_rescaled(params: MeanRescaledParams, p: OverflowProof) -> None:
    total = p.check("sum", _sum_of(p.inputs[0], params.reduced) + params.offset)
    p.check("partial sum", _partial_sum(p.inputs[0], params.reduced) + params.offset)
    value = p.rescale("sum", total, params.multiplier, params.exponent)
    p.clamp(p.check("value + zero_point", value + params.zero_point), params.low, params.high)


def _sum_of(x: Interval, count: int) -> Interval:
    return Interval(x.low * count, x.high * count)


def _partial_sum(x: Interval, count: int) -> Interval:
    """Interval of the sum of 0 to `count` values of `x`."""
    return Interval(minimum(x.low * count, 0), maximum(x.high * count, 0))


@bound_intermediates.register
def _average_pool(params: AveragePoolParams, p: OverflowProof) -> None:
    pool, zero = params.pool, params.input_zero_point
    taps = pool.kernel_height * pool.kernel_width
    p.check("partial sum", _partial_sum(p.inputs[0], taps) - Interval(min(0, zero * taps), max(0, zero * taps)))
    rows = _taps_inside(pool.height, pool.out_height, pool.kernel_height, pool.stride_y, pool.dilation_y, pool.pad_top)
    columns = _taps_inside(pool.width, pool.out_width, pool.kernel_width, pool.stride_x, pool.dilation_x, pool.pad_left)
    total = p.check("sum", (p.inputs[0] - zero) * np.outer(rows, columns).reshape(-1).astype(object))
    _epilogue(params, p, p.check("sum * reciprocal", total * flat(params.reciprocal)), params.offset)


def _taps_inside(size: int, outputs: int, taps: int, stride: int, dilation: int, pad: int) -> Array:
    """Number of taps of a window that lie inside the image, for each output along an axis."""
    at = (np.arange(outputs) * stride - pad)[:, None] + np.arange(taps) * dilation
    counts: Array = ((at >= 0) & (at < size)).sum(axis=1)
    return counts


@bound_intermediates.register
def _average_pool_exact(params: AveragePoolExactParams, p: OverflowProof) -> None:
    taps = params.pool.kernel_height * params.pool.kernel_width
    total = p.check("sum", _partial_sum(p.inputs[0] + params.bias, taps))
    size = max(-total.ends[0], total.ends[1])
    p.check("size + taps / 2", Interval(0, size + taps // 2))
    p.clamp(p.inputs[0], params.low, params.high)


@bound_intermediates.register
def _interpolate(params: InterpolateParams, p: OverflowProof) -> None:
    table = flat(params.table)
    step = p.check("step", Interval(table[1:] - table[:-1], table[1:] - table[:-1]))
    value = p.check("step * rest + 64", step * Interval(0, 127) + 64) >> 7
    p.clamp(p.check("value", value + table[:-1]), -32768, 32767)


@bound_intermediates.register
def _comparison(params: ArgmaxParams | ReduceExtremumParams | ExtremumParams, p: OverflowProof) -> None:
    """A comparison of values by their difference, of either sign."""
    x = Interval(minimum(*(i.low for i in p.inputs)), maximum(*(i.high for i in p.inputs)))
    x = x * params.sign
    p.check("best - value", x - x - Interval(0, 1))


@bound_intermediates.register
def _softmax(params: SoftmaxParams | SoftmaxS16Params, p: OverflowProof) -> None:
    largest = int(params.exponentials.max(initial=0))
    total = p.check("total", Interval(0, params.count * largest), "uint32")
    p.check("(int32_t)total", total)
    wide = isinstance(params, SoftmaxS16Params)
    p.check("value", Interval(0, (largest << (15 if wide else 8)) + total.high // 2))
    if isinstance(params, SoftmaxS16Params):
        p.require("step", params.step, 0, 7)
        table = flat(params.exponentials)
        p.check("fall * rest", Interval(0, int((table[:-1] - table[1:]).max()) * 127 + 64))


@bound_intermediates.register
def _softmax_scaled(params: SoftmaxScaledParams, p: OverflowProof) -> None:
    largest = int(params.exponentials.max(initial=0))
    p.check("(int32_t)total", p.check("total", Interval(0, params.count * largest), "uint32"))
    p.require("factor", params.factor, 0, 2**16 - 1)
    p.require("shift", params.shift, 0, 16)
    p.check("value", Interval(0, params.factor * largest))
    share = p.check("share + half", Interval(0, params.factor) + (1 << params.shift >> 1))
    p.check("value + zero_point", (share >> params.shift) + params.zero_point)


@bound_intermediates.register
def _softmax_exact(params: SoftmaxExactParams, p: OverflowProof) -> None:
    """A softmax as TensorFlow Lite's: up to 2**12 terms of up to 2**19, and Newton's method on Q2.29 values below 4."""
    p.check("total", Interval(0, params.count << 19), "uint32")
    p.require("count", params.count, 1, 1 << 12)
    p.require("exponentials", flat(params.exponentials), 0, 2**31 - 1)


@bound_intermediates.register
def _no_arithmetic(
    params: CopyParams | FillParams | GatherParams | LookupParams | MaxPoolParams | SelectParams, p: OverflowProof
) -> None:
    """A kernel that moves values and computes none."""
