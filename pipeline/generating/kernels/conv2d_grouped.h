/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Convolution, channels-last, any groups and dilation: as conv2d, where output channel o reads the input channels
 * [g * depth, (g + 1) * depth) of its group g = o / group_outputs.
 *
 * x: int8 [batch][height][width][groups * depth], y: int8 [batch][out_height][out_width][groups * group_outputs],
 * not overlapping. weights: int8 [out_channels][kernel_height][kernel_width][depth].
 * The input's zero point is folded into the bias for every tap. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_CONV2D_GROUPED_H
#define CHIPFIT_CONV2D_GROUPED_H

#include "requantize.h"

struct conv2d_grouped {
    const int8_t *weights;
    const int32_t *bias;
    struct requantize requantize;
    int32_t batch, height, width;
    int32_t out_height, out_width;
    int32_t groups, depth, group_outputs;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t dilation_y, dilation_x;
    int32_t input_zero_point;
};

void KERNEL(conv2d_grouped_shift)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y);
void KERNEL(conv2d_grouped_multiplier)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y);
void KERNEL(conv2d_grouped_once)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y);

#endif
