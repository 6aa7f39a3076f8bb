/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#define ELEMENT int8_t
#include "mean_rescaled_loop.h"

void KERNEL(mean_rescaled)(const struct mean_rescaled *p, const int8_t *x, int8_t *y)
{
    mean_rescaled_loop(p, x, y);
}
