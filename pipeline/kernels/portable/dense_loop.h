#include "dense.h"
#include "dot.h"

/* The including file chooses requantize(). */
static inline void dense_loop(const struct dense *p, const int8_t *x, int8_t *y)
{
    int32_t n = p->inputs;
    for (int32_t row = 0; row < p->rows; ++row) {
        const int8_t *w = p->weights;
        int32_t o = 0;
        for (; o + 1 < p->outputs; o += 2) {
            int32_t acc[2] = {p->bias[o], p->bias[o + 1]};
            dot_pair(w, w + n, x, n, acc);
            y[o] = requantize(&p->requantize, acc[0], o);
            y[o + 1] = requantize(&p->requantize, acc[1], o + 1);
            w += 2 * n;
        }
        if (o < p->outputs) {
            y[o] = requantize(&p->requantize, dot(w, x, n, p->bias[o]), o);
        }
        x += n;
        y += p->outputs;
    }
}
