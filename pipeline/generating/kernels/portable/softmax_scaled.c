/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "softmax_scaled.h"

#define PARAMS softmax_scaled

#include "softmax_loop.h"

/* No share is above one, so that the quotient is at most the factor. */
static int8_t finish(const struct softmax_scaled *p, uint32_t exponential, uint32_t total)
{
    int32_t share = quotient((uint32_t)p->factor * exponential, total, 15);
    int32_t half = (int32_t)(1u << p->shift >> 1);
    return (int8_t)min_int32(((share + half) >> p->shift) + p->zero_point, 127);
}

void KERNEL(softmax_scaled)(const struct softmax_scaled *p, const int8_t *x, int8_t *y)
{
    softmax_loop(p, x, y);
}
