/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Along `count`: e = exponentials[max - x], y = floor((256 * e + total / 2) / total) - 128, at most 127.
 *
 * x and y are int8 [outer][count][inner] and may be the same memory. exponentials: 256 entries of at most 2^15, the
 * first 2^15; count is at most 2^15.
 */
#ifndef CHIPFIT_SOFTMAX_H
#define CHIPFIT_SOFTMAX_H

#include "kernel.h"

struct softmax {
    const uint16_t *exponentials;
    int32_t outer, count, inner;
};

void KERNEL(softmax)(const struct softmax *p, const int8_t *x, int8_t *y);

#endif
