/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* A walk over a box of up to six dimensions, the last one innermost. */
#ifndef CHIPFIT_WALK_H
#define CHIPFIT_WALK_H

#include "kernel.h"

#define WALK_RANK 6

/* All indices 0. Not an initializer: compilers make that a call of memset, which a freestanding library lacks. */
static inline void walk_begin(int32_t *index)
{
    for (int32_t axis = 0; axis < WALK_RANK; ++axis) {
        index[axis] = 0;
        OPAQUE(axis);
    }
}

/* Steps the outer five indices like an odometer and moves both offsets; 0 when the walk is over. */
static inline int32_t walk_next(const int32_t *dims, const int32_t *a_strides, const int32_t *b_strides,
                                int32_t *index, int32_t *a, int32_t *b)
{
    for (int32_t axis = WALK_RANK - 2; axis >= 0; --axis) {
        *a += a_strides[axis];
        *b += b_strides[axis];
        if (++index[axis] < dims[axis]) {
            return 1;
        }
        *a -= dims[axis] * a_strides[axis];
        *b -= dims[axis] * b_strides[axis];
        index[axis] = 0;
    }
    return 0;
}

#endif
