/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_DIVIDE_H
#define CHIPFIT_DIVIDE_H

#include "kernel.h"

/* sum / count, ties away from zero, for |sum| <= 2^15 * count and |sum| + count / 2 < 2^31: sixteen quotient bits, one at
 * a time and without branches. */
static inline int32_t divide_away(int32_t sum, int32_t count)
{
    int32_t sign = negative_mask(sum);
    int32_t magnitude = (sum ^ sign) - sign;
    uint32_t value = (uint32_t)magnitude + ((uint32_t)count >> 1);
    uint32_t result = 0;
    for (int32_t bit = 15; bit >= 0; --bit) {
        /* count << bit may not fit: compare value >> bit instead; the remainder stays exact. */
        int32_t less = negative_mask((int32_t)(value >> bit) - count);
        uint32_t take = ~(uint32_t)less;
        value -= ((uint32_t)count << bit) & take;
        result = (result << 1) | (take & 1u);
    }
    return ((int32_t)result ^ sign) - sign;
}

#endif
