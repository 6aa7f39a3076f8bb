/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp((a * a_scale + b * b_scale + offset) >> shift) over a box, each input with strides of its own (0 repeats).
 *
 * Strides count elements; y is dense. Zero points and the rounding constant are in the offset. The sum fits 32
 * bits. y may be a's memory when a is not repeated.
 */
#ifndef CHIPFIT_ADD_H
#define CHIPFIT_ADD_H

#include "walk.h"

struct add {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t a_scale, b_scale;
    int32_t offset;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(add)(const struct add *p, const int8_t *a, const int8_t *b, int8_t *y);

#endif
