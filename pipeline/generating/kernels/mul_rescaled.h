/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp(rescale((a - a_zero_point) * (b - b_zero_point)) + y_zero_point) over a box; strides as in add, rescale as
 * in rescale.h. The product, shifted left by a positive exponent, fits 32 bits.
 */
#ifndef CHIPFIT_MUL_RESCALED_H
#define CHIPFIT_MUL_RESCALED_H

#include "walk.h"

struct mul_rescaled {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t a_zero_point, b_zero_point, y_zero_point;
    int32_t multiplier, exponent;
    int32_t low, high;
};

void KERNEL(mul_rescaled)(const struct mul_rescaled *p, const int8_t *a, const int8_t *b, int8_t *y);
void KERNEL(mul_rescaled_s16)(const struct mul_rescaled *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
