"""How far every intermediate value of every C kernel can go: proven when a kernel is called, for inputs of any value.

One function for each family of kernels says its arithmetic once more, on intervals. Activations take the whole range
of their type, constants that of their data; zero points, scales and shifts are the call's own. A value that could leave
the C type that holds it is refused: signed overflow is undefined in C. docs/bounds.md is the table of what is bounded.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.arithmetic.kernel_bounds.proof import Bound, Interval, Proof, least, most
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.tensor import Array


def bounds(call: KernelCall, graph: Graph) -> Mapping[str, Bound]:
    """Every bounded intermediate of a call. Raises ChipfitError when one can leave its type."""
    made = Proof(call, [_range(graph, n) for n in call.inputs])
    FAMILIES[call.family](made)
    return made.bounds


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


def _linear(p: Proof) -> None:
    """dense, conv2d, conv2d_grouped, depthwise, conv_w16, conv_s16_once: 32 bits."""
    p.requantized(p.keep("acc", _sum(p, "")))


def _sum(p: Proof, prefix: str, offset: Array | None = None) -> Interval:
    """Any partial sum, in any order."""
    weights = p.call.tables[f"{prefix}weights"].astype(np.int64)
    bias = p.table(f"{prefix}bias")
    channels = weights.shape[-1] if p.call.family == "depthwise" else len(weights)
    rows = weights.reshape(-1, channels).T if p.call.family == "depthwise" else weights.reshape(channels, -1)
    low, high = p.inputs[0].ends
    terms = np.abs(rows).sum(axis=1).astype(object) * max(-low, high)
    if offset is not None:
        total = p.keep("total", Interval(low * rows.shape[1], high * rows.shape[1]))
        terms = terms + np.abs(p.keep("offset * total", total * offset).low)
    return Interval(least(bias, 0) - terms, most(bias, 0) + terms)


def _linear_offset(p: Proof) -> None:
    """dense_offset, conv2d_offset: besides, an offset times the sum of the inputs."""
    prefix = f"{p.call.family.removesuffix('_offset')}."
    p.requantized(p.keep("acc", _sum(p, prefix, p.table("offset"))), prefix)


def _conv_s16(p: Proof) -> None:
    """A 48-bit sum; see rescale_wide.h."""
    total = p.keep("acc", _sum(p, ""), "int64")
    shift, multiplier = p.table("shift"), p.table("multiplier")
    p.need("sum", total.low, -(2**47) + 1, 2**47 - 1)
    p.need("sum", total.high, -(2**47) + 1, 2**47 - 1)
    p.need("multiplier", multiplier, 0, 2**15 - 1)
    p.need("shift", shift, 1, 46)
    value = p.keep("value", (total * multiplier + 2 ** (shift - 1)) >> shift)
    p.clamp(p.keep("value + zero_point", value + p.param("zero_point")), p.param("low"), p.param("high"))


def _epilogue(p: Proof, acc: Interval, offset: Array | int) -> None:
    """(acc + offset) >> shift, clamped."""
    p.need("shift", p.param("shift"), 0, 31)
    made = p.keep("acc + offset", acc + offset)
    p.clamp(made >> p.param("shift"), p.param("low"), p.param("high"))


def _add(p: Proof) -> None:
    a, b = (p.keep(f"{n} * {n}_scale", x * p.param(f"{n}_scale")) for n, x in zip("ab", p.inputs, strict=True))
    _epilogue(p, p.keep("acc", a + b), p.param("offset"))


def _add_rescaled(p: Proof) -> None:
    p.need("left", p.param("left"), 0, 30)
    parts = []
    for n, x in zip("ab", p.inputs, strict=True):
        moved = p.keep(f"({n} - {n}_zero_point) << left", (x - p.param(f"{n}_zero_point")) * 2 ** p.param("left"))
        parts.append(p.rescale(n, moved, p.param(f"{n}_multiplier"), p.param(f"{n}_exponent")))
    total = p.keep("sum", parts[0] + parts[1] * p.param("sign"))
    value = p.rescale("sum", total, p.param("y_multiplier"), p.param("y_exponent"))
    p.clamp(p.keep("value + zero_point", value + p.param("y_zero_point")), p.param("low"), p.param("high"))


def _product(p: Proof, ctype: str) -> Interval:
    a, b = (
        p.keep(f"{n} - {n}_zero_point", x - p.param(f"{n}_zero_point")) for n, x in zip("ab", p.inputs, strict=True)
    )
    return p.keep("product", a * b, ctype)


def _mul(p: Proof) -> None:
    _epilogue(p, p.keep("product * scale", _product(p, "int32") * p.param("scale")), p.param("offset"))


def _mul_rescaled(p: Proof) -> None:
    value = p.rescale("product", _product(p, "int32"), p.param("multiplier"), p.param("exponent"))
    p.clamp(p.keep("value + zero_point", value + p.param("y_zero_point")), p.param("low"), p.param("high"))


def _mul_wide(p: Proof) -> None:
    """A product of 34 bits; see mul_wide.h."""
    product, shift = _product(p, "int64"), p.param("shift")
    p.keep("product >> 1", product >> 1)
    p.need("multiplier", p.param("multiplier"), 0, 2**31 - 1)
    p.need("shift", shift, 31, 62)
    total = p.keep("sum", product * p.param("multiplier") + 2 ** (shift - 1), "int64")
    value = p.keep("value", total >> shift)
    p.clamp(p.keep("value + zero_point", value + p.param("y_zero_point")), p.param("low"), p.param("high"))


def _affine(p: Proof) -> None:
    _epilogue(p, p.keep("x * scale", p.inputs[0] * p.table("scale")), p.table("offset"))


def _affine_wide(p: Proof) -> None:
    total = p.keep("x * scale + offset", p.inputs[0] * p.table("scale") + p.table("offset"), "int64")
    p.need("shift", p.param("shift"), 1, 62)
    p.clamp(p.keep("value", total >> p.param("shift")), p.param("low"), p.param("high"))


def _prelu(p: Proof) -> None:
    d = p.keep("x - zero_point", p.inputs[0] - p.param("zero_point"))
    above = p.keep("above * scale", Interval(most(d.low, 0), most(d.high, 0)) * p.param("scale"))
    below = p.keep("below * slope", Interval(least(d.low, 0), least(d.high, 0)) * p.table("slope"))
    # One of both is 0.
    either = Interval(least(above.low, below.low), most(above.high, below.high))
    _epilogue(p, p.keep("above + below", either), p.param("offset"))


def _prelu_rescaled(p: Proof) -> None:
    d = p.keep("x - zero_point", p.inputs[0] - p.param("x_zero_point"))
    above = p.rescale("d", d, p.param("above_multiplier"), p.param("above_exponent"))
    product = p.keep("d * slope", d * p.table("slope"))
    below = p.rescale("d * slope", product, p.param("below_multiplier"), p.param("below_exponent"))
    for value in (above, below):
        p.clamp(p.keep("value + zero_point", value + p.param("y_zero_point")), -128, 127)


def _mean(p: Proof) -> None:
    total = p.keep("sum", _times(p.inputs[0], p.param("reduced")))
    _epilogue(p, p.keep("sum * scale", total * p.param("scale")), p.param("offset"))


def _mean_rescaled(p: Proof) -> None:
    total = p.keep("sum", _times(p.inputs[0], p.param("reduced")) + p.param("offset"))
    p.keep("partial sum", _partial(p.inputs[0], p.param("reduced")) + p.param("offset"))
    value = p.rescale("sum", total, p.param("multiplier"), p.param("exponent"))
    p.clamp(p.keep("value + zero_point", value + p.param("zero_point")), p.param("low"), p.param("high"))


def _times(x: Interval, count: int) -> Interval:
    return Interval(x.low * count, x.high * count)


def _partial(x: Interval, count: int) -> Interval:
    """The sum of any number of values, up to `count`."""
    return Interval(least(x.low * count, 0), most(x.high * count, 0))


def _average_pool(p: Proof) -> None:
    taps, zero = p.param("pool.kernel_height") * p.param("pool.kernel_width"), p.param("input_zero_point")
    p.keep("partial sum", _partial(p.inputs[0], taps) - Interval(min(0, zero * taps), max(0, zero * taps)))
    inside = np.outer(_inside(p, "height", "y", "top"), _inside(p, "width", "x", "left")).reshape(-1).astype(object)
    total = p.keep("sum", (p.inputs[0] - zero) * inside)
    _epilogue(p, p.keep("sum * reciprocal", total * p.table("reciprocal")), p.param("offset"))


def _inside(p: Proof, size: str, axis: str, edge: str) -> Array:
    """How many taps of a window lie inside the image, for each output along an axis."""
    step, stride = p.param(f"pool.dilation_{axis}"), p.param(f"pool.stride_{axis}")
    begin = np.arange(p.param(f"pool.out_{size}")) * stride - p.param(f"pool.pad_{edge}")
    at = begin[:, None] + np.arange(p.param(f"pool.kernel_{size}")) * step
    made: Array = ((at >= 0) & (at < p.param(f"pool.{size}"))).sum(axis=1)
    return made


def _average_pool_exact(p: Proof) -> None:
    taps, bias = p.param("pool.kernel_height") * p.param("pool.kernel_width"), p.param("bias")
    total = p.keep("sum", _partial(p.inputs[0] + bias, taps))
    size = max(-total.ends[0], total.ends[1])
    p.keep("size + taps / 2", Interval(0, size + taps // 2))
    p.clamp(p.inputs[0], p.param("low"), p.param("high"))


def _interpolate(p: Proof) -> None:
    table = p.table("table")
    step = p.keep("step", Interval(table[1:] - table[:-1], table[1:] - table[:-1]))
    value = p.keep("step * rest + 64", step * Interval(0, 127) + 64) >> 7
    p.clamp(p.keep("value", value + table[:-1]), -32768, 32767)


def _signed(p: Proof) -> None:
    """argmax, extreme, extremum: differences of two values, of either sign."""
    x = Interval(least(*(i.low for i in p.inputs)), most(*(i.high for i in p.inputs)))
    x = x * p.param("sign")
    p.keep("best - value", x - x - Interval(0, 1))


def _softmax(p: Proof) -> None:
    count, most = p.param("count"), int(p.call.tables["exponentials"].max(initial=0))
    total = p.keep("total", Interval(0, count * most), "uint32")
    p.keep("(int32_t)total", total)
    p.keep("value", Interval(0, (most << (15 if p.call.family == "softmax_s16" else 8)) + total.high // 2))
    if p.call.family == "softmax_s16":
        p.need("step", p.param("step"), 0, 7)
        table = p.table("exponentials")
        p.keep("fall * rest", Interval(0, int((table[:-1] - table[1:]).max()) * 127 + 64))


def _softmax_scaled(p: Proof) -> None:
    count, largest = p.param("count"), int(p.call.tables["exponentials"].max(initial=0))
    p.keep("(int32_t)total", p.keep("total", Interval(0, count * largest), "uint32"))
    p.need("factor", p.param("factor"), 0, 2**16 - 1)
    p.need("shift", p.param("shift"), 0, 16)
    p.keep("value", Interval(0, p.param("factor") * largest))
    share = p.keep("share + half", Interval(0, p.param("factor")) + (1 << p.param("shift") >> 1))
    p.keep("value + zero_point", (share >> p.param("shift")) + p.param("zero_point"))


def _softmax_exact(p: Proof) -> None:
    """Up to 2**12 terms of up to 2**19, and Newton's method on Q2.29 values below 4."""
    p.keep("total", Interval(0, p.param("count") << 19), "uint32")
    p.need("count", p.param("count"), 1, 1 << 12)
    p.need("exponentials", p.table("exponentials"), 0, 2**31 - 1)


