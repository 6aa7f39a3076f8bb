/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "gather.h"

void KERNEL(gather)(const struct gather *p, const void *x, void *y)
{
    const int8_t *from = x;
    int8_t *to = y;
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->count; ++i) {
            const int8_t *entry = from + (int32_t)p->indices[i] * p->inner;
            for (int32_t k = 0; k < p->inner; ++k) {
                *to++ = entry[k];
                /* Else compilers make this loop a call of memcpy, which a freestanding library lacks. */
                OPAQUE(k);
            }
        }
        from += p->entries * p->inner;
    }
}
