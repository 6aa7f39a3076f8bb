/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Dense layers for kernels to include. The including file chooses requantize(): it includes a requantize_*.h before. */
#ifndef CHIPFIT_DENSE_LOOP_H
#define CHIPFIT_DENSE_LOOP_H

#include "dense.h"
#include "dot.h"

/* `offset`: what is added to every weight of an output, 0 for nothing. */
static inline void dense_rows(const struct dense *p, const int16_t *offset, const int8_t *x, int8_t *y)
{
    int32_t n = p->inputs;
    for (int32_t row = 0; row < p->rows; ++row) {
        const int8_t *w = p->weights;
        int32_t total = offset ? sum(x, n) : 0, o = 0;
        for (; o + 1 < p->outputs; o += 2) {
            int32_t acc[2] = {p->bias[o], p->bias[o + 1]};
            if (offset != 0) {
                acc[0] += offset[o] * total;
                acc[1] += offset[o + 1] * total;
            }
            dot_pair(w, w + n, x, n, acc);
            y[o] = requantize(&p->requantize, acc[0], o);
            y[o + 1] = requantize(&p->requantize, acc[1], o + 1);
            w += 2 * n;
        }
        if (o < p->outputs) {
            int32_t start = p->bias[o] + (offset ? offset[o] * total : 0);
            y[o] = requantize(&p->requantize, dot(w, x, n, start), o);
        }
        x += n;
        y += p->outputs;
    }
}

static inline void dense_loop(const struct dense *p, const int8_t *x, int8_t *y)
{
    dense_rows(p, 0, x, y);
}

#endif
