/* (sum * multiplier + 2^(shift - 1)) >> shift for |sum| < 2^47, multiplier < 2^15 and 1 <= shift <= 46, in words: no core
 * needs a library function for it. The result fits 32 bits.
 * Source: TensorFlow Lite MultiplyByQuantizedMultiplier of a 64-bit value. */
#ifndef CHIPFIT_RESCALE_WIDE_H
#define CHIPFIT_RESCALE_WIDE_H

#include "kernel.h"

static inline int32_t rescale_wide(int64_t sum, uint32_t multiplier, uint32_t shift)
{
    uint32_t word = (uint32_t)((uint64_t)sum & 0xffffffffu);
    int32_t top = (int32_t)(sum >> 32);
    uint32_t low = (word & 0xffffu) * multiplier;
    uint32_t middle = (word >> 16) * multiplier + (low >> 16);
    int32_t high = top * (int32_t)multiplier + (int32_t)(middle >> 16);
    low = (middle << 16) | (low & 0xffffu);
    if (shift > 32) {
        high += 1 << (shift - 33);
        return high >> (shift - 32);
    }
    uint32_t half = 1u << (shift - 1);
    uint32_t sum_low = low + half;
    /* The carry from bit 31, which a comparison would make a branch. */
    high += (int32_t)(((low & half) | ((low | half) & ~sum_low)) >> 31);
    return shift == 32 ? high : (int32_t)(((uint32_t)high << (32 - shift)) | (sum_low >> shift));
}

#endif
