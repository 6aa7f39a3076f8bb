/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* y[i] = x[indices[i]] for i < count, and zero where the index is 65535. x and y do not overlap. */
#ifndef CHIPFIT_SELECT_H
#define CHIPFIT_SELECT_H

#include "kernel.h"

struct select {
    const uint16_t *indices;
    int32_t count;
    int32_t zero;
};

void KERNEL(select)(const struct select *p, const int8_t *x, int8_t *y);
void KERNEL(select_s16)(const struct select *p, const int16_t *x, int16_t *y);

#endif
