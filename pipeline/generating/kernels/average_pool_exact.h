/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[b][oy][ox][c] = clamp(s / n - bias), s the sum of x + bias over the n taps of the window inside the image, s / n
 * rounded with ties away from zero. x and y do not overlap.
 */
#ifndef CHIPFIT_AVERAGE_POOL_EXACT_H
#define CHIPFIT_AVERAGE_POOL_EXACT_H

#include "pool.h"

struct average_pool_exact {
    struct pool pool;
    int32_t bias;
    int32_t low, high;
};

void KERNEL(average_pool_exact)(const struct average_pool_exact *p, const int8_t *x, int8_t *y);
void KERNEL(average_pool_exact_s16)(const struct average_pool_exact *p, const int16_t *x, int16_t *y);

#endif
