/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "average_pool.h"

static int32_t sum(const struct pool *p, const struct pool_view *view, const int8_t *x, int32_t acc)
{
    int32_t step_y = p->dilation_y * p->width * p->channels, step_x = p->dilation_x * p->channels;
    int32_t line = view->at;
    for (int32_t ky = 0; ky < view->rows; ++ky) {
        int32_t at = line;
        for (int32_t kx = 0; kx < view->columns; ++kx) {
            acc += x[at];
            at += step_x;
        }
        line += step_y;
    }
    return acc;
}

void KERNEL(average_pool)(const struct average_pool *q, const int8_t *x, int8_t *y)
{
    const struct pool *p = &q->pool;
    for (int32_t b = 0; b < p->batch; ++b) {
        const int32_t *reciprocal = q->reciprocal;
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                struct pool_view view = pool_view_at(p, oy, ox);
                int32_t zeros = -view.rows * view.columns * q->input_zero_point;
                for (int32_t c = 0; c < p->channels; ++c) {
                    int32_t acc = sum(p, &view, x + c, zeros) * *reciprocal + q->offset;
                    *y++ = clamp_int8(acc >> q->shift, q->low, q->high);
                }
                reciprocal += q->reciprocal_step;
            }
        }
        x += p->height * p->width * p->channels;
    }
}
