/* Counts basic blocks for Unicorn: a Python callback per block would be a hundred times slower.
 *
 * One slot per (layer, half-word of code, all sections one after the other): how often a block began there, and how
 * often control left the end of it for anywhere but the next instruction. Block sizes are kept for pricing.
 * Layers need no instrumentation: the entry function calls one kernel after the other, so a new layer begins
 * whenever control leaves the entry function's own code, and layer 0 is that code itself.
 */
#include <stdint.h>

/* AHEAD: LINES_AHEAD of pipeline/facts/flash_wait_states.py. */
enum { SPANS = 4, RECENT = 8, AHEAD = 3 };

struct counter {
    uint64_t code_begin[SPANS], code_end[SPANS]; /* the counted sections, in flash or in RAM; unused ones are empty */
    uint64_t entry_begin, entry_end; /* the entry function's own code */
    uint32_t layers;                 /* rows in the tables, the entry function's row included */
    uint32_t layer;                  /* how many layers have begun in this run */
    uint32_t row;                    /* the row that is counted now */
    uint32_t outside;                /* blocks outside all sections, or past the last row */
    uint64_t last_slot;              /* the block before, as an index, or all ones */
    uint64_t last_end;
    uint64_t path;                   /* a hash of the blocks in the order in which they ran (FNV-1a on words) */
    uint64_t *executed;              /* [layers][half-words] */
    uint64_t *taken;                 /* [layers][half-words] */
    uint16_t *sizes;                 /* [half-words], bytes; several blocks may begin at one address, the size is one */
    uint64_t *reads;                 /* [layers]: data reads in the watched region */
    uint64_t *jumps;                 /* [layers]: to a line of flash that is not lately read */
    uint64_t *new_lines;             /* [layers]: lines run that are not lately read */
    uint64_t *new_data;              /* [layers]: data reads of lines not lately read */
    uint64_t flash_begin, flash_end; /* the watched region */
    uint64_t line;                   /* bytes that one read of flash brings; 0: do not count lines */
    uint64_t fetched[RECENT];        /* lines lately run, the latest first; all ones where there is none */
    uint64_t loaded[RECENT];         /* lines lately read as data */
    uint64_t *unaligned;             /* [layers]: cycles that unaligned accesses add */
    uint8_t *unaligned_at;           /* [half-words]: 1 where an instruction made an unaligned access */
    int (*register_read)(void *engine, int name, void *value);
    int32_t pc;                      /* Unicorn's name for PC */
};

/* The index of a half-word in a row of the tables, or all ones; `words` becomes the length of a row. */
static uint64_t slot_in_row(const struct counter *c, uint64_t address, uint64_t *words)
{
    uint64_t found = UINT64_MAX, before = 0;
    for (int i = 0; i < SPANS; ++i) {
        if (address >= c->code_begin[i] && address < c->code_end[i]) {
            found = before + (address - c->code_begin[i]) / 2;
        }
        before += (c->code_end[i] - c->code_begin[i]) / 2;
    }
    *words = before;
    return found;
}

/* Whether `line`, or one of up to `ahead` lines before it, is among the recent ones. */
static int near(const uint64_t *recent, uint64_t line, uint64_t ahead)
{
    for (int i = 0; i < RECENT; ++i) {
        if (recent[i] != UINT64_MAX && line >= recent[i] && line - recent[i] <= ahead) {
            return 1;
        }
    }
    return 0;
}

static void remember(uint64_t *recent, uint64_t line)
{
    int i = 0;
    while (i < RECENT - 1 && recent[i] != line) {
        ++i;
    }
    for (; i > 0; --i) {
        recent[i] = recent[i - 1];
    }
    recent[0] = line;
}

/* The lines of a block that begins in flash; `entered` says how: -1 from the caller, 0 straight on, 1 by a jump.
 * What the buffers hold when the caller enters is not known: nothing of that block is new. */
static void count_lines(struct counter *c, uint64_t address, uint64_t size, int entered)
{
    uint64_t first = address / c->line, last = (address + size - 1) / c->line;
    if (entered == 1 && !near(c->fetched, first, AHEAD) && !near(c->loaded, first, 0)) {
        ++c->jumps[c->row];
    }
    for (uint64_t line = first; line <= last; ++line) {
        if (entered >= 0 && !near(c->fetched, line, 0) && !near(c->loaded, line, 0)) {
            ++c->new_lines[c->row];
        }
        remember(c->fetched, line);
    }
}

void chipfit_block(void *engine, uint64_t address, uint32_t size, void *data)
{
    struct counter *c = data;
    (void)engine;
    c->path = (c->path ^ address) * UINT64_C(1099511628211);
    if (c->last_slot != UINT64_MAX && address != c->last_end) {
        ++c->taken[c->last_slot];
    }
    uint64_t words;
    uint64_t at = slot_in_row(c, address, &words);
    if (at == UINT64_MAX) {
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
    uint64_t slot = c->row * words + at;
    ++c->executed[slot];
    if (c->sizes[at] != 0 && c->sizes[at] != (uint16_t)size) {
        ++c->outside;
    }
    c->sizes[at] = (uint16_t)size;
    if (c->line != 0 && address >= c->flash_begin && address < c->flash_end) {
        count_lines(c, address, size, c->last_slot == UINT64_MAX ? -1 : address != c->last_end);
    }
    c->last_slot = slot;
    c->last_end = address + size;
}

void chipfit_read(void *engine, int kind, uint64_t address, int size, int64_t value, void *data)
{
    struct counter *c = data;
    (void)engine, (void)kind, (void)size, (void)value;
    ++c->reads[c->row];
    uint64_t line = address / c->line;
    if (!near(c->loaded, line, 0) && !near(c->fetched, line, AHEAD)) {
        ++c->new_data[c->row];
    }
    remember(c->loaded, line);
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
    uint64_t words;
    uint64_t at = slot_in_row(c, pc & ~UINT32_C(1), &words);
    if (at != UINT64_MAX) {
        c->unaligned_at[at] = 1;
    }
}
