/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y = clamp(sign * max(sign * a, sign * b)) over a box; strides as in add. y may be a's memory when a is not repeated. */
#ifndef CHIPFIT_EXTREMUM_H
#define CHIPFIT_EXTREMUM_H

#include "walk.h"

struct extremum {
    int32_t dims[WALK_RANK];
    int32_t a_strides[WALK_RANK];
    int32_t b_strides[WALK_RANK];
    int32_t sign;
    int32_t low, high;
};

void KERNEL(extremum)(const struct extremum *p, const int8_t *a, const int8_t *b, int8_t *y);
void KERNEL(extremum_s16)(const struct extremum *p, const int16_t *a, const int16_t *b, int16_t *y);

#endif
