/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "softmax_s16.h"

/* value / divisor for a quotient below 2^16 and a divisor below 2^31, one bit at a time without branches. */
static int32_t quotient(uint32_t value, uint32_t divisor)
{
    uint32_t result = 0;
    for (int32_t bit = 15; bit >= 0; --bit) {
        /* divisor << bit may not fit: compare value >> bit instead; the remainder stays exact. */
        int32_t less = negative_mask((int32_t)(value >> bit) - (int32_t)divisor);
        uint32_t take = ~(uint32_t)less;
        value -= (divisor << bit) & take;
        result = (result << 1) | (take & 1u);
    }
    return (int32_t)result;
}

static uint32_t exponential(const struct softmax_s16 *p, int32_t difference)
{
    int32_t reached = min_int32(difference, (512 << p->step) - 1);
    const uint16_t *left = p->exponentials + (reached >> p->step);
    int32_t fall = left[0] - left[1], rest = reached & ((1 << p->step) - 1);
    return (uint32_t)(left[0] - ((fall * rest + ((1 << p->step) >> 1)) >> p->step));
}

static void along(const struct softmax_s16 *p, const int16_t *x, int16_t *y)
{
    int32_t largest = INT16_MIN, at = 0;
    uint32_t total = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        largest = max_int32(largest, x[at]);
        at += p->inner;
    }
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        total += exponential(p, largest - x[at]);
        at += p->inner;
    }
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        uint32_t scaled = (exponential(p, largest - x[at]) << 15) + (total >> 1);
        y[at] = (int16_t)min_int32(quotient(scaled, total), 32767);
        at += p->inner;
    }
}

void KERNEL(softmax_s16)(const struct softmax_s16 *p, const int16_t *x, int16_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            along(p, x + i, y + i);
        }
        x += p->count * p->inner;
        y += p->count * p->inner;
    }
}
