/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[i] = table[x[i] + 128] for i < count. x and y may be the same memory. */
#ifndef CHIPFIT_LOOKUP_H
#define CHIPFIT_LOOKUP_H

#include "kernel.h"

struct lookup {
    const int8_t *table;
    int32_t count;
};

void KERNEL(lookup)(const struct lookup *p, const int8_t *x, int8_t *y);

#endif
