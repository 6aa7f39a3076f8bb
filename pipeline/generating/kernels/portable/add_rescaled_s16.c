/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "add_rescaled_loop.h"

void KERNEL(add_rescaled_s16)(const struct add_rescaled *p, const int16_t *a, const int16_t *b, int16_t *y)
{
    add_rescaled_loop(p, a, b, y);
}
