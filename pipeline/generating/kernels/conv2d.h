/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Convolution, channels-last, not grouped and not dilated along x:
 * y[b][oy][ox][o] = requantize(bias[o] + sum of weights[o][ky][kx][c] * x[b][iy][ix][c] over taps and channels)
 * with iy = oy * stride_y - pad_top + ky * dilation_y and ix = ox * stride_x - pad_left + kx; outside the image
 * x is input_zero_point.
 *
 * x: int8 [batch][height][width][channels], y: int8 [batch][out_height][out_width][out_channels], not overlapping.
 * weights: int8 [out_channels][kernel_height][row], row = kernel_width * channels: one kernel row is one run of
 * memory in the weights and in the image.
 * The input's zero point is folded into the bias for every tap. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_CONV2D_H
#define CHIPFIT_CONV2D_H

#include "requantize.h"

struct conv2d {
    const int8_t *weights;
    const int32_t *bias;
    struct requantize requantize;
    int32_t batch, height, width, channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, row;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t dilation_y;
    int32_t input_zero_point;
};

void KERNEL(conv2d_shift)(const struct conv2d *p, const int8_t *x, int8_t *y);
void KERNEL(conv2d_multiplier)(const struct conv2d *p, const int8_t *x, int8_t *y);
void KERNEL(conv2d_once)(const struct conv2d *p, const int8_t *x, int8_t *y);

#endif
