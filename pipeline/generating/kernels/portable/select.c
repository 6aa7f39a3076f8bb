/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "select_loop.h"

void KERNEL(select)(const struct select *p, const int8_t *x, int8_t *y)
{
    select_loop(p, x, y);
}
