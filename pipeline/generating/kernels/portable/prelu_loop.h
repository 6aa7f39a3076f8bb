/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_PRELU_LOOP_H
#define CHIPFIT_PRELU_LOOP_H

#include "prelu.h"

static inline void prelu_loop(const struct prelu *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t c = 0; c < p->channels; ++c) {
            int32_t slope = p->slope[c];
            for (int32_t i = 0; i < p->inner; ++i) {
                int32_t d = *x++ - p->zero_point;
                int32_t below = d & negative_mask(d);
                int32_t acc = (d - below) * p->scale + below * slope + p->offset;
                *y++ = (ELEMENT)min_int32(max_int32(acc >> p->shift, p->low), p->high);
            }
        }
    }
}

#endif
