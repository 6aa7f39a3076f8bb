/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "mul.h"

void KERNEL(mul)(const struct mul *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t index[WALK_RANK];
    int32_t s = 0, t = 0;
    int32_t s_step = p->a_strides[WALK_RANK - 1], t_step = p->b_strides[WALK_RANK - 1];
    walk_begin(index);
    do {
        int32_t at_a = s, at_b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            int32_t product = (a[at_a] - p->a_zero_point) * (b[at_b] - p->b_zero_point);
            *y++ = clamp_int8((product * p->scale + p->offset) >> p->shift, p->low, p->high);
            at_a += s_step;
            at_b += t_step;
        }
    } while (walk_next(p->dims, p->a_strides, p->b_strides, index, &s, &t) != 0);
}
