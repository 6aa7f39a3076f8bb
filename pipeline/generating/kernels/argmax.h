/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][i] = the first k (the last, with `last` 1) for which sign * x[a][k][i] is largest; x int8 [outer][count][inner], y int32 [outer][inner]. */
#ifndef CHIPFIT_ARGMAX_H
#define CHIPFIT_ARGMAX_H

#include "kernel.h"

struct argmax {
    int32_t outer, count, inner;
    int32_t sign, last;
};

void KERNEL(argmax)(const struct argmax *p, const int8_t *x, int32_t *y);
void KERNEL(argmax_s16)(const struct argmax *p, const int16_t *x, int32_t *y);

#endif
