#include "requantize_once.h"

#include "conv_w16_loop.h"

void KERNEL(conv_w16_once)(const struct conv_w16 *p, const int8_t *x, int8_t *y)
{
    conv_w16_loop(p, x, y);
}
