"""How far every intermediate value of every C kernel can go: proven when a kernel is called, for inputs of any value.

One function for each family of kernels says its arithmetic once more, on intervals. Activations take the whole range
of their type, constants that of their data; zero points, scales and shifts are the call's own. A value that could leave
the C type that holds it is refused: signed overflow is undefined in C. docs/bounds.md is the table of what is bounded.
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from pipeline.arithmetic.kernel_bounds.proof import Bound, Interval, Proof, flat, least, most
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
    ExtremeParams,
    MeanParams,
    MeanRescaledParams,
    PreluParams,
    PreluRescaledParams,
    SoftmaxExactParams,
    SoftmaxParams,
    SoftmaxS16Params,
    SoftmaxScaledParams,
)
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.tensor import Array

_Scaled = AddParams | MulParams | AffineParams | PreluParams | MeanParams | AveragePoolParams


def bounds(call: KernelCall, graph: Graph) -> Mapping[str, Bound]:
    """Every bounded intermediate of a call. Raises ChipfitError when one can leave its type."""
    proof = Proof(call, [_range(graph, n) for n in call.inputs])
    bound(call.params, proof)
    return proof.bounds


def check(calls: Sequence[KernelCall], graph: Graph) -> None:
    """Raises ChipfitError for a call whose kernel could overflow."""
    for call in calls:
        bounds(call, graph)


def _range(graph: Graph, name: str) -> Interval:
    tensor = graph.tensors[name.removesuffix("#copy")]
    if tensor.data is not None and tensor.data.size:
        return Interval(int(tensor.data.min()), int(tensor.data.max()))
    info = np.iinfo("int8" if tensor.dtype == "uint8" else tensor.dtype)
    return Interval(int(info.min), int(info.max))


@singledispatch
def bound(params: KernelParams, p: Proof) -> None:
    """Say the arithmetic of a family of kernels on the intervals of `p`; one function for each type of `params`."""
    raise TypeError(f"nothing bounds the kernels of struct {params.struct_name()}")


@bound.register
def _linear(params: LinearParams, p: Proof) -> None:
    """32 bits."""
    p.requantized(p.keep("acc", _sum(p, params)), params.requantize)


def _sum(p: Proof, params: LinearParams | ConvS16Params, offset: Array | None = None) -> Interval:
    """Any partial sum, in any order."""
    rows = weight_rows(params).astype(np.int64)
    bias = flat(params.bias)
    low, high = p.inputs[0].ends
    terms = np.abs(rows).sum(axis=1).astype(object) * max(-low, high)
    if offset is not None:
        total = p.keep("total", Interval(low * rows.shape[1], high * rows.shape[1]))
        terms = terms + np.abs(p.keep("offset * total", total * offset).low)
    return Interval(least(bias, 0) - terms, most(bias, 0) + terms)


@bound.register
def _linear_offset(params: DenseOffsetParams | Conv2dOffsetParams, p: Proof) -> None:
    """Besides, an offset times the sum of the inputs."""
    inner = params.dense if isinstance(params, DenseOffsetParams) else params.conv2d
    p.requantized(p.keep("acc", _sum(p, inner, flat(params.offset))), inner.requantize)


@bound.register
def _conv_s16(params: ConvS16Params, p: Proof) -> None:
    """A 48-bit sum; see rescale_wide.h."""
    total = p.keep("acc", _sum(p, params), "int64")
    shift, multiplier = flat(params.shift), flat(params.multiplier)
    p.need("sum", total.low, -(2**47) + 1, 2**47 - 1)
    p.need("sum", total.high, -(2**47) + 1, 2**47 - 1)
    p.need("multiplier", multiplier, 0, 2**15 - 1)
    p.need("shift", shift, 1, 46)
    value = p.keep("value", (total * multiplier + 2 ** (shift - 1)) >> shift)
    p.clamp(p.keep("value + zero_point", value + params.zero_point), params.low, params.high)


def _epilogue(
    params: AddParams | MulParams | AffineParams | PreluParams | MeanParams | AveragePoolParams,
    p: Proof,
    acc: Interval,
    offset: Array | int,
) -> None:
    """(acc + offset) >> shift, clamped."""
    p.need("shift", params.shift, 0, 31)
    total = p.keep("acc + offset", acc + offset)
    p.clamp(total >> params.shift, params.low, params.high)


@bound.register
def _add(params: AddParams, p: Proof) -> None:
    x, y = p.inputs
    a, b = p.keep("a * a_scale", x * params.a_scale), p.keep("b * b_scale", y * params.b_scale)
    _epilogue(params, p, p.keep("acc", a + b), params.offset)


@bound.register
def _add_rescaled(params: AddRescaledParams, p: Proof) -> None:
    p.need("left", params.left, 0, 30)
    terms = (
        ("a", params.a_zero_point, params.a_multiplier, params.a_exponent),
        ("b", params.b_zero_point, params.b_multiplier, params.b_exponent),
    )
    parts = []
    for (n, zero_point, multiplier, exponent), x in zip(terms, p.inputs, strict=True):
        moved = p.keep(f"({n} - {n}_zero_point) << left", (x - zero_point) * 2**params.left)
        parts.append(p.rescale(n, moved, multiplier, exponent))
    total = p.keep("sum", parts[0] + parts[1] * params.sign)
    value = p.rescale("sum", total, params.y_multiplier, params.y_exponent)
    p.clamp(p.keep("value + zero_point", value + params.y_zero_point), params.low, params.high)


def _product(params: MulParams | MulRescaledParams | MulWideParams, p: Proof, ctype: str) -> Interval:
    x, y = p.inputs
    a = p.keep("a - a_zero_point", x - params.a_zero_point)
    b = p.keep("b - b_zero_point", y - params.b_zero_point)
    return p.keep("product", a * b, ctype)


@bound.register
def _mul(params: MulParams, p: Proof) -> None:
    _epilogue(params, p, p.keep("product * scale", _product(params, p, "int32") * params.scale), params.offset)


@bound.register
def _mul_rescaled(params: MulRescaledParams, p: Proof) -> None:
    value = p.rescale("product", _product(params, p, "int32"), params.multiplier, params.exponent)
    p.clamp(p.keep("value + zero_point", value + params.y_zero_point), params.low, params.high)


@bound.register
def _mul_wide(params: MulWideParams, p: Proof) -> None:
    """A product of 34 bits; see mul_wide.h."""
    product, shift = _product(params, p, "int64"), params.shift
    p.keep("product >> 1", product >> 1)
    p.need("multiplier", params.multiplier, 0, 2**31 - 1)
    p.need("shift", shift, 31, 62)
    total = p.keep("sum", product * params.multiplier + 2 ** (shift - 1), "int64")
    value = p.keep("value", total >> shift)
    p.clamp(p.keep("value + zero_point", value + params.y_zero_point), params.low, params.high)


@bound.register
def _affine(params: AffineParams, p: Proof) -> None:
    _epilogue(params, p, p.keep("x * scale", p.inputs[0] * flat(params.scale)), flat(params.offset))


@bound.register
def _affine_wide(params: AffineWideParams, p: Proof) -> None:
    total = p.keep("x * scale + offset", p.inputs[0] * flat(params.scale) + flat(params.offset), "int64")
    p.need("shift", params.shift, 1, 62)
    p.clamp(p.keep("value", total >> params.shift), params.low, params.high)


@bound.register
def _prelu(params: PreluParams, p: Proof) -> None:
    d = p.keep("x - zero_point", p.inputs[0] - params.zero_point)
    above = p.keep("above * scale", Interval(most(d.low, 0), most(d.high, 0)) * params.scale)
    below = p.keep("below * slope", Interval(least(d.low, 0), least(d.high, 0)) * flat(params.slope))
    # One of both is 0.
    either = Interval(least(above.low, below.low), most(above.high, below.high))
    _epilogue(params, p, p.keep("above + below", either), params.offset)


@bound.register
def _prelu_rescaled(params: PreluRescaledParams, p: Proof) -> None:
    d = p.keep("x - zero_point", p.inputs[0] - params.x_zero_point)
    above = p.rescale("d", d, params.above_multiplier, params.above_exponent)
    product = p.keep("d * slope", d * flat(params.slope))
    below = p.rescale("d * slope", product, params.below_multiplier, params.below_exponent)
    for value in (above, below):
        p.clamp(p.keep("value + zero_point", value + params.y_zero_point), -128, 127)


@bound.register
def _mean(params: MeanParams, p: Proof) -> None:
    total = p.keep("sum", _times(p.inputs[0], params.reduced))
    _epilogue(params, p, p.keep("sum * scale", total * params.scale), params.offset)


@bound.register
def _mean_rescaled(params: MeanRescaledParams, p: Proof) -> None:
    total = p.keep("sum", _times(p.inputs[0], params.reduced) + params.offset)
    p.keep("partial sum", _partial(p.inputs[0], params.reduced) + params.offset)
    value = p.rescale("sum", total, params.multiplier, params.exponent)
    p.clamp(p.keep("value + zero_point", value + params.zero_point), params.low, params.high)


def _times(x: Interval, count: int) -> Interval:
    return Interval(x.low * count, x.high * count)


def _partial(x: Interval, count: int) -> Interval:
    """The sum of any number of values, up to `count`."""
    return Interval(least(x.low * count, 0), most(x.high * count, 0))


@bound.register
def _average_pool(params: AveragePoolParams, p: Proof) -> None:
    pool, zero = params.pool, params.input_zero_point
    taps = pool.kernel_height * pool.kernel_width
    p.keep("partial sum", _partial(p.inputs[0], taps) - Interval(min(0, zero * taps), max(0, zero * taps)))
    rows = _inside(pool.height, pool.out_height, pool.kernel_height, pool.stride_y, pool.dilation_y, pool.pad_top)
    columns = _inside(pool.width, pool.out_width, pool.kernel_width, pool.stride_x, pool.dilation_x, pool.pad_left)
    total = p.keep("sum", (p.inputs[0] - zero) * np.outer(rows, columns).reshape(-1).astype(object))
    _epilogue(params, p, p.keep("sum * reciprocal", total * flat(params.reciprocal)), params.offset)


def _inside(size: int, outputs: int, taps: int, stride: int, dilation: int, pad: int) -> Array:
    """How many taps of a window lie inside the image, for each output along an axis."""
    at = (np.arange(outputs) * stride - pad)[:, None] + np.arange(taps) * dilation
    counts: Array = ((at >= 0) & (at < size)).sum(axis=1)
    return counts


@bound.register
def _average_pool_exact(params: AveragePoolExactParams, p: Proof) -> None:
    taps = params.pool.kernel_height * params.pool.kernel_width
    total = p.keep("sum", _partial(p.inputs[0] + params.bias, taps))
    size = max(-total.ends[0], total.ends[1])
    p.keep("size + taps / 2", Interval(0, size + taps // 2))
    p.clamp(p.inputs[0], params.low, params.high)


@bound.register
def _interpolate(params: InterpolateParams, p: Proof) -> None:
    table = flat(params.table)
    step = p.keep("step", Interval(table[1:] - table[:-1], table[1:] - table[:-1]))
    value = p.keep("step * rest + 64", step * Interval(0, 127) + 64) >> 7
    p.clamp(p.keep("value", value + table[:-1]), -32768, 32767)


@bound.register
def _signed(params: ArgmaxParams | ExtremeParams | ExtremumParams, p: Proof) -> None:
    """Differences of two values, of either sign."""
    x = Interval(least(*(i.low for i in p.inputs)), most(*(i.high for i in p.inputs)))
    x = x * params.sign
    p.keep("best - value", x - x - Interval(0, 1))


@bound.register
def _softmax(params: SoftmaxParams | SoftmaxS16Params, p: Proof) -> None:
    largest = int(params.exponentials.max(initial=0))
    total = p.keep("total", Interval(0, params.count * largest), "uint32")
    p.keep("(int32_t)total", total)
    wide = isinstance(params, SoftmaxS16Params)
    p.keep("value", Interval(0, (largest << (15 if wide else 8)) + total.high // 2))
    if isinstance(params, SoftmaxS16Params):
        p.need("step", params.step, 0, 7)
        table = flat(params.exponentials)
        p.keep("fall * rest", Interval(0, int((table[:-1] - table[1:]).max()) * 127 + 64))


@bound.register
def _softmax_scaled(params: SoftmaxScaledParams, p: Proof) -> None:
    largest = int(params.exponentials.max(initial=0))
    p.keep("(int32_t)total", p.keep("total", Interval(0, params.count * largest), "uint32"))
    p.need("factor", params.factor, 0, 2**16 - 1)
    p.need("shift", params.shift, 0, 16)
    p.keep("value", Interval(0, params.factor * largest))
    share = p.keep("share + half", Interval(0, params.factor) + (1 << params.shift >> 1))
    p.keep("value + zero_point", (share >> params.shift) + params.zero_point)


@bound.register
def _softmax_exact(params: SoftmaxExactParams, p: Proof) -> None:
    """Up to 2**12 terms of up to 2**19, and Newton's method on Q2.29 values below 4."""
    p.keep("total", Interval(0, params.count << 19), "uint32")
    p.need("count", params.count, 1, 1 << 12)
    p.need("exponentials", flat(params.exponentials), 0, 2**31 - 1)


@bound.register
def _nothing(
    params: CopyParams | FillParams | GatherParams | LookupParams | MaxPoolParams | SelectParams, p: Proof
) -> None:
    """Moves values, and computes none."""
