/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_MAX_POOL_LOOP_H
#define CHIPFIT_MAX_POOL_LOOP_H

#include "max_pool.h"

static inline ELEMENT largest(const struct pool *p, const struct pool_view *view, const ELEMENT *x)
{
    int32_t best = sizeof(ELEMENT) == 1u ? (int32_t)INT8_MIN : (int32_t)INT16_MIN;
    int32_t step_y = p->dilation_y * p->width * p->channels, step_x = p->dilation_x * p->channels;
    int32_t line = view->at;
    for (int32_t ky = 0; ky < view->rows; ++ky) {
        int32_t at = line;
        for (int32_t kx = 0; kx < view->columns; ++kx) {
            best = max_int32(best, x[at]);
            at += step_x;
        }
        line += step_y;
    }
    return (ELEMENT)best;
}

static inline void max_pool_loop(const struct max_pool *q, const ELEMENT *x, ELEMENT *y)
{
    const struct pool *p = &q->pool;
    for (int32_t b = 0; b < p->batch; ++b) {
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                struct pool_view view = pool_view_at(p, oy, ox);
                for (int32_t c = 0; c < p->channels; ++c) {
                    *y++ = largest(p, &view, x + c);
                }
            }
        }
        x += p->height * p->width * p->channels;
    }
}

#endif
