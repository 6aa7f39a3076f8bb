/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "average_pool_exact_loop.h"

void KERNEL(average_pool_exact)(const struct average_pool_exact *p, const int8_t *x, int8_t *y)
{
    average_pool_exact_loop(p, x, y);
}
