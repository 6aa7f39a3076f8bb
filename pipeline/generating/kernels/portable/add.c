/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "add.h"

void KERNEL(add)(const struct add *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    int32_t index[WALK_RANK];
    int32_t s = 0, t = 0;
    int32_t s_step = p->a_strides[WALK_RANK - 1], t_step = p->b_strides[WALK_RANK - 1];
    walk_begin(index);
    do {
        int32_t at_a = s, at_b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            int32_t acc = a[at_a] * p->a_scale + b[at_b] * p->b_scale + p->offset;
            *y++ = clamp_int8(acc >> p->shift, p->low, p->high);
            at_a += s_step;
            at_b += t_step;
        }
    } while (walk_next(p->dims, p->a_strides, p->b_strides, index, &s, &t) != 0);
}
