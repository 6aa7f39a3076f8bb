/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "conv_s16_once.h"

#include "requantize_once.h"

#define PARAMS conv_s16_once
#define ELEMENT int16_t
#define WEIGHT int8_t
#define SUM int32_t

static inline int16_t finish(const struct conv_s16_once *p, int32_t sum, int32_t channel)
{
    int32_t value = requantized(&p->requantize, sum, channel);
    return (int16_t)min_int32(max_int32(value, p->requantize.low), p->requantize.high);
}

#include "conv_loop.h"

void KERNEL(conv_s16_once)(const struct conv_s16_once *p, const int16_t *x, int16_t *y)
{
    conv_loop(p, x, y);
}
