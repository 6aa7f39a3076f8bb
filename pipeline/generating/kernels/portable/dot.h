/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
#ifndef CHIPFIT_DOT_H
#define CHIPFIT_DOT_H

#include "kernel.h"

/* acc + sum of w[i] * x[i] for i < n. */
static inline int32_t dot(const int8_t *w, const int8_t *x, int32_t n, int32_t acc)
{
    for (int32_t i = 0; i < n; ++i) {
        acc += w[i] * x[i];
    }
    return acc;
}

/* Two rows of weights against the same inputs: each input is loaded once for both. */
static inline void dot_pair(const int8_t *w0, const int8_t *w1, const int8_t *x, int32_t n, int32_t acc[2])
{
    int32_t acc0 = acc[0], acc1 = acc[1];
    for (int32_t i = 0; i < n; ++i) {
        int32_t value = x[i];
        acc0 += w0[i] * value;
        acc1 += w1[i] * value;
    }
    acc[0] = acc0;
    acc[1] = acc1;
}

static inline int32_t sum(const int8_t *x, int32_t n)
{
    int32_t total = 0;
    for (int32_t i = 0; i < n; ++i) {
        total += x[i];
    }
    return total;
}

#endif
