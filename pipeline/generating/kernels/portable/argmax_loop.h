/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_ARGMAX_LOOP_H
#define CHIPFIT_ARGMAX_LOOP_H

#include "argmax.h"

static inline void argmax_loop(const struct argmax *p, const ELEMENT *x, int32_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            const ELEMENT *at = x + i;
            int32_t best = *at * p->sign, found = 0;
            for (int32_t k = 1; k < p->count; ++k) {
                at += p->inner;
                int32_t value = *at * p->sign;
                int32_t greater = negative_mask(best - value - p->last);
                best += (value - best) & greater;
                found += (k - found) & greater;
            }
            *y++ = found;
        }
        x += p->count * p->inner;
    }
}

#endif
