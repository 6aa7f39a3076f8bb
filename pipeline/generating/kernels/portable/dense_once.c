/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "requantize_once.h"

#include "dense_loop.h"

void KERNEL(dense_once)(const struct dense *p, const int8_t *x, int8_t *y)
{
    dense_loop(p, x, y);
}
