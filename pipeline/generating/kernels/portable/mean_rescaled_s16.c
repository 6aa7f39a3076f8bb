/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int16_t
#include "mean_rescaled_loop.h"

void KERNEL(mean_rescaled_s16)(const struct mean_rescaled *p, const int16_t *x, int16_t *y)
{
    mean_rescaled_loop(p, x, y);
}
