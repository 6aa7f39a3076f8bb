/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "prelu_loop.h"

void KERNEL(prelu_s16)(const struct prelu *p, const int16_t *x, int16_t *y)
{
    prelu_loop(p, x, y);
}
