/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[a][i] = x[a][indices[i]] for entries of `inner` bytes, x [outer][entries][inner], y [outer][count][inner], not
 * overlapping. */
#ifndef CHIPFIT_GATHER_H
#define CHIPFIT_GATHER_H

#include "kernel.h"

struct gather {
    const uint16_t *indices;
    int32_t outer, entries, count, inner;
};

void KERNEL(gather)(const struct gather *p, const void *x, void *y);

#endif
