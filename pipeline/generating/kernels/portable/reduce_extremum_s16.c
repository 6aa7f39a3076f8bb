/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "reduce_extremum_loop.h"

void KERNEL(reduce_extremum_s16)(const struct reduce_extremum *p, const int16_t *x, int16_t *y)
{
    reduce_extremum_loop(p, x, y);
}
