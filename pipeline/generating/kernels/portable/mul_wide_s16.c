/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "mul_wide.h"

#include "rescale_wide.h"

/* The carry out of a + b, which a comparison would make a branch. */
static inline uint32_t carry(uint32_t a, uint32_t b)
{
    return ((a & b) | ((a | b) & ~(a + b))) >> 31;
}

/* (a * b * multiplier + 2^(shift - 1)) >> shift, from products of 16 bits: Armv6-M has no long multiply. */
static inline int32_t scaled_product(int32_t a, int32_t b, int32_t multiplier, int32_t shift)
{
    /* a * b = 2 * half + odd; a is one bit wider than its half, so that nothing here leaves 32 bits. */
    int32_t rest = b & -(a & 1);
    int32_t half = (a >> 1) * b + (rest >> 1);
    uint32_t odd = (uint32_t)rest & 1u;
    int32_t upper = half >> 16, factor_high = multiplier >> 16;
    uint32_t lower = (uint32_t)half & 0xffffu, factor_low = (uint32_t)multiplier & 0xffffu;
    uint32_t low = lower * factor_low;
    int32_t middle = upper * (int32_t)factor_low + (int32_t)(low >> 16);
    uint32_t cross = lower * (uint32_t)factor_high + ((uint32_t)middle & 0xffffu);
    uint32_t high = (uint32_t)(upper * factor_high + (middle >> 16)) + (cross >> 16);
    low = (cross << 16) | (low & 0xffffu);
    /* Twice that, the odd one and the rounding constant. */
    high = (high << 1) | (low >> 31);
    low <<= 1;
    uint32_t more = (uint32_t)multiplier & (0u - odd);
    high += carry(low, more);
    low += more;
    if (shift > 32) {
        high += 1u << (shift - 33);
    } else {
        more = 1u << (shift - 1);
        high += carry(low, more);
        low += more;
    }
    return shift_words((int32_t)high, low, (uint32_t)shift);
}

void KERNEL(mul_wide_s16)(const struct mul_wide *p, const int16_t *a, const int16_t *b, int16_t *y)
{
    int32_t index[WALK_RANK];
    int32_t s = 0, t = 0;
    int32_t s_step = p->a_strides[WALK_RANK - 1], t_step = p->b_strides[WALK_RANK - 1];
    walk_begin(index);
    do {
        int32_t at_a = s, at_b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            int32_t value = scaled_product(a[at_a] - p->a_zero_point, b[at_b] - p->b_zero_point, p->multiplier, p->shift);
            *y++ = (int16_t)min_int32(max_int32(value + p->y_zero_point, p->low), p->high);
            at_a += s_step;
            at_b += t_step;
        }
    } while (walk_next(p->dims, p->a_strides, p->b_strides, index, &s, &t) != 0);
}
