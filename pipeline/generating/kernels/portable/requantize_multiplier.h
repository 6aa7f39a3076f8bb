/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_REQUANTIZE_MULTIPLIER_H
#define CHIPFIT_REQUANTIZE_MULTIPLIER_H

#include "requantize.h"
#include "rescale.h"

static inline int8_t requantize(const struct requantize *r, int32_t acc, int32_t channel)
{
    int32_t y = rescale(acc, r->multiplier[channel], r->exponent[channel]);
    return clamp_int8(y + r->zero_point, r->low, r->high);
}

#endif
