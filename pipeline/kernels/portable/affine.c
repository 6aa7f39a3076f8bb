#define ELEMENT int8_t
#include "affine_loop.h"

void KERNEL(affine)(const struct affine *p, const int8_t *x, int8_t *y)
{
    affine_loop(p, x, y);
}
