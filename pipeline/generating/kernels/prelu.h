/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* With d = x[a][c][i] - zero_point: y = clamp((max(d, 0) * scale + min(d, 0) * slope[c] + offset) >> shift).
 *
 * x and y are int8 [outer][channels][inner] and may be the same memory. The sum fits 32 bits.
 */
#ifndef CHIPFIT_PRELU_H
#define CHIPFIT_PRELU_H

#include "kernel.h"

struct prelu {
    const int32_t *slope;
    int32_t outer, channels, inner;
    int32_t zero_point;
    int32_t scale;
    int32_t offset;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(prelu)(const struct prelu *p, const int8_t *x, int8_t *y);
void KERNEL(prelu_s16)(const struct prelu *p, const int16_t *x, int16_t *y);

#endif
