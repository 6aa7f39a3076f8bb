/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_MUL_RESCALED_LOOP_H
#define CHIPFIT_MUL_RESCALED_LOOP_H

#include "mul_rescaled.h"
#include "rescale.h"

static inline void mul_rescaled_loop(const struct mul_rescaled *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    int32_t index[WALK_RANK];
    int32_t s = 0, t = 0;
    int32_t s_step = p->a_strides[WALK_RANK - 1], t_step = p->b_strides[WALK_RANK - 1];
    walk_begin(index);
    do {
        int32_t at_a = s, at_b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            int32_t product = (a[at_a] - p->a_zero_point) * (b[at_b] - p->b_zero_point);
            int32_t value = rescale(product, p->multiplier, p->exponent) + p->y_zero_point;
            *y++ = (ELEMENT)min_int32(max_int32(value, p->low), p->high);
            at_a += s_step;
            at_b += t_step;
        }
    } while (walk_next(p->dims, p->a_strides, p->b_strides, index, &s, &t) != 0);
}

#endif
