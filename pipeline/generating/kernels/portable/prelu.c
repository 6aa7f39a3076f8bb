/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "prelu_loop.h"

void KERNEL(prelu)(const struct prelu *p, const int8_t *x, int8_t *y)
{
    prelu_loop(p, x, y);
}
