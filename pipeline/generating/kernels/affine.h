/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][c][i] = clamp((x[a][c][i] * scale[c] + offset[c]) >> shift), x and y int8 [outer][channels][inner].
 *
 * Zero points and the rounding constant are in the offset. x and y may be the same memory. The sum fits 32 bits.
 */
#ifndef CHIPFIT_AFFINE_H
#define CHIPFIT_AFFINE_H

#include "kernel.h"

struct affine {
    const int32_t *scale;
    const int32_t *offset;
    int32_t outer, channels, inner;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(affine)(const struct affine *p, const int8_t *x, int8_t *y);

#endif
