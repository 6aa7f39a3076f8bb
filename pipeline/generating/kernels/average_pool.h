/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[b][oy][ox][c] = clamp((s * reciprocal[k] + offset) >> shift), s the sum of x - input_zero_point over the window's
 * taps inside the image; k counts output positions when reciprocal_step is 1, else one reciprocal serves all.
 *
 * The rounding constant and the output's zero point are in the offset. x and y do not overlap.
 */
#ifndef CHIPFIT_AVERAGE_POOL_H
#define CHIPFIT_AVERAGE_POOL_H

#include "pool.h"

struct average_pool {
    const int32_t *reciprocal;
    struct pool pool;
    int32_t reciprocal_step;
    int32_t input_zero_point;
    int32_t offset;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(average_pool)(const struct average_pool *p, const int8_t *x, int8_t *y);

#endif