def _nothing(p: Proof) -> None:
    """Moves values, and computes none."""


FAMILIES: Mapping[str, Callable[[Proof], None]] = {
    **dict.fromkeys(("dense", "conv2d", "conv2d_grouped", "depthwise", "conv_w16", "conv_s16_once"), _linear),
    **dict.fromkeys(("dense_offset", "conv2d_offset"), _linear_offset),
    **dict.fromkeys(("argmax", "extreme", "extremum"), _signed),
    **dict.fromkeys(("copy", "fill", "gather", "lookup", "max_pool", "select"), _nothing),
    **dict.fromkeys(("softmax", "softmax_s16"), _softmax),
    "softmax_scaled": _softmax_scaled,
    "softmax_exact": _softmax_exact,
    "conv_s16": _conv_s16,
    "add": _add,
    "add_rescaled": _add_rescaled,
    "mul": _mul,
    "mul_rescaled": _mul_rescaled,
    "mul_wide": _mul_wide,
    "affine": _affine,
    "affine_wide": _affine_wide,
    "prelu": _prelu,
    "prelu_rescaled": _prelu_rescaled,
    "mean": _mean,
    "mean_rescaled": _mean_rescaled,
    "average_pool": _average_pool,
    "average_pool_exact": _average_pool_exact,
    "interpolate": _interpolate,
}
"""By the family of a kernel call."""
