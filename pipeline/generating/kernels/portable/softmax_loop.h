/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Softmax of int8 values. The including file chooses PARAMS (the struct), and how finish(p, exponential, total) makes an
 * output. */
#ifndef CHIPFIT_SOFTMAX_LOOP_H
#define CHIPFIT_SOFTMAX_LOOP_H

/* value / divisor for a quotient below 2^(top + 1) and a divisor below 2^31, one bit at a time without branches. */
static inline int32_t quotient(uint32_t value, uint32_t divisor, int32_t top)
{
    uint32_t result = 0;
    for (int32_t bit = top; bit >= 0; --bit) {
        /* divisor << bit may not fit: compare value >> bit instead; the remainder stays exact. */
        int32_t less = negative_mask((int32_t)(value >> bit) - (int32_t)divisor);
        uint32_t take = ~(uint32_t)less;
        value -= (divisor << bit) & take;
        result = (result << 1) | (take & 1u);
    }
    return (int32_t)result;
}

static int8_t finish(const struct PARAMS *p, uint32_t exponential, uint32_t total);

static void along(const struct PARAMS *p, const int8_t *x, int8_t *y)
{
    int32_t largest = -128;
    uint32_t total = 0;
    int32_t at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        largest = max_int32(largest, x[at]);
        at += p->inner;
    }
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        total += p->exponentials[largest - x[at]];
        at += p->inner;
    }
    at = 0;
    for (int32_t i = 0; i < p->count; ++i) {
        y[at] = finish(p, p->exponentials[largest - x[at]], total);
        at += p->inner;
    }
}

static inline void softmax_loop(const struct PARAMS *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            along(p, x + i, y + i);
        }
        x += p->count * p->inner;
        y += p->count * p->inner;
    }
}

#endif
