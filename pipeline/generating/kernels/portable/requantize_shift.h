/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_REQUANTIZE_SHIFT_H
#define CHIPFIT_REQUANTIZE_SHIFT_H

#include "requantize.h"

static inline int8_t requantize(const struct requantize *r, int32_t acc, int32_t channel)
{
    return clamp_int8(acc >> r->shift[channel], r->low, r->high);
}

#endif
