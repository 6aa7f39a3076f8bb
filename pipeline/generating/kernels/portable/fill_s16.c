/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "fill_loop.h"

void KERNEL(fill_s16)(const struct fill *p, int16_t *y)
{
    fill_loop(p, y);
}
