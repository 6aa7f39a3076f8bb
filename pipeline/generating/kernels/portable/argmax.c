/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "argmax_loop.h"

void KERNEL(argmax)(const struct argmax *p, const int8_t *x, int32_t *y)
{
    argmax_loop(p, x, y);
}
