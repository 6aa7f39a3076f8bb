/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "average_pool_exact_loop.h"

void KERNEL(average_pool_exact_s16)(const struct average_pool_exact *p, const int16_t *x, int16_t *y)
{
    average_pool_exact_loop(p, x, y);
}
