/* y[a][i] = the x[a][r][i] for which sign * x[a][r][i] is largest; x [outer][reduced][inner], not overlapping y. */
#ifndef CHIPFIT_EXTREME_H
#define CHIPFIT_EXTREME_H

#include "kernel.h"

struct extreme {
    int32_t outer, reduced, inner;
    int32_t sign;
};

void KERNEL(extreme)(const struct extreme *p, const int8_t *x, int8_t *y);
void KERNEL(extreme_s16)(const struct extreme *p, const int16_t *x, int16_t *y);

#endif
