/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][i] = clamp(rescale(sum over r of x[a][r][i] + offset) + zero_point), x [outer][reduced][inner]; rescale as in
 * rescale.h. x and y do not overlap. The sum fits 32 bits.
 */
#ifndef CHIPFIT_MEAN_RESCALED_H
#define CHIPFIT_MEAN_RESCALED_H

#include "kernel.h"

struct mean_rescaled {
    int32_t outer, reduced, inner;
    int32_t offset;
    int32_t multiplier, exponent;
    int32_t zero_point;
    int32_t low, high;
};

void KERNEL(mean_rescaled)(const struct mean_rescaled *p, const int8_t *x, int8_t *y);
void KERNEL(mean_rescaled_s16)(const struct mean_rescaled *p, const int16_t *x, int16_t *y);

#endif
