/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "select_loop.h"

void KERNEL(select_s16)(const struct select *p, const int16_t *x, int16_t *y)
{
    select_loop(p, x, y);
}
