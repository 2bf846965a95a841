/* arena.c: memory that is freed all at once: batches, option strings, config trees. One thread an arena. */
#include "base/arena.h"

#include <stdio.h>

struct wb_arena_block {
    wb_arena_block *next;
    size_t size; /* usable bytes after this head */
};
_Static_assert(sizeof(wb_arena_block) % 16 == 0, "what follows the head must be aligned");

/* Where cur and end point when there is no free space: not NULL, so that an allocation of 0 bytes is not either. */
static char no_space[16];
/* Written by callers that have not looked at `failed` yet: a thread's own, or two threads would race on it. */
static _Thread_local _Alignas(16) char dummy[WB_ARENA_DUMMY];

void wb_arena_init(wb_arena *a, size_t block_size, size_t limit)
{
    size_t size = block_size ? (block_size + 15u) & ~(size_t)15u : 64u * 1024;
    *a = (wb_arena){.cur = no_space, .end = no_space, .block_size = size, .limit = limit};
}

static void free_blocks(wb_arena *a, const wb_arena_block *keep)
{
    wb_arena_block *b = a->blocks;
    while (b) {
        wb_arena_block *next = b->next;
        if (b != keep) {
            a->bytes -= sizeof *b + b->size;
            free(b);
        }
        b = next;
    }
    a->blocks = NULL;
    a->cur = a->end = no_space;
}

void wb_arena_fini(wb_arena *a)
{
    free_blocks(a, NULL);
    a->failed = false;
}

void wb_arena_reset(wb_arena *a)
{
    wb_arena_block *keep = NULL;
#ifndef WB_ARENA_ASAN /* there, everything is given back, so that a stale view is caught */
    for (wb_arena_block *b = a->blocks; b; b = b->next)
        if (b->size == a->block_size) keep = b;
#endif
    free_blocks(a, keep);
    a->failed = false;
    if (keep) {
        keep->next = NULL;
        a->blocks = keep;
        a->cur = (char *)(keep + 1);
        a->end = a->cur + keep->size;
    }
}

static void *fail(wb_arena *a, size_t bytes)
{
    a->failed = true;
    a->cur = a->end = no_space; /* the fast path never succeeds again */
    if (bytes > sizeof dummy) return NULL;
    memset(dummy, 0, sizeof dummy);
    return dummy;
}

void *wb_arena_slow(wb_arena *a, size_t bytes)
{
    size_t need = wb_arena_need(bytes), total;
    if (a->failed || need < bytes) return fail(a, bytes);
    /* A large piece gets a block of its own and leaves the rest of the current one in use. */
    bool own = need > a->block_size / 4;
    size_t size = own ? need : a->block_size;
    if (!wb_add_ok(size, sizeof(wb_arena_block), &total)) return fail(a, bytes);
    if (a->limit && (total > a->limit || a->bytes > a->limit - total)) return fail(a, bytes);
    wb_arena_block *b = malloc(total);
    if (!b) return fail(a, bytes);
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->bytes += total;
    char *p = (char *)(b + 1);
    wb_arena_hide(p, size);
    if (!own) {
        a->cur = p + need;
        a->end = p + size;
    }
    wb_arena_show(p, bytes);
    return p;
}

void *wb_arena_zalloc(wb_arena *a, size_t bytes)
{
    void *p = wb_arena_alloc(a, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

char *wb_arena_strndup(wb_arena *a, const char *p, size_t n)
{
    size_t need;
    if (!wb_add_ok(n, 1, &need)) return fail(a, SIZE_MAX);
    char *q = wb_arena_alloc(a, need);
    if (!q || a->failed) return q;
    if (n) memcpy(q, p, n);
    q[n] = 0;
    return q;
}

char *wb_arena_strdup(wb_arena *a, const char *z) { return wb_arena_strndup(a, z, z ? strlen(z) : 0); }

char *wb_arena_printf(wb_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? fail(a, 1) : wb_arena_alloc(a, (size_t)n + 1);
    if (!p || a->failed) return p;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
