/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][c][i] = clamp((x[a][c][i] * scale[c] + offset[c]) >> shift), x and y int16 [outer][channels][inner].
 *
 * Zero points and the rounding constant are in the offset, |offset| < 2^61. 1 <= shift <= 46. x and y may be the same memory. The shifted sum fits 32
 * bits.
 */
#ifndef CHIPFIT_AFFINE_WIDE_H
#define CHIPFIT_AFFINE_WIDE_H

#include "kernel.h"

struct affine_wide {
    const int32_t *scale;
    const int64_t *offset;
    int32_t outer, channels, inner;
    int32_t shift;
    int32_t low, high;
};

void KERNEL(affine_wide)(const struct affine_wide *p, const int16_t *x, int16_t *y);

#endif
