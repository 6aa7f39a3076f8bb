/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "affine_wide.h"

#include "rescale_wide.h"

/* value * scale: the two halves of scale by themselves, since no core here needs a long multiply for that. */
static inline int64_t product(int32_t value, int32_t scale)
{
    int64_t high = value * (scale >> 16);
    uint32_t low = (uint32_t)scale & 0xffffu;
    int32_t rest = value * (int32_t)low;
    return high * 65536 + rest;
}

void KERNEL(affine_wide)(const struct affine_wide *p, const int16_t *x, int16_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t c = 0; c < p->channels; ++c) {
            for (int32_t i = 0; i < p->inner; ++i) {
                int64_t sum = product(*x++, p->scale[c]) + p->offset[c];
                uint32_t low = (uint32_t)((uint64_t)sum & 0xffffffffu);
                int32_t value = shift_words((int32_t)(sum >> 32), low, (uint32_t)p->shift);
                *y++ = (int16_t)min_int32(max_int32(value, p->low), p->high);
            }
        }
    }
}
