/* SPDX-FileCopyrightText: chipfit contributors */
/* SPDX-License-Identifier: MIT */
/* What every kernel of a generated library shares. No libc beyond <stdint.h>, no float, no heap, no 64-bit division. */
#ifndef CHIPFIT_KERNEL_H
#define CHIPFIT_KERNEL_H

#include <stdint.h>

/* Defines KERNEL(name) and its like: the product's prefix, so that two products link into one firmware. */
#include "kernel_prefix.h"

/* Hides a value from the optimizer, which would otherwise turn branch-free selection back into branches:
 * on cores without conditional moves the time would then depend on the data. */
#if defined(__GNUC__)
#define OPAQUE(value) __asm__("" : "+r"(value))
#else
#define OPAQUE(value) ((void)0)
#endif

/* A call of code in RAM, which no branch reaches from flash: the address is hidden, so that no compiler makes it one. */
#define FAR_CALL(types, function, arguments) \
    do { \
        void(*far_) types = function; \
        OPAQUE(far_); \
        far_ arguments; \
    } while (0)

/* All ones when value is negative, else 0. Every supported compiler shifts negative integers arithmetically. */
static inline int32_t negative_mask(int32_t value)
{
    OPAQUE(value);
    int32_t mask = value >> 31;
    OPAQUE(mask);
    return mask;
}

static inline int32_t max_int32(int32_t a, int32_t b)
{
    int32_t difference = a - b;
    return a - (difference & negative_mask(difference));
}

static inline int32_t min_int32(int32_t a, int32_t b)
{
    int32_t difference = a - b;
    return b + (difference & negative_mask(difference));
}

/* value clamped to [low, high], as int8. The distance to either bound must fit 32 bits. */
static inline int8_t clamp_int8(int32_t value, int32_t low, int32_t high)
{
    return (int8_t)min_int32(max_int32(value, low), high);
}

#endif
