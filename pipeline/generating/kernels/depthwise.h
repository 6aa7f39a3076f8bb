/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, channels-last: y[b][oy][ox][c] = requantize(bias[c] + sum over taps of
 * weights[ky][kx][c] * x[b][iy][ix][c]), iy and ix as in conv2d_grouped; outside the image x is input_zero_point.
 *
 * x: int8 [batch][height][width][channels], y: int8 [batch][out_height][out_width][channels], not overlapping.
 * weights: int8 [kernel_height][kernel_width][channels].
 * The input's zero point is folded into the bias for every tap. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_DEPTHWISE_H
#define CHIPFIT_DEPTHWISE_H

#include "requantize.h"

struct depthwise {
    const int8_t *weights;
    const int32_t *bias;
    struct requantize requantize;
    int32_t batch, height, width, channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t dilation_y, dilation_x;
    int32_t input_zero_point;
};

void KERNEL(depthwise_shift)(const struct depthwise *p, const int8_t *x, int8_t *y);
void KERNEL(depthwise_multiplier)(const struct depthwise *p, const int8_t *x, int8_t *y);
void KERNEL(depthwise_once)(const struct depthwise *p, const int8_t *x, int8_t *y);

#endif
