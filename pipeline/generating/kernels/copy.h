/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Copies a box of bytes between strided places: transpose, slice, split, concat, pad.
 *
 * target[target_offset + sum of i[k] * target_strides[k]] = source[source_offset + sum of i[k] * source_strides[k]]
 * for every index i below dims. Strides are in bytes and may be negative for the source. No overlap.
 */
#ifndef CHIPFIT_COPY_H
#define CHIPFIT_COPY_H

#include "walk.h"

struct copy {
    int32_t dims[WALK_RANK];
    int32_t source_strides[WALK_RANK];
    int32_t target_strides[WALK_RANK];
    int32_t source_offset;
    int32_t target_offset;
};

void KERNEL(copy)(const struct copy *p, const void *source, void *target);

#endif
