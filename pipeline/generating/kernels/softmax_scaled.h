/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Along `count`: e = exponentials[max - x], y = (floor(factor * e / total) + half) >> shift, plus zero_point, at most 127;
 * half is 2^shift / 2.
 *
 * x and y are int8 [outer][count][inner] and may be the same memory. exponentials: 256 entries of at most 2^15, the
 * first 2^15; count is at most 2^15, factor below 2^16, shift at most 16.
 */
#ifndef CHIPFIT_SOFTMAX_SCALED_H
#define CHIPFIT_SOFTMAX_SCALED_H

#include "kernel.h"

struct softmax_scaled {
    const uint16_t *exponentials;
    int32_t outer, count, inner;
    int32_t factor, shift, zero_point;
};

void KERNEL(softmax_scaled)(const struct softmax_scaled *p, const int8_t *x, int8_t *y);

#endif
