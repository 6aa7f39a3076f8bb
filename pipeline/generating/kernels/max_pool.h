/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[b][oy][ox][c] = the largest x[b][iy][ix][c] of the window's taps inside the image; x and y do not overlap. */
#ifndef CHIPFIT_MAX_POOL_H
#define CHIPFIT_MAX_POOL_H

#include "pool.h"

struct max_pool {
    struct pool pool;
};

void KERNEL(max_pool)(const struct max_pool *p, const int8_t *x, int8_t *y);
void KERNEL(max_pool_s16)(const struct max_pool *p, const int16_t *x, int16_t *y);

#endif
