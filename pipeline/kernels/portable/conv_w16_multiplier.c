#include "requantize_multiplier.h"

#include "conv_w16_loop.h"

void KERNEL(conv_w16_multiplier)(const struct conv_w16 *p, const int8_t *x, int8_t *y)
{
    conv_w16_loop(p, x, y);
}
