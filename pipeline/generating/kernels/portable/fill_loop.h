#include "fill.h"

/* The including file chooses ELEMENT, the type of an activation. */
static inline void fill_loop(const struct fill *p, ELEMENT *y)
{
    for (int32_t i = 0; i < p->count; ++i) {
        y[i] = (ELEMENT)p->value;
        OPAQUE(i); /* else compilers call memset, which a freestanding library must not */
    }
}
