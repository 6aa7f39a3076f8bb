/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_REDUCE_EXTREMUM_LOOP_H
#define CHIPFIT_REDUCE_EXTREMUM_LOOP_H

#include "reduce_extremum.h"

static inline void reduce_extremum_loop(const struct reduce_extremum *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            const ELEMENT *at = x + i;
            int32_t best = *at * p->sign;
            for (int32_t r = 1; r < p->reduced; ++r) {
                at += p->inner;
                best = max_int32(best, *at * p->sign);
            }
            *y++ = (ELEMENT)(best * p->sign);
        }
        x += p->reduced * p->inner;
    }
}

#endif
