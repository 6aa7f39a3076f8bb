/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "argmax_loop.h"

void KERNEL(argmax_s16)(const struct argmax *p, const int16_t *x, int32_t *y)
{
    argmax_loop(p, x, y);
}
