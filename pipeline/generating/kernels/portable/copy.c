/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "copy.h"

void KERNEL(copy)(const struct copy *p, const void *source, void *target)
{
    const int8_t *from = source;
    int8_t *to = target;
    int32_t index[WALK_RANK];
    int32_t s = p->source_offset, t = p->target_offset;
    int32_t s_step = p->source_strides[WALK_RANK - 1], t_step = p->target_strides[WALK_RANK - 1];
    walk_begin(index);
    do {
        int32_t a = s, b = t;
        for (int32_t i = 0; i < p->dims[WALK_RANK - 1]; ++i) {
            to[b] = from[a];
            a += s_step;
            b += t_step;
            OPAQUE(b); /* else compilers call memcpy, which a freestanding library must not */
        }
    } while (walk_next(p->dims, p->source_strides, p->target_strides, index, &s, &t) != 0);
}
