/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "max_pool_loop.h"

void KERNEL(max_pool_s16)(const struct max_pool *p, const int16_t *x, int16_t *y)
{
    max_pool_loop(p, x, y);
}
