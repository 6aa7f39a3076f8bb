/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* Shifts of 64-bit values in words: Armv6-M would call a library function for a 64-bit shift by a variable. */
#ifndef CHIPFIT_RESCALE_WIDE_H
#define CHIPFIT_RESCALE_WIDE_H

#include "kernel.h"

/* floor((high * 2^32 + low) / 2^shift) for 1 <= shift <= 62 and a result that fits 32 bits. */
static inline int32_t shift_words(int32_t high, uint32_t low, uint32_t shift)
{
    if (shift >= 32u) {
        return high >> (shift - 32u);
    }
    uint32_t bits = ((uint32_t)high << (32u - shift)) | (low >> shift);
    return (int32_t)bits;
}

/* (sum * multiplier + 2^(shift - 1)) >> shift for |sum| < 2^47, multiplier < 2^15 and 1 <= shift <= 46. The result fits 32
 * bits. Source: TensorFlow Lite MultiplyByQuantizedMultiplier of a 64-bit value. */
static inline int32_t rescale_wide(int64_t sum, uint32_t multiplier, uint32_t shift)
{
    uint32_t word = (uint32_t)((uint64_t)sum & 0xffffffffu);
    int32_t top = (int32_t)(sum >> 32);
    uint32_t low = (word & 0xffffu) * multiplier;
    uint32_t middle = (word >> 16) * multiplier + (low >> 16);
    int32_t high = top * (int32_t)multiplier + (int32_t)(middle >> 16);
    low = (middle << 16) | (low & 0xffffu);
    if (shift > 32u) {
        return shift_words(high + (1 << (shift - 33u)), low, shift);
    }
    uint32_t half = (uint32_t)1 << (shift - 1u);
    uint32_t rounded = low + half;
    /* The carry from bit 31, which a comparison would make a branch. */
    high += (int32_t)(((low & half) | ((low | half) & ~rounded)) >> 31);
    return shift_words(high, rounded, shift);
}

#endif
