/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* The window that both pooling kernels slide over x: int8 [batch][height][width][channels]. */
#ifndef CHIPFIT_POOL_H
#define CHIPFIT_POOL_H

#include "kernel.h"

struct pool {
    int32_t batch, height, width, channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t dilation_y, dilation_x;
};

/* The taps of one window that are inside the image. */
struct pool_view {
    int32_t rows, columns;
    int32_t at;
};

/* How many of `taps` positions begin, begin + step, ... lie in [0, size), and the first of them. */
static inline int32_t pool_clip(int32_t *begin, int32_t step, int32_t taps, int32_t size)
{
    int32_t inside = 0;
    while (*begin < 0 && taps > 0) {
        *begin += step;
        --taps;
    }
    for (int32_t at = *begin; at < size && inside < taps; at += step) {
        ++inside;
    }
    return inside;
}

static inline struct pool_view pool_view_at(const struct pool *p, int32_t oy, int32_t ox)
{
    struct pool_view view;
    int32_t iy = oy * p->stride_y - p->pad_top, ix = ox * p->stride_x - p->pad_left;
    view.rows = pool_clip(&iy, p->dilation_y, p->kernel_height, p->height);
    view.columns = pool_clip(&ix, p->dilation_x, p->kernel_width, p->width);
    view.at = (iy * p->width + ix) * p->channels;
    return view;
}

#endif
