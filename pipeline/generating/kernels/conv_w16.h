/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* As conv2d_grouped with int16 weights, for grouped weights that have a zero point of their own (uint8 files), and where
 * conv2d_offset and dense_offset cannot say them: output channel o reads the input channels [g * depth, (g + 1) * depth) of
 * its group g = o / group_outputs.
 *
 * x: int8 [batch][height][width][groups * depth], y: int8 [batch][out_height][out_width][groups * group_outputs],
 * not overlapping. weights: int16 [out_channels][kernel_height][kernel_width][depth].
 * The input's zero point is folded into the bias for every tap. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_CONV_W16_H
#define CHIPFIT_CONV_W16_H

#include "requantize.h"

struct conv_w16 {
    const int16_t *weights;
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

void KERNEL(conv_w16_multiplier)(const struct conv_w16 *p, const int8_t *x, int8_t *y);
void KERNEL(conv_w16_once)(const struct conv_w16 *p, const int8_t *x, int8_t *y);

#endif
