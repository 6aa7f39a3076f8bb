/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* As dense, with weights that reach beyond int8: those of output o are weights[o][i] + offset[o], so that
 * y[r][o] = requantize(bias[o] + sum over i of weights[o][i] * x[r][i] + offset[o] * sum over i of x[r][i]).
 *
 * Uint8 weights with a zero point of their own come so: they are at most 255 apart. No partial sum exceeds 32 bits.
 */
#ifndef CHIPFIT_DENSE_OFFSET_H
#define CHIPFIT_DENSE_OFFSET_H

#include "dense.h"

struct dense_offset {
    struct dense dense;
    const int16_t *offset;
};

void KERNEL(dense_offset_multiplier)(const struct dense_offset *p, const int8_t *x, int8_t *y);
void KERNEL(dense_offset_once)(const struct dense_offset *p, const int8_t *x, int8_t *y);

#endif
