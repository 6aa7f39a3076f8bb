/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_MEAN_RESCALED_LOOP_H
#define CHIPFIT_MEAN_RESCALED_LOOP_H

#include "mean_rescaled.h"
#include "rescale.h"

static inline void mean_rescaled_loop(const struct mean_rescaled *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            const ELEMENT *at = x + i;
            int32_t sum = p->offset + *at;
            for (int32_t r = 1; r < p->reduced; ++r) {
                at += p->inner;
                sum += *at;
            }
            int32_t value = rescale(sum, p->multiplier, p->exponent) + p->zero_point;
            *y++ = (ELEMENT)min_int32(max_int32(value, p->low), p->high);
        }
        x += p->reduced * p->inner;
    }
}

#endif
