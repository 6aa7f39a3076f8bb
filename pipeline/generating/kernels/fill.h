/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[i] = value for i < count. */
#ifndef CHIPFIT_FILL_H
#define CHIPFIT_FILL_H

#include "kernel.h"

struct fill {
    int32_t count;
    int32_t value;
};

void KERNEL(fill)(const struct fill *p, int8_t *y);
void KERNEL(fill_s16)(const struct fill *p, int16_t *y);

#endif
