/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp(rescale(rescale((a - a_zero_point) << left) + sign * rescale((b - b_zero_point) << left)) + y_zero_point)
 * over a box, each rescale by the multiplier and exponent of its letter (see rescale.h); strides as in add.
 *
 * sign is 1 or -1. Exponents are at most 0. y may be a's memory when a is not repeated.
 */
#ifndef CHIPFIT_ADD_RESCALED_H
#define CHIPFIT_ADD_RESCALED_H

#include "walk.h"

struct add_rescaled {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t left, sign;
    int32_t a_zero_point, a_multiplier, a_exponent;
    int32_t b_zero_point, b_multiplier, b_exponent;
    int32_t y_zero_point, y_multiplier, y_exponent;
    int32_t low, high;
};

void KERNEL(add_rescaled)(const struct add_rescaled *p, const int8_t *a, const int8_t *b, int8_t *y);
void KERNEL(add_rescaled_s16)(const struct add_rescaled *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
