/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* d = x - x_zero_point; y = clamp(above-rescale(d)) where d >= 0, clamp(below-rescale(d * slope[channel])) elsewhere,
 * plus y_zero_point; rescale as in rescale.h. x, y int8 [outer][channels][inner]; they may be the same memory.
 */
#ifndef CHIPFIT_PRELU_RESCALED_H
#define CHIPFIT_PRELU_RESCALED_H

#include "kernel.h"

struct prelu_rescaled {
    const int16_t *slope;
    int32_t outer, channels, inner;
    int32_t x_zero_point, y_zero_point;
    int32_t above_multiplier, above_exponent;
    int32_t below_multiplier, below_exponent;
};

void KERNEL(prelu_rescaled)(const struct prelu_rescaled *p, const int8_t *x, int8_t *y);

#endif
