/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_FILL_LOOP_H
#define CHIPFIT_FILL_LOOP_H

#include "fill.h"

static inline void fill_loop(const struct fill *p, ELEMENT *y)
{
    for (int32_t i = 0; i < p->count; ++i) {
        y[i] = (ELEMENT)p->value;
        OPAQUE(i); /* else compilers call memset, which a freestanding library must not */
    }
}

#endif
