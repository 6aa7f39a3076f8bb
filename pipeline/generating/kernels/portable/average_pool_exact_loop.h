/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_AVERAGE_POOL_EXACT_LOOP_H
#define CHIPFIT_AVERAGE_POOL_EXACT_LOOP_H

#include "average_pool_exact.h"
#include "divide.h"

static inline int32_t pool_sum(const struct pool *p, const struct pool_view *view, const ELEMENT *x)
{
    int32_t step_y = p->dilation_y * p->width * p->channels, step_x = p->dilation_x * p->channels;
    int32_t line = view->at, sum = 0;
    for (int32_t ky = 0; ky < view->rows; ++ky) {
        int32_t at = line;
        for (int32_t kx = 0; kx < view->columns; ++kx) {
            sum += x[at];
            at += step_x;
        }
        line += step_y;
    }
    return sum;
}

static inline void average_pool_exact_loop(const struct average_pool_exact *q, const ELEMENT *x, ELEMENT *y)
{
    const struct pool *p = &q->pool;
    for (int32_t b = 0; b < p->batch; ++b) {
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                struct pool_view view = pool_view_at(p, oy, ox);
                int32_t taps = view.rows * view.columns;
                for (int32_t c = 0; c < p->channels; ++c) {
                    int32_t value = divide_away(pool_sum(p, &view, x + c) + taps * q->bias, taps) - q->bias;
                    *y++ = (ELEMENT)min_int32(max_int32(value, q->low), q->high);
                }
            }
        }
        x += p->height * p->width * p->channels;
    }
}

#endif
