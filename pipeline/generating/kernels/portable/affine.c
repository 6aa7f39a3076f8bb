/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "affine.h"

void KERNEL(affine)(const struct affine *p, const int8_t *x, int8_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t c = 0; c < p->channels; ++c) {
            int32_t scale = p->scale[c], offset = p->offset[c];
            for (int32_t i = 0; i < p->inner; ++i) {
                *y++ = clamp_int8((*x++ * scale + offset) >> p->shift, p->low, p->high);
            }
        }
    }
}
