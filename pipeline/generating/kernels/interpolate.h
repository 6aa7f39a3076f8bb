/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[i] = clamp(table[k] + ((table[k + 1] - table[k]) * f + 64 >> 7)) to int16 for i < count, with k and f the upper 9 and
 * the lower 7 bits of x[i] + 32768: any function of an int16 by straight lines between 513 of its values, which are at
 * most 2^22. x and y may be the same memory.
 */
#ifndef CHIPFIT_INTERPOLATE_H
#define CHIPFIT_INTERPOLATE_H

#include "kernel.h"

struct interpolate {
    const int32_t *table;
    int32_t count;
};

void KERNEL(interpolate)(const struct interpolate *p, const int16_t *x, int16_t *y);

#endif
