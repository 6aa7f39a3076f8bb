/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "mul_rescaled_loop.h"

void KERNEL(mul_rescaled_s16)(const struct mul_rescaled *p, const int16_t *a, const int16_t *b, int16_t *y)
{
    mul_rescaled_loop(p, a, b, y);
}
