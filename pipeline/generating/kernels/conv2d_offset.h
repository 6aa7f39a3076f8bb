/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* As conv2d, with weights that reach beyond int8: those of output channel o are weights[o][ky][kx][c] + offset[o], so that
 * offset[o] times the sum of the window's inputs is added to its sum; outside the image they are input_zero_point.
 *
 * Uint8 weights with a zero point of their own come so: they are at most 255 apart. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_CONV2D_OFFSET_H
#define CHIPFIT_CONV2D_OFFSET_H

#include "conv2d.h"

struct conv2d_offset {
    struct conv2d conv2d;
    const int16_t *offset;
};

void KERNEL(conv2d_offset_multiplier)(const struct conv2d_offset *p, const int8_t *x, int8_t *y);
void KERNEL(conv2d_offset_once)(const struct conv2d_offset *p, const int8_t *x, int8_t *y);

#endif
