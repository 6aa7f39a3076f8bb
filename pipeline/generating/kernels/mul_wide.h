/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp((((a - a_zero_point) * (b - b_zero_point) * multiplier + 2^(shift - 1)) >> shift) + y_zero_point) over a box;
 * strides as in add: mul_rescaled for zero points that take the product beyond 32 bits, rounded once, ties up.
 *
 * |product| < 2^32, multiplier < 2^31, 31 <= shift <= 62; the rounded sum fits 64 bits, and shifted 32.
 */
#ifndef CHIPFIT_MUL_WIDE_H
#define CHIPFIT_MUL_WIDE_H

#include "walk.h"

struct mul_wide {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t a_zero_point, b_zero_point, y_zero_point;
    int32_t multiplier, shift;
    int32_t low, high;
};

void KERNEL(mul_wide_s16)(const struct mul_wide *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
