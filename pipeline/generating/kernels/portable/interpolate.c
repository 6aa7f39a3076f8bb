/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "interpolate.h"

void KERNEL(interpolate)(const struct interpolate *p, const int16_t *x, int16_t *y)
{
    for (int32_t i = 0; i < p->count; ++i) {
        int32_t at = x[i] + 32768;
        const int32_t *left = p->table + (at >> 7);
        int32_t step = left[1] - left[0];
        int32_t value = left[0] + ((step * (at & 127) + 64) >> 7);
        y[i] = (int16_t)min_int32(max_int32(value, INT16_MIN), INT16_MAX);
    }
}
