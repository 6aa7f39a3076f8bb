/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_MULTIPLY_HIGH_H
#define CHIPFIT_MULTIPLY_HIGH_H

#include "kernel.h"

/* floor((a * b + half * 2^30) / 2^31) for b >= 0 and half 0 or 1, from four 16-bit products: Armv6-M has no long multiply, and the
 * compilers' __aeabi_lmul takes several times as long. */
static inline int32_t multiply_floor(int32_t a, int32_t b, int32_t half)
{
    int32_t a_high = a >> 16, b_high = b >> 16;
    uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    uint32_t low = a_low * b_low;
    /* |a_high| <= 2^15 and b_low < 2^16, so neither sum below leaves 32 bits. */
    int32_t middle = a_high * (int32_t)b_low + (int32_t)(low >> 16);
    uint32_t upper = a_low * (uint32_t)b_high + ((uint32_t)middle & 0xffffu);
    int32_t high = a_high * b_high + (middle >> 16) + (int32_t)(upper >> 16);
    /* Bits 30 and 31 of the product's low word, which (upper << 16 | low & 0xffff) is. */
    uint32_t rounded = (((upper << 16) >> 30) + (uint32_t)half) >> 1;
    uint32_t bits = (uint32_t)high * 2u + rounded;
    return (int32_t)bits;
}

/* floor(a * b / 2^31 + 1/2) for b >= 0. */
static inline int32_t multiply_high(int32_t a, int32_t b)
{
    return multiply_floor(a, b, 1);
}

#endif
