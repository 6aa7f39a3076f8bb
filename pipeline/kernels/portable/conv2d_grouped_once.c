#include "requantize_once.h"

#include "conv2d_grouped_loop.h"

void KERNEL(conv2d_grouped_once)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y)
{
    conv2d_grouped_loop(p, x, y);
}
