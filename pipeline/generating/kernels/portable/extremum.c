/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "extremum_loop.h"

void KERNEL(extremum)(const struct extremum *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    extremum_loop(p, a, b, y);
}
