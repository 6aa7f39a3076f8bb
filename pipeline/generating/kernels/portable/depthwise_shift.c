/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "requantize_shift.h"

#include "depthwise_loop.h"

void KERNEL(depthwise_shift)(const struct depthwise *p, const int8_t *x, int8_t *y)
{
    depthwise_loop(p, x, y);
}
