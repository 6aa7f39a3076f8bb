#define ELEMENT int8_t
#include "extreme_loop.h"

void KERNEL(extreme)(const struct extreme *p, const int8_t *x, int8_t *y)
{
    extreme_loop(p, x, y);
}
