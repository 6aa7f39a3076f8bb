/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_REQUANTIZE_ONCE_H
#define CHIPFIT_REQUANTIZE_ONCE_H

#include "multiply_high.h"
#include "requantize.h"

/* Before the clamp. */
static inline int32_t requantized(const struct requantize *r, int32_t acc, int32_t channel)
{
    int32_t exponent = r->exponent[channel];
    int32_t left = max_int32(exponent, 0);
    int32_t right = left - exponent;
    /* floor((acc * multiplier / 2^31 + 2^right / 2) / 2^right): the inner fraction never decides, except that without
     * a right shift it is what is rounded. */
    int32_t floored = multiply_floor(acc * (int32_t)(1u << left), r->multiplier[channel], right == 0);
    int32_t half = (int32_t)((1u << right) >> 1);
    return ((floored + half) >> right) + r->zero_point;
}

static inline int8_t requantize(const struct requantize *r, int32_t acc, int32_t channel)
{
    return clamp_int8(requantized(r, acc, channel), r->low, r->high);
}

#endif
