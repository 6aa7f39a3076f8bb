/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "softmax_exact.h"

#include "rescale.h"

/* Bits in front of the first 1 of value, which is not 0. */
static int32_t leading_zeros(uint32_t value)
{
    int32_t count = 0;
    for (int32_t step = 16; step > 0; step >>= 1) {
        int32_t empty = (value >> (32 - step)) == 0;
        OPAQUE(empty);
        int32_t mask = -empty;
        count += step & mask;
        value <<= step & mask;
    }
    return count;
}

/* 2^31 / (1 + a / 2^31) for a in [0, 2^31). */
static int32_t one_over_one_plus(int32_t a)
{
    int32_t half = (int32_t)(((uint32_t)a + 0x80000000u) >> 1);
    /* 48/17 - 32/17 d; multiply_high wants its second factor positive. */
    int32_t x = 1515870810 + multiply_high(-1010580540, half);
    for (int32_t i = 0; i < 3; ++i) {
        int32_t error = (1 << 29) - multiply_high(half, x);
        x += multiply_high(error, x) * 4;
    }
    /* 2^30 in Q1.30 is 1, one more than Q0.31 holds. */
    uint32_t bits = (uint32_t)x * 2u - ((uint32_t)x >> 30);
    return (int32_t)bits;
}

static void along(const struct softmax_exact *p, const int8_t *x, int8_t *y)
{
    int32_t largest = -128, at = 0;
    uint32_t total = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        largest = max_int32(largest, x[at]);
        at += p->inner;
    }
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        total += ((uint32_t)p->exponentials[largest - x[at]] + 2048u) >> 12;
        at += p->inner;
    }
    int32_t headroom = leading_zeros(total);
    int32_t scale = one_over_one_plus((int32_t)((total << headroom) - 0x80000000u));
    /* Of up to 35 bits in all, three before and one after, so that no shift reaches 32. */
    int32_t shift = 31 - headroom;
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        int32_t e = p->exponentials[largest - x[at]];
        int32_t doubled = (multiply_high(scale, e) >> 3) >> shift;
        int32_t value = (doubled + 1) >> 1;
        y[at] = clamp_int8(value - 128, -128, 127);
        at += p->inner;
    }
}

void KERNEL(softmax_exact)(const struct softmax_exact *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            along(p, x + i, y + i);
        }
        x += p->count * p->inner;
        y += p->count * p->inner;
    }
}
