/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* As conv2d_grouped on int16 activations: output channel o reads the input channels
 * [g * depth, (g + 1) * depth) of its group g = o / group_outputs.
 *
 * x: int16 [batch][height][width][groups * depth], y: int16 [batch][out_height][out_width][groups * group_outputs],
 * not overlapping. weights: int8 [out_channels][kernel_height][kernel_width][depth].
 * The input's zero point is folded into the bias for every tap. The sum is 48 bits wide.
 * Per output channel: y = clamp(((sum * multiplier) >> shift, ties up) + zero_point), see rescale_wide.h.
 */
#ifndef CHIPFIT_CONV_S16_H
#define CHIPFIT_CONV_S16_H

#include "kernel.h"

struct conv_s16 {
    const int8_t *weights;
    const int64_t *bias;
    const uint16_t *multiplier;
    const uint8_t *shift;
    int32_t batch, height, width;
    int32_t out_height, out_width;
    int32_t groups, depth, group_outputs;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t dilation_y, dilation_x;
    int32_t input_zero_point, zero_point;
    int32_t low, high;
};

void KERNEL(conv_s16)(const struct conv_s16 *p, const int16_t *x, int16_t *y);

#endif
