/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Convolution for kernels to include. The including file chooses requantize(): it includes a requantize_*.h before. */
#ifndef CHIPFIT_CONV2D_LOOP_H
#define CHIPFIT_CONV2D_LOOP_H

#include "conv2d.h"
#include "dot.h"

/* What of the window at one position lies inside the image: kernel rows [ky_begin, ky_end), and of each the
 * elements [begin, end), which start at image[at] for kernel row ky_begin. */
struct conv2d_view {
    int32_t ky_begin, ky_end;
    int32_t begin, end;
    int32_t at;
};

static inline struct conv2d_view conv2d_view_at(const struct conv2d *p, int32_t oy, int32_t ox)
{
    struct conv2d_view view;
    int32_t top = oy * p->stride_y - p->pad_top;
    int32_t left = (ox * p->stride_x - p->pad_left) * p->channels;
    int32_t line = p->width * p->channels;
    int32_t iy = top;
    view.ky_begin = 0;
    while (iy < 0 && view.ky_begin < p->kernel_height) {
        iy += p->dilation_y;
        ++view.ky_begin;
    }
    view.at = iy * line;
    view.ky_end = view.ky_begin;
    while (iy < p->height && view.ky_end < p->kernel_height) {
        iy += p->dilation_y;
        ++view.ky_end;
    }
    view.begin = left < 0 ? (-left < p->row ? -left : p->row) : 0;
    view.end = left + p->row > line ? line - left : p->row;
    view.end = view.end < view.begin ? view.begin : view.end;
    view.at += left + view.begin;
    return view;
}

/* The sum of one channel's weights that the padding meets. */
static inline int32_t conv2d_outside(const struct conv2d *p, const struct conv2d_view *view, const int8_t *w)
{
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_height; ++ky) {
        int32_t inside = ky >= view->ky_begin && ky < view->ky_end;
        int32_t begin = inside ? view->begin : p->row;
        int32_t end = inside ? view->end : p->row;
        for (int32_t i = 0; i < begin; ++i) {
            sum += w[i];
        }
        for (int32_t i = end; i < p->row; ++i) {
            sum += w[i];
        }
        w += p->row;
    }
    return sum;
}

/* The sum of a window's inputs, the padding's too. */
static inline int32_t conv2d_total(const struct conv2d *p, const struct conv2d_view *view, const int8_t *x, int32_t step)
{
    int32_t count = view->end - view->begin, rows = view->ky_end - view->ky_begin;
    int32_t total = 0, inside = 0;
    if (count > 0) {
        for (int32_t ky = 0; ky < rows; ++ky) {
            total += sum(x + view->at + ky * step, count);
            inside += count;
        }
    }
    return total + p->input_zero_point * (p->kernel_height * p->row - inside);
}

/* All output channels at one position. `offset`: what is added to every weight of
 * an output channel, 0 for nothing. */
static inline void conv2d_position(const struct conv2d *p, const int16_t *offset, const int8_t *x, int8_t *y, int32_t oy,
                                   int32_t ox)
{
    struct conv2d_view view = conv2d_view_at(p, oy, ox);
    int32_t count = view.end - view.begin, rows = view.ky_end - view.ky_begin;
    int32_t size = p->kernel_height * p->row, step = p->dilation_y * p->width * p->channels;
    int32_t border = p->input_zero_point != 0 && (count != p->row || rows != p->kernel_height);
    int32_t total = offset ? conv2d_total(p, &view, x, step) : 0;
    const int8_t *w = p->weights;
    for (int32_t o = 0; o < p->out_channels; o += 2) {
        int32_t last = o + 1 == p->out_channels;
        const int8_t *next = last ? w : w + size;
        int32_t acc[2] = {p->bias[o], last ? 0 : p->bias[o + 1]};
        if (offset != 0) {
            acc[0] += offset[o] * total;
            acc[1] += last ? 0 : offset[o + 1] * total;
        }
        if (count > 0 && rows > 0) {
            const int8_t *in = x + view.at;
            int32_t first = view.ky_begin * p->row + view.begin;
            for (int32_t ky = 0;;) {
                dot_pair(w + first, next + first, in, count, acc);
                if (++ky == rows) {
                    break;
                }
                first += p->row;
                in += step;
            }
        }
        if (border != 0) {
            acc[0] += p->input_zero_point * conv2d_outside(p, &view, w);
            acc[1] += p->input_zero_point * conv2d_outside(p, &view, next);
        }
        y[o] = requantize(&p->requantize, acc[0], o);
        if (!last) {
            y[o + 1] = requantize(&p->requantize, acc[1], o + 1);
        }
        w = next + size;
    }
}

static inline void conv2d_rows(const struct conv2d *p, const int16_t *offset, const int8_t *x, int8_t *y)
{
    for (int32_t b = 0; b < p->batch; ++b) {
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                conv2d_position(p, offset, x, y, oy, ox);
                y += p->out_channels;
            }
        }
        x += p->height * p->width * p->channels;
    }
}

static inline void conv2d_loop(const struct conv2d *p, const int8_t *x, int8_t *y)
{
    conv2d_rows(p, 0, x, y);
}

#endif
