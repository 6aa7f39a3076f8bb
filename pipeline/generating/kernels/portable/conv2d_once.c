/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "requantize_once.h"

#include "conv2d_loop.h"

void KERNEL(conv2d_once)(const struct conv2d *p, const int8_t *x, int8_t *y)
{
    conv2d_loop(p, x, y);
}
