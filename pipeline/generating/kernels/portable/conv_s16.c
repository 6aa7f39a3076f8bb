/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "conv_s16.h"

#include "rescale_wide.h"

#define PARAMS conv_s16
#define ELEMENT int16_t
#define WEIGHT int8_t
#define SUM int64_t

static inline int16_t finish(const struct conv_s16 *p, int64_t sum, int32_t channel)
{
    int32_t value = rescale_wide(sum, p->multiplier[channel], p->shift[channel]) + p->zero_point;
    return (int16_t)min_int32(max_int32(value, p->low), p->high);
}

#include "conv_loop.h"

void KERNEL(conv_s16)(const struct conv_s16 *p, const int16_t *x, int16_t *y)
{
    conv_loop(p, x, y);
}
