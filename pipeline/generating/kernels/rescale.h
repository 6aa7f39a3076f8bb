/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* value * multiplier * 2^(exponent - 31), rounded twice as TensorFlow Lite's reference kernels do: to an integer, ties
 * up, and then by the power of two, ties away from zero. multiplier is in [2^30, 2^31) or 0; value * 2^exponent fits 32
 * bits for a positive exponent. */
#ifndef CHIPFIT_RESCALE_H
#define CHIPFIT_RESCALE_H

#include "multiply_high.h"

static inline int32_t rescale(int32_t value, int32_t multiplier, int32_t exponent)
{
    int32_t left = max_int32(exponent, 0);
    int32_t right = left - exponent;
    int32_t high = multiply_high(value * (int32_t)(1u << left), multiplier);
    int32_t mask = (int32_t)((1u << right) - 1u);
    int32_t threshold = (mask >> 1) - negative_mask(high);
    int32_t up = negative_mask(threshold - (high & mask));
    return (high >> right) - up;
}

#endif
