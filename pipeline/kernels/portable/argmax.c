#include "argmax.h"

void KERNEL(argmax)(const struct argmax *p, const int8_t *x, int32_t *y)
{
    for (int32_t a = 0; a < p->outer; ++a) {
        for (int32_t i = 0; i < p->inner; ++i) {
            const int8_t *at = x + i;
            int32_t best = *at, found = 0;
            for (int32_t k = 1; k < p->count; ++k) {
                at += p->inner;
                int32_t greater = negative_mask(best - *at);
                best += (*at - best) & greater;
                found += (k - found) & greater;
            }
            *y++ = found;
        }
        x += p->count * p->inner;
    }
}
