/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "conv2d_offset.h"

#include "requantize_once.h"

#include "conv2d_loop.h"

void KERNEL(conv2d_offset_once)(const struct conv2d_offset *p, const int8_t *x, int8_t *y)
{
    conv2d_rows(&p->conv2d, p->offset, x, y);
}
