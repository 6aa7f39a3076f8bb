/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Grouped convolution for any types, tap by tap. The including file chooses PARAMS (the struct), ELEMENT, WEIGHT and SUM, and how
 * finish(p, sum, channel) makes an ELEMENT of a SUM. */
#ifndef CHIPFIT_CONV_LOOP_H
#define CHIPFIT_CONV_LOOP_H

/* One output: `top` and `left` are the window's first row and column, `first` its group's first channel. */
static SUM window_sum(const struct PARAMS *p, const ELEMENT *x, const WEIGHT *w,
                      int32_t top, int32_t left, int32_t first, SUM acc)
{
    int32_t channels = p->groups * p->depth;
    int32_t iy = top;
    for (int32_t ky = 0; ky < p->kernel_height; ++ky) {
        int32_t ix = left;
        for (int32_t kx = 0; kx < p->kernel_width; ++kx) {
            if (iy >= 0 && iy < p->height && ix >= 0 && ix < p->width) {
                const ELEMENT *in = x + (iy * p->width + ix) * channels + first;
                for (int32_t c = 0; c < p->depth; ++c) {
                    acc += w[c] * in[c];
                }
            } else {
                for (int32_t c = 0; c < p->depth; ++c) {
                    acc += w[c] * p->input_zero_point;
                }
            }
            w += p->depth;
            ix += p->dilation_x;
        }
        iy += p->dilation_y;
    }
    return acc;
}

static inline void conv_loop(const struct PARAMS *p, const ELEMENT *x, ELEMENT *y)
{
    int32_t size = p->kernel_height * p->kernel_width * p->depth;
    for (int32_t b = 0; b < p->batch; ++b) {
        for (int32_t oy = 0; oy < p->out_height; ++oy) {
            for (int32_t ox = 0; ox < p->out_width; ++ox) {
                int32_t top = oy * p->stride_y - p->pad_top;
                int32_t left = ox * p->stride_x - p->pad_left;
                const WEIGHT *w = p->weights;
                int32_t o = 0;
                for (int32_t g = 0; g < p->groups; ++g) {
                    for (int32_t i = 0; i < p->group_outputs; ++i) {
                        *y++ = finish(p, window_sum(p, x, w, top, left, g * p->depth, p->bias[o]), o);
                        w += size;
                        ++o;
                    }
                }
            }
        }
        x += p->height * p->width * p->groups * p->depth;
    }
}

#endif
