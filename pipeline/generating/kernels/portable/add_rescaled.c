/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "add_rescaled_loop.h"

void KERNEL(add_rescaled)(const struct add_rescaled *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    add_rescaled_loop(p, a, b, y);
}
