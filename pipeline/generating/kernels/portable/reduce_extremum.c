/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "reduce_extremum_loop.h"

void KERNEL(reduce_extremum)(const struct reduce_extremum *p, const int8_t *x, int8_t *y)
{
    reduce_extremum_loop(p, x, y);
}
