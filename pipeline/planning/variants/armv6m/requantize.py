"""The epilogue of a linear layer in assembly: constants per output in the stream, and the macro that reads them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.arithmetic.fixedpoint import INT32_MAX, accumulator_range, apply_rescale
from pipeline.arithmetic.thresholds import single_multiply
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import LinearParams, RequantizeParams, weight_rows
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array

ACCUMULATORS = ("sum0", "sum1", "sum2", "sum3", "sum4", "sum5")
"""Registers of a block's outputs; `value` is the one in which an output is computed."""


@dataclass(frozen=True, eq=False)
class Epilogue:
    """`start`: what an accumulator has to begin with, from which the weighted inputs are subtracted.

    `constants` (channels, words): the stream of one output. `macro` and its last arguments.
    """

    start: Array
    constants: Array
    macro: str
    arguments: str
    results: Array
    """The output of an accumulator that stays as it began."""

    def constant(self, channel: int) -> int:
        """The output of a channel all of whose weights are 0."""
        return int(self.results[channel])


@lru_cache(maxsize=128)
def epilogue_of(call: KernelCall) -> Epilogue | None:
    """The epilogue of a conv2d, dense or depthwise call; None where 32 bits cannot represent it."""
    p = call.params
    assert isinstance(p, LinearParams)
    weights, bias = weight_rows(p), p.bias.astype(np.int64)
    epilogue = (
        _rounding_shift(p.requantize, bias)
        if call.requantizer == "shift"
        else _single_multiply(p.requantize, call.requantizer, weights, bias)
    )
    if epilogue is None:
        return None
    sum_range = accumulator_range(weights, np.zeros_like(bias))
    if (
        max(np.abs(epilogue.start - r).max(initial=0) for r in sum_range) > INT32_MAX
        or np.abs(epilogue.start).max() > INT32_MAX
    ):
        return None
    return epilogue


def _rounding_shift(requantize: RequantizeParams, bias: Array) -> Epilogue:
    assert requantize.shift is not None
    low, high, shift = requantize.low, requantize.high, requantize.shift.astype(np.int64)
    start = (np.int64(high) << shift) + (np.int64(1) << shift) - 1 - bias
    results = np.clip(bias >> shift, low, high)
    bounds = f"{high - low}, {low}"
    return Epilogue(start, shift[:, None], "requantize_shift", bounds, results)


def _single_multiply(requantize: RequantizeParams, kind: str, weights: Array, bias: Array) -> Epilogue | None:
    zero_point, exponent, multiplier = requantize.zero_point, requantize.exponent, requantize.multiplier
    assert zero_point is not None and exponent is not None and multiplier is not None
    rescale = Rescale("", "", zero_point, requantize.low, requantize.high, kind)
    multiply = single_multiply(rescale, exponent, multiplier, accumulator_range(weights, bias))
    if multiply is None:
        return None
    results = apply_rescale(bias, rescale, exponent, multiplier)
    start, span = multiply.top - bias, multiply.top - multiply.bottom
    if multiply.dips:
        words = [span, multiply.pivot, multiply.dip, multiply.offset, multiply.low, multiply.high]
        return Epilogue(start, np.stack(words, 1), "requantize_dip", f"{multiply.split}, {multiply.shift}", results)
    words = [span, multiply.low, multiply.high, multiply.offset]
    return Epilogue(start, np.stack(words, 1), "requantize_multiply", f"{multiply.split}, {multiply.shift}", results)


def int32(values: Array) -> Array:
    """Numbers modulo 2**32 as int32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
