#include "affine.h"

/* The including file chooses ELEMENT, the type of an activation. */
static inline void affine_loop(const struct affine *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t c = 0; c < p->channels; ++c) {
            int32_t scale = p->scale[c], offset = p->offset[c];
            for (int32_t i = 0; i < p->inner; ++i) {
                *y++ = (ELEMENT)min_int32(max_int32((*x++ * scale + offset) >> p->shift, p->low), p->high);
            }
        }
    }
}
