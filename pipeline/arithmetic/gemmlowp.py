"""gemmlowp's fixed-point exp and reciprocal on arrays of int32 values held in int64.

TensorFlow Lite's reference kernels compute quantized Softmax with them, so an imported model means exactly these
roundings. Qm.n below is an int32 with m integer and n = 31 - m fractional bits.
Source: gemmlowp, fixedpoint/fixedpoint.h.
"""

import numpy as np

from pipeline.graph.tensor import Array

INT32_MAX = 2**31 - 1
ONE_Q0 = INT32_MAX
_ONE_Q2 = 1 << 29
_EXP_OF_POWERS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""exp(-2**e) in Q0.31 for each e: the factors of the exponential's barrel shifter."""


def high_multiply(a: Array | int, b: Array | int) -> Array:
    """SaturatingRoundingDoublingHighMul: floor(a * b / 2**31 + 1/2); -2**31 squared saturates."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def divide_by_pot(value: Array, exponent: Array | int) -> Array:
    """RoundingDivideByPOT: value / 2**exponent, ties away from zero."""
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0))


def multiply_by_pot(value: Array, exponent: int) -> Array:
    """value * 2**exponent for exponent >= 0, saturated to int32."""
    return np.clip(value << exponent, -(2**31), INT32_MAX)


def exp_on_negative_values(a: Array, integer_bits: int) -> Array:
    """exp(a) in Q0 for `a` in Qm, m = `integer_bits`, all at most 0."""
    fraction = 31 - integer_bits
    quarter = np.int64(1) << (fraction - 2)
    rest = (a & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(multiply_by_pot(rest, integer_bits))
    remainder = rest - a
    for exponent, factor in _EXP_OF_POWERS:
        if integer_bits > exponent:
            chosen = (remainder & (1 << (fraction + exponent))) != 0
            result = np.where(chosen, high_multiply(result, factor), result)
    return np.where(a == 0, ONE_Q0, result)


def _exp_above_minus_quarter(a: Array) -> Array:
    """exp on [-1/4, 0) in Q0: a Taylor polynomial around -1/8."""
    center, third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = high_multiply(x, x)
    x3, x4 = high_multiply(x2, x), high_multiply(x2, x2)
    tail = divide_by_pot(high_multiply(divide_by_pot(x4, 2) + x3, third) + x2, 1)
    return center + high_multiply(center, x + tail)


def _reciprocal(half_denominator: Array) -> Array:
    """1 / (2 * half_denominator) in Q2, three Newton-Raphson steps from the linear guess 48/17 - 32/17 d."""
    x = 1515870810 + high_multiply(half_denominator, -1010580540)
    for _ in range(3):
        error = _ONE_Q2 - high_multiply(half_denominator, x)
        x = x + multiply_by_pot(high_multiply(x, error), 2)
    return x


def _half_sum_with_one(a: Array) -> Array:
    return (a + ONE_Q0 + 1) >> 1


def one_over_one_plus(a: Array) -> Array:
    """1 / (1 + a) in Q0 for `a` in [0, 1), in Q0."""
    return multiply_by_pot(_reciprocal(_half_sum_with_one(a)), 1)


def input_radius(integer_bits: int, left_shift: int) -> int:
    """The largest |input| that a left shift by `left_shift` keeps inside Qm. Source: TFLite CalculateInputRadius."""
    return int(np.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits) / 2.0**left_shift))
