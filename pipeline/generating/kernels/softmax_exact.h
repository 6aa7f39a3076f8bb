/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Along `count`, as gemmlowp does: e = exponentials[max - x] in Q0.31, y = round(2^8 * e * (1 / sum of e)) - 128, with
 * the reciprocal by three Newton-Raphson steps in Q2.29.
 *
 * x and y are int8 [outer][count][inner] and may be the same memory. exponentials: 256 entries, the first 2^31 - 1, 0
 * where the difference does not count; count is at most 2^12.
 */
#ifndef CHIPFIT_SOFTMAX_EXACT_H
#define CHIPFIT_SOFTMAX_EXACT_H

#include "kernel.h"

struct softmax_exact {
    const int32_t *exponentials;
    int32_t outer, count, inner;
};

void KERNEL(softmax_exact)(const struct softmax_exact *p, const int8_t *x, int8_t *y);

#endif
