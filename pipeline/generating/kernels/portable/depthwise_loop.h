/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Depthwise convolution for kernels to include. The including file chooses requantize(): it includes a requantize_*.h before. */
#ifndef CHIPFIT_DEPTHWISE_LOOP_H
#define CHIPFIT_DEPTHWISE_LOOP_H

#include "depthwise.h"

/* One channel at one position. */
static inline int32_t depthwise_at(const struct depthwise *p, const int8_t *x, const int8_t *w, int32_t top,
                                   int32_t left, int32_t acc)
{
    int32_t iy = top;
    for (int32_t ky = 0; ky < p->kernel_height; ++ky) {
        int32_t row_inside = iy >= 0 && iy < p->height;
        int32_t at = (iy * p->width + left) * p->channels, ix = left;
        for (int32_t kx = 0; kx < p->kernel_width; ++kx) {
            int32_t inside = row_inside && ix >= 0 && ix < p->width;
            acc += *w * (inside ? x[at] : p->input_zero_point);
            w += p->channels;
            at += p->dilation_x * p->channels;
            ix += p->dilation_x;
        }
        iy += p->dilation_y;
    }
    return acc;
}

static inline void depthwise_loop(const struct depthwise *p, const int8_t *x, int8_t *y)
{
    for (int32_t b = 0; b < p->batch; ++b) {
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                int32_t top = oy * p->stride_y - p->pad_top;
                int32_t left = ox * p->stride_x - p->pad_left;
                for (int32_t c = 0; c < p->channels; ++c) {
                    int32_t acc = depthwise_at(p, x + c, p->weights + c, top, left, p->bias[c]);
                    *y++ = requantize(&p->requantize, acc, c);
                }
            }
        }
        x += p->height * p->width * p->channels;
    }
}

#endif
