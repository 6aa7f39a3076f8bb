/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Along `count`: d = max - x, e by straight lines between exponentials[d / 2^step] and the next, y = floor((2^15 * e +
 * total / 2) / total), at most 32767.
 *
 * x and y are int16 [outer][count][inner] and may be the same memory. exponentials: 513 entries of at most 2^15, the
 * first 2^15, larger differences than they reach take the last; count is at most 2^15; step is at most 7.
 */
#ifndef CHIPFIT_SOFTMAX_S16_H
#define CHIPFIT_SOFTMAX_S16_H

#include "kernel.h"

struct softmax_s16 {
    const uint16_t *exponentials;
    int32_t outer, count, inner;
    int32_t step;
};

void KERNEL(softmax_s16)(const struct softmax_s16 *p, const int16_t *x, int16_t *y);

#endif
