/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp(((a - a_zero_point) * (b - b_zero_point) * scale + offset) >> shift) over a box; strides as in add.
 *
 * The rounding constant and the output's zero point are in the offset. The product fits 32 bits.
 */
#ifndef CHIPFIT_MUL_H
#define CHIPFIT_MUL_H

#include "walk.h"

struct mul {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t a_zero_point, b_zero_point;
    int32_t scale;
    int32_t offset;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(mul)(const struct mul *p, const int8_t *a, const int8_t *b, int8_t *y);

#endif
