/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_MULTIPLY_HIGH_H
#define CHIPFIT_MULTIPLY_HIGH_H

#include "kernel.h"

/* floor((a * b + half * 2^30) / 2^31) for b >= 0 and half 0 or 1. */
static inline int32_t multiply_floor(int32_t a, int32_t b, int32_t half)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)half << 30)) >> 31);
}

/* floor(a * b / 2^31 + 1/2) for b >= 0: gemmlowp's saturating rounding doubling high multiply. */
static inline int32_t multiply_high(int32_t a, int32_t b)
{
    return multiply_floor(a, b, 1);
}

#endif
