/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][i] = the x[a][r][i] for which sign * x[a][r][i] is largest; x [outer][reduced][inner], not overlapping y. */
#ifndef CHIPFIT_REDUCE_EXTREMUM_H
#define CHIPFIT_REDUCE_EXTREMUM_H

#include "kernel.h"

struct reduce_extremum {
    int32_t outer, reduced, inner;
    int32_t sign;
};

void KERNEL(reduce_extremum)(const struct reduce_extremum *p, const int8_t *x, int8_t *y);
void KERNEL(reduce_extremum_s16)(const struct reduce_extremum *p, const int16_t *x, int16_t *y);

#endif
