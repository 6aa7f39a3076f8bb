#define ELEMENT int16_t
#include "affine_loop.h"

void KERNEL(affine_s16)(const struct affine *p, const int16_t *x, int16_t *y)
{
    affine_loop(p, x, y);
}
