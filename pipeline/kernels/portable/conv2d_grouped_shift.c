#include "requantize_shift.h"

#include "conv2d_grouped_loop.h"

void KERNEL(conv2d_grouped_shift)(const struct conv2d_grouped *p, const int8_t *x, int8_t *y)
{
    conv2d_grouped_loop(p, x, y);
}
