"""`add_lookup`: an addition of equal shapes by two looked up words and a shift.

An output depends on two bytes, so 65,536 pairs are all there is: the tables are scaled so that one shift of their sum
rounds every pair as the operator does, and every pair is checked.

See kernels/armv6m/add_lookup.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

import numpy as np

from pipeline.arithmetic.fixedpoint import multiply_by_quantized_multiplier
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.pairs import AddParams, AddRescaledParams
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.macro_costs import code_size, executed_loop, executed_once
from pipeline.planning.variants.armv6m.requantize import int32

NAME = "add_lookup"
SUMMARY = "addition of equal shapes: two words looked up, added and shifted"

_AT_ONCE = 4
_BYTES = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)


def offer(call: KernelCall) -> Routine | None:
    """An int8 addition or subtraction; None for broadcasts, constants, and where no shift rounds every pair right."""
    p = call.params
    if call.int16 or not isinstance(p, AddParams | AddRescaledParams):
        return None
    count = int(np.prod(p.dims))
    if any(s != (0, 0, 0, 0, 0, 1) for s in (p.a_strides, p.b_strides)) or p.dims[-1] != count:
        return None
    a, b, slope, wanted = _rescaled(p) if isinstance(p, AddRescaledParams) else _scaled(p)
    found = _tables(a, b, slope, wanted, p.low, p.high)
    return None if found is None else _routine(p, count, *found)


def _rescaled(p: AddRescaledParams) -> tuple[Array, Array, float, Array]:
    """Both inputs' terms by their bytes, the output's steps per unit of their sum, and the output of every pair."""
    a, b = (
        multiply_by_quantized_multiplier((_BYTES - zero_point) << p.left, multiplier, exponent)
        for zero_point, multiplier, exponent in (
            (p.a_zero_point, p.a_multiplier, p.a_exponent),
            (p.b_zero_point, p.b_multiplier, p.b_exponent),
        )
    )
    b = b * p.sign
    total = multiply_by_quantized_multiplier(a[:, None] + b[None, :], p.y_multiplier, p.y_exponent)
    slope = p.y_multiplier * 2.0 ** (p.y_exponent - 31)
    return a, b, slope, np.clip(total + p.y_zero_point, p.low, p.high)


def _scaled(p: AddParams) -> tuple[Array, Array, float, Array]:
    a, b = _BYTES * p.a_scale, _BYTES * p.b_scale
    acc = a[:, None] + b[None, :] + p.offset
    return a, b, 2.0**-p.shift, np.clip(acc >> p.shift, p.low, p.high)


def _tables(a: Array, b: Array, slope: float, wanted: Array, low: int, high: int) -> tuple[Array, Array, int] | None:
    """(first, second, shift): high - output = clamp((first[a] + second[b]) >> shift), for every pair."""
    largest = (np.abs(a).max() + np.abs(b).max()) * slope + 512.0
    shift = 30 - int(np.ceil(np.log2(largest)))
    if shift < 0:  # an output far finer than its inputs
        return None
    steps = wanted - low
    for nudge in (0.0, 0.5, 0.25, 0.75):
        first, second = np.floor(a * slope * 2.0**shift + nudge), np.floor(b * slope * 2.0**shift + 1.0 - nudge)
        total = (first[:, None] + second[None, :]).astype(np.int64)
        least = ((steps << shift) - total)[wanted > low].max(initial=-(2**62))
        most = (((steps + 1) << shift) - 1 - total)[wanted < high].min(initial=2**62)
        if least <= most and least > -(2**40) and most < 2**40:
            offset = (int(least) + int(most)) // 2
            top = ((high - low + 1) << shift) - 1 - offset
            return top - first.astype(np.int64), -second.astype(np.int64), shift
    return None


def _routine(p: AddParams | AddRescaledParams, count: int, first: Array, second: Array, shift: int) -> Routine | None:
    if max(np.abs(first).max() + np.abs(second).max(), np.abs(first).max()) >= 2**31:
        return None
    low, loops, rest = p.low, count // _AT_ONCE, count % _AT_ONCE
    enter = f"add_lookup_enter {{a}}, {{b}}, {p.high - low}, {loops * _AT_ONCE}"
    turn = ["1:", *(f"add_lookup_one {i}, {shift}, {low}" for i in range(_AT_ONCE)), f"add_lookup_next {_AT_ONCE}"]
    last = [*(f"add_lookup_one {i}, {shift}, {low}" for i in range(rest)), "add_lookup_leave"]
    looping = turn if loops else []
    lines = ("function LAYER({layer})", enter, *looping, *last, "end_function LAYER({layer})")
    return Routine(
        variant=NAME,
        includes=("frame.inc", "add_lookup.inc"),
        shared=(),
        lines=lines,
        tables={"a": int32(first), "b": int32(second)},
        executed=executed_once(enter, *last) + (executed_loop(loops, *turn) if loops else executed_once()),
        code=code_size(lines),
        stack=28,
        least_cycles=0,
        reads=2 * count,
    )
