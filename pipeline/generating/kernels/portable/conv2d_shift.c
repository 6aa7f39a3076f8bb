/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "requantize_shift.h"

#include "conv2d_loop.h"

void KERNEL(conv2d_shift)(const struct conv2d *p, const int8_t *x, int8_t *y)
{
    conv2d_loop(p, x, y);
}
