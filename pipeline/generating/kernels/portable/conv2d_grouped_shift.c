/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "conv2d_grouped.h"

#include "requantize_shift.h"

#define PARAMS conv2d_grouped
#define ELEMENT int8_t
#define WEIGHT int8_t
#define SUM int32_t

static inline int8_t finish(const struct conv2d_grouped *p, int32_t sum, int32_t channel)
{
    return requantize(&p->requantize, sum, channel);
}

#include "conv_loop.h"

void KERNEL(conv2d_grouped_shift)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y)
{
    conv_loop(p, x, y);
}
