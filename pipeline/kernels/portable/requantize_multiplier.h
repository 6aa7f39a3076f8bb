#include "multiply_high.h"
#include "requantize.h"

static inline int8_t requantize(const struct requantize *r, int32_t acc, int32_t channel)
{
    int32_t exponent = r->exponent[channel];
    int32_t left = max_int32(exponent, 0);
    int32_t right = left - exponent;
    int32_t high = multiply_high(acc * (int32_t)(1u << left), r->multiplier[channel]);
    /* Divide by 2^right, rounding half away from zero. */
    int32_t mask = (int32_t)((1u << right) - 1u);
    int32_t threshold = (mask >> 1) - negative_mask(high);
    int32_t up = negative_mask(threshold - (high & mask));
    return clamp_int8((high >> right) - up + r->zero_point, r->low, r->high);
}
