/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "mean.h"

void KERNEL(mean)(const struct mean *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            const int8_t *at = x + i;
            int32_t sum = *at;
            for (int32_t r = 1; r < p->reduced; ++r) {
                at += p->inner;
                sum += *at;
            }
            *y++ = clamp_int8((sum * p->scale + p->offset) >> p->shift, p->low, p->high);
        }
        x += p->reduced * p->inner;
    }
}
