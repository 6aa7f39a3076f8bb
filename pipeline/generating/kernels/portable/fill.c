/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "fill_loop.h"

void KERNEL(fill)(const struct fill *p, int8_t *y)
{
    fill_loop(p, y);
}
