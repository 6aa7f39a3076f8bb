/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */

#include "dense_offset.h"

#include "requantize_multiplier.h"

#include "dense_loop.h"

void KERNEL(dense_offset_multiplier)(const struct dense_offset *p, const int8_t *x, int8_t *y)
{
    dense_rows(&p->dense, p->offset, x, y);
}
