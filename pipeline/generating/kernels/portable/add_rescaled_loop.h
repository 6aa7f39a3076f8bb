/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_ADD_RESCALED_LOOP_H
#define CHIPFIT_ADD_RESCALED_LOOP_H

#include "add_rescaled.h"
#include "rescale.h"

static inline void add_rescaled_loop(const struct add_rescaled *p, const ELEMENT *a, const ELEMENT *b, ELEMENT *y)
{
    int32_t index[WALK_RANK];
    int32_t s = 0, t = 0;
    int32_t s_step = p->a_strides[WALK_RANK - 1], t_step = p->b_strides[WALK_RANK - 1];
    int32_t one = (int32_t)(1u << p->left);
    walk_begin(index);
    do {
        int32_t at_a = s, at_b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            int32_t left = rescale((a[at_a] - p->a_zero_point) * one, p->a_multiplier, p->a_exponent);
            int32_t right = rescale((b[at_b] - p->b_zero_point) * one, p->b_multiplier, p->b_exponent);
            int32_t sum = rescale(left + p->sign * right, p->y_multiplier, p->y_exponent);
            *y++ = (ELEMENT)min_int32(max_int32(sum + p->y_zero_point, p->low), p->high);
            at_a += s_step;
            at_b += t_step;
        }
    } while (walk_next(p->dims, p->a_strides, p->b_strides, index, &s, &t) != 0);
}

#endif
