/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "conv_w16.h"

#include "requantize_multiplier.h"

#define PARAMS conv_w16
#define ELEMENT int8_t
#define WEIGHT int16_t
#define SUM int32_t

static inline int8_t finish(const struct conv_w16 *p, int32_t sum, int32_t channel)
{
    return requantize(&p->requantize, sum, channel);
}

#include "conv_loop.h"

void KERNEL(conv_w16_multiplier)(const struct conv_w16 *p, const int8_t *x, int8_t *y)
{
    conv_loop(p, x, y);
}
