/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][i] = clamp((sum over r of x[a][r][i] * scale + offset) >> shift), x int8 [outer][reduced][inner].
 *
 * Zero points and the rounding constant are in the offset. x and y do not overlap. The sum fits 32 bits.
 */
#ifndef CHIPFIT_MEAN_H
#define CHIPFIT_MEAN_H

#include "kernel.h"

struct mean {
    int32_t outer, reduced, inner;
    int32_t scale;
    int32_t offset;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(mean)(const struct mean *p, const int8_t *x, int8_t *y);

#endif
