/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* As conv2d_grouped on int16 activations where the sum provably fits 32 bits, rounded once: output channel o
 * reads the input channels [g * depth, (g + 1) * depth) of its group g = o / group_outputs.
 *
 * x: int16 [batch][height][width][groups * depth], y: int16 [batch][out_height][out_width][groups * group_outputs],
 * not overlapping. weights: int8 [out_channels][kernel_height][kernel_width][depth].
 * The input's zero point is folded into the bias for every tap. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_CONV_S16_ONCE_H
#define CHIPFIT_CONV_S16_ONCE_H

#include "requantize.h"

struct conv_s16_once {
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

void KERNEL(conv_s16_once)(const struct conv_s16_once *p, const int16_t *x, int16_t *y);

#endif
