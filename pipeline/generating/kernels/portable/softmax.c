/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "softmax.h"

#define PARAMS softmax

#include "softmax_loop.h"

static int8_t finish(const struct softmax *p, uint32_t exponential, uint32_t total)
{
    (void)p;
    return (int8_t)min_int32(quotient((exponential << 8) + (total >> 1), total, 8) - 128, 127);
}

void KERNEL(softmax)(const struct softmax *p, const int8_t *x, int8_t *y)
{
    softmax_loop(p, x, y);
}
