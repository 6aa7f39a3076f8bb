#include "softmax.h"

/* value / divisor for a quotient below 2^9 and a divisor below 2^31, one bit at a time without branches. */
static int32_t quotient(uint32_t value, uint32_t divisor)
{
    uint32_t result = 0;
    for (int32_t bit = 8; bit >= 0; --bit) {
        /* divisor << bit may not fit: compare value >> bit instead; the remainder stays exact. */
        int32_t less = negative_mask((int32_t)(value >> bit) - (int32_t)divisor);
        uint32_t take = ~(uint32_t)less;
        value -= (divisor << bit) & take;
        result = (result << 1) | (take & 1u);
    }
    return (int32_t)result;
}

static void along(const struct softmax *p, const int8_t *x, int8_t *y)
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
        uint32_t scaled = ((uint32_t)p->exponentials[largest - x[at]] << 8) + (total >> 1);
        y[at] = (int8_t)min_int32(quotient(scaled, total) - 128, 127);
        at += p->inner;
    }
}

void KERNEL(softmax)(const struct softmax *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            along(p, x + i, y + i);
        }
        x += p->count * p->inner;
        y += p->count * p->inner;
    }
}
