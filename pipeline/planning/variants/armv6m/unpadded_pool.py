"""`unpadded_pool`: pooling over windows inside the image, without bounds to check.

See kernels/armv6m/unpadded_pool.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

import numpy as np

from pipeline.arithmetic.thresholds import SingleMultiply, single_multiply_like
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.pooling import AveragePoolExactParams, AveragePoolParams, MaxPoolParams, PoolParams
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.loops import CostedLines, Loop, Step, executed_by, lines_of
from pipeline.planning.variants.armv6m.macro_costs import code_size, executed_loop, executed_loop_end

NAME = "unpadded_pool"
SUMMARY = "pooling over windows that lie inside the image"

_MOST_WRITTEN_OUT = 16  # taps that are written out


def offer(call: KernelCall) -> Routine | None:
    """int8 max and average pooling; None where a window leaves the image, or is large and narrower than it."""
    params = call.params
    if call.int16 or not isinstance(params, MaxPoolParams | AveragePoolParams | AveragePoolExactParams):
        return None
    offsets = _tap_offsets(params.pool)
    if offsets is None or params.pool.batch != 1:
        return None
    multiply = None
    if not isinstance(params, MaxPoolParams):
        multiply = _single_multiply(params, len(offsets))
        if multiply is None or multiply.dips or (isinstance(params, AveragePoolParams) and params.reciprocal_step):
            return None
    return _routine(params.pool, offsets, multiply)


def _tap_offsets(p: PoolParams) -> list[int] | None:
    last_y = (p.out_height - 1) * p.stride_y + (p.kernel_height - 1) * p.dilation_y - p.pad_top
    last_x = (p.out_width - 1) * p.stride_x + (p.kernel_width - 1) * p.dilation_x - p.pad_left
    if p.pad_top or p.pad_left or last_y >= p.height or last_x >= p.width:
        return None
    rows = (ky * p.dilation_y * p.width for ky in range(p.kernel_height))
    offsets = [(r + kx * p.dilation_x) * p.channels for r in rows for kx in range(p.kernel_width)]
    steps = set(np.diff(offsets).tolist())
    return offsets if len(offsets) <= _MOST_WRITTEN_OUT or len(steps) == 1 else None


def _single_multiply(p: AveragePoolParams | AveragePoolExactParams, taps: int) -> SingleMultiply | None:
    """The multiplication that takes a window's sum to its average; None where one is not enough."""
    sum_range = np.array([-128 * taps]), np.array([127 * taps])
    if isinstance(p, AveragePoolParams):
        (reciprocal,) = p.reciprocal.astype(np.int64).reshape(-1)[:1].tolist()

        def scaled(total: Array) -> Array:
            acc = (total - taps * p.input_zero_point) * reciprocal + p.offset
            return np.clip(acc >> p.shift, p.low, p.high)

        return single_multiply_like(scaled, np.array([reciprocal * 2.0**-p.shift]), sum_range, np.zeros(1))

    def exact(total: Array) -> Array:
        raised = total + p.bias * taps
        return np.clip(np.sign(raised) * ((np.abs(raised) + taps // 2) // taps) - p.bias, p.low, p.high)

    return single_multiply_like(exact, np.array([1.0 / taps]), sum_range, np.zeros(1))


def _routine(p: PoolParams, offsets: list[int], multiply: SingleMultiply | None) -> Routine | None:
    written_out = len(offsets) <= _MOST_WRITTEN_OUT
    if multiply is None and not written_out:
        return None
    times, listed = 1, ", ".join(str(o) for o in offsets)
    if multiply is None:
        body = [f"pool_largest {listed}"]
    elif written_out:
        body = [f"pool_sum {listed}"]
    else:
        at_once = next(t for t in (8, 7, 6, 5, 4, 3, 2, 1) if len(offsets) % t == 0)
        times = len(offsets) // at_once
        body = [f"pool_walk {len(offsets)}, {offsets[1]}, {at_once}"]
    if multiply is not None:
        span = multiply.top - multiply.bottom
        words = [int(v[0]) for v in (multiply.top, span, multiply.low, multiply.high, multiply.offset)]
        body.append(f"pool_multiply {', '.join(str(w) for w in words)}, {multiply.split}, {multiply.shift}")
    channels = executed_loop(times, *body) * p.channels + executed_loop_end(p.channels, "pool_end")
    across = p.stride_x * p.channels
    down = (p.stride_y * p.width - p.out_width * p.stride_x) * p.channels
    position = (f"pool_begin {p.channels}", CostedLines(("1:", *body, "pool_end"), channels), f"add_word F_X, {across}")
    row = (Loop("F_COLUMNS", 3, p.out_width, position), f"add_word F_X, {down}")
    rows = Loop("F_ROWS", 4, p.out_height, row)
    steps: list[Step] = ["enter 6", "pool_outputs", rows, "leave 6"]
    lines = ("function LAYER({layer})", *lines_of(steps), "end_function LAYER({layer})")
    return Routine(
        variant=NAME,
        includes=("frame.inc", "unpadded_pool.inc"),
        shared=(),
        lines=lines,
        tables={},
        executed=executed_by(steps),
        code=code_size(lines),
        stack=60,
        least_cycles=0,
        reads=0,
    )
