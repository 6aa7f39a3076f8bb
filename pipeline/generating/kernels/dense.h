/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Dense layer: y[r][o] = requantize(bias[o] + sum over i of weights[o][i] * x[r][i]).
 *
 * x: int8 [rows][inputs], y: int8 [rows][outputs], not overlapping. weights: int8 [outputs][inputs].
 * The input's zero point is folded into the bias. No partial sum exceeds 32 bits: proven at generation.
 */
#ifndef CHIPFIT_DENSE_H
#define CHIPFIT_DENSE_H

#include "requantize.h"

struct dense {
    const int8_t *weights;
    const int32_t *bias;
    struct requantize requantize;
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
};

void KERNEL(dense_shift)(const struct dense *p, const int8_t *x, int8_t *y);
void KERNEL(dense_multiplier)(const struct dense *p, const int8_t *x, int8_t *y);
void KERNEL(dense_once)(const struct dense *p, const int8_t *x, int8_t *y);

#endif
