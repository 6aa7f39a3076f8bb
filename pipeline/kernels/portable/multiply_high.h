#include "kernel.h"

/* floor(a * b / 2^31 + 1/2) for b >= 0: gemmlowp's saturating rounding doubling high multiply. */
static inline int32_t multiply_high(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
