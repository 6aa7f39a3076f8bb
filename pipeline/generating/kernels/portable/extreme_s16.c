#define ELEMENT int16_t
#include "extreme_loop.h"

void KERNEL(extreme_s16)(const struct extreme *p, const int16_t *x, int16_t *y)
{
    extreme_loop(p, x, y);
}
