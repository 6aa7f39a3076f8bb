/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* How an int32 accumulator becomes int8: one entry per output channel in each table.
 *
 * shift:      y = clamp(acc >> shift[channel]); rounding and the zero point are in the bias already.
 * multiplier: y = clamp(acc * multiplier[channel] * 2^(exponent[channel] - 31) + zero_point), rounded twice as
 *             the reference kernels of TensorFlow Lite do. multiplier is in [2^30, 2^31).
 * once:       as multiplier, but rounded once, ties up.
 */
#ifndef CHIPFIT_REQUANTIZE_H
#define CHIPFIT_REQUANTIZE_H

#include "kernel.h"

struct requantize {
    const uint8_t *shift;
    const int32_t *multiplier;
    const int8_t *exponent;
    int32_t zero_point;
    int32_t low;
    int32_t high;
};

#endif
