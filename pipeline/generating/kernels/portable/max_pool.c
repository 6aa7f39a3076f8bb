/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "max_pool_loop.h"

void KERNEL(max_pool)(const struct max_pool *p, const int8_t *x, int8_t *y)
{
    max_pool_loop(p, x, y);
}
