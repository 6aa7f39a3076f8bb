/* Counts basic blocks for Unicorn: a Python callback per block would be a hundred times slower.
 *
 * One slot per (layer, half-word of the code region): how often a block began there, and how often control left
 * the end of it for anywhere but the next instruction. Block sizes are kept for pricing.
 * Layers need no instrumentation: the entry function calls one kernel after the other, so a new layer begins
 * whenever control leaves the entry function's own code, and layer 0 is that code itself.
 */
#include <stdint.h>

struct counter {
    uint64_t code_begin, code_end;   /* the counted region */
    uint64_t entry_begin, entry_end; /* the entry function's own code */
    uint32_t layers;                 /* rows in the tables, the entry function's row included */
    uint32_t layer;                  /* how many layers have begun in this run */
    uint32_t row;                    /* the row that is counted now */
    uint32_t outside;                /* blocks outside the region, or past the last row */
    uint64_t last_slot;              /* the block before, as an index, or all ones */
    uint64_t last_end;
    uint64_t *executed;              /* [layers][half-words] */
    uint64_t *left;                  /* [layers][half-words] */
    uint16_t *sizes;                 /* [half-words], bytes; several blocks may begin at one address, the size is one */
    uint64_t *reads;                 /* [layers]: data reads in the watched region */
    uint64_t *unaligned;             /* [layers]: cycles that unaligned accesses add */
    uint8_t *crooked;                /* [half-words]: 1 where an instruction made an unaligned access */
    int (*register_read)(void *engine, int name, void *value);
    int32_t pc;                      /* Unicorn's name for PC */
};

void chipfit_block(void *engine, uint64_t address, uint32_t size, void *data)
{
    struct counter *c = data;
    (void)engine;
    if (c->last_slot != UINT64_MAX && address != c->last_end) {
        ++c->left[c->last_slot];
    }
    if (address < c->code_begin || address >= c->code_end) {
        c->last_slot = UINT64_MAX;
        ++c->outside;
        return;
    }
    if (address >= c->entry_begin && address < c->entry_end) {
        c->row = 0;
    } else if (c->row == 0) {
        if (c->layer + 1 >= c->layers) {
            ++c->outside;
        } else {
            ++c->layer;
        }
        c->row = c->layer;
    }
    uint64_t words = (c->code_end - c->code_begin) / 2;
    uint64_t at = (address - c->code_begin) / 2;
    uint64_t slot = c->row * words + at;
    ++c->executed[slot];
    if (c->sizes[at] != 0 && c->sizes[at] != (uint16_t)size) {
        ++c->outside;
    }
    c->sizes[at] = (uint16_t)size;
    c->last_slot = slot;
    c->last_end = address + size;
}

void chipfit_read(void *engine, int kind, uint64_t address, int size, int64_t value, void *data)
{
    struct counter *c = data;
    (void)engine, (void)kind, (void)address, (void)size, (void)value;
    ++c->reads[c->row];
}

/* Cortex-M3 and M4 split an unaligned access: a half-word or a word at an odd half-word adds one access, a word at
 * an odd byte adds two (DDI 0337, DDI 0439, load/store timings). */
void chipfit_unaligned(void *engine, int kind, uint64_t address, int size, int64_t value, void *data)
{
    struct counter *c = data;
    uint32_t pc = 0;
    (void)kind, (void)value;
    if ((address & (uint64_t)(size - 1)) == 0) {
        return;
    }
    c->unaligned[c->row] += (size == 4 && (address & 1) != 0) ? 2 : 1;
    c->register_read(engine, c->pc, &pc);
    pc &= ~UINT32_C(1);
    if (pc >= c->code_begin && pc < c->code_end) {
        c->crooked[(pc - c->code_begin) / 2] = 1;
    }
}
