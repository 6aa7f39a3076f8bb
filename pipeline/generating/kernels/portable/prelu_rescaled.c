/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "prelu_rescaled.h"

#include "rescale.h"

void KERNEL(prelu_rescaled)(const struct prelu_rescaled *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t c = 0; c < p->channels; ++c) {
            for (int32_t i = 0; i < p->inner; ++i) {
                int32_t d = *x++ - p->x_zero_point;
                int32_t above = rescale(d, p->above_multiplier, p->above_exponent);
                int32_t below = rescale(d * p->slope[c], p->below_multiplier, p->below_exponent);
                int32_t value = above ^ ((above ^ below) & negative_mask(d));
                *y++ = clamp_int8(value + p->y_zero_point, -128, 127);
            }
        }
    }
}
