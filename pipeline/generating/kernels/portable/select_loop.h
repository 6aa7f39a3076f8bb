/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A loop for kernels to include: the including file chooses ELEMENT, the type of an activation. */
#ifndef CHIPFIT_SELECT_LOOP_H
#define CHIPFIT_SELECT_LOOP_H

#include "select.h"

static inline void select_loop(const struct select *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t i = 0; i < p->count; ++i) {
        int32_t index = p->indices[i];
        y[i] = index == 65535 ? (ELEMENT)p->zero : x[index];
    }
}

#endif
