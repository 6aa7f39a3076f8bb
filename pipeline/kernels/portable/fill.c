#include "fill.h"

void KERNEL(fill)(const struct fill *p, int8_t *y)
{
    for (int32_t i = 0; i < p->count; ++i) {
        y[i] = (int8_t)p->value;
        OPAQUE(i); /* else compilers call memset, which a freestanding library must not */
    }
}
