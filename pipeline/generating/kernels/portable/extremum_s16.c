/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "extremum_loop.h"

void KERNEL(extremum_s16)(const struct extremum *p, const int16_t *a, const int16_t *b, int16_t *y)
{
    extremum_loop(p, a, b, y);
}
