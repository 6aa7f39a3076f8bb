/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "mul_rescaled_loop.h"

void KERNEL(mul_rescaled)(const struct mul_rescaled *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    mul_rescaled_loop(p, a, b, y);
}
