/* xidset.c: see xidset.h. Used by spool.c. */
#include "xidset.h"

static bool page_free(const pg_xid_page *p) { return (p->bits[0] | p->bits[1] | p->bits[2] | p->bits[3]) == 0; }

/* The page of that number, or the free slot where it would go. */
static pg_xid_page *page_at(pg_xid_page *slots, size_t cap, uint32_t number)
{
    size_t i = (size_t)(((uint64_t)number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (cap - 1);
    while (!page_free(&slots[i]) && slots[i].number != number) i = (i + 1) & (cap - 1);
    return &slots[i];
}

static bool set_grow(pg_xidset *s)
{
    size_t cap = s->cap ? s->cap * 2 : 16;
    pg_xid_page *slots = calloc(cap, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < s->cap; i++)
        if (!page_free(&s->slots[i])) *page_at(slots, cap, s->slots[i].number) = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return true;
}

void pg_xidset_fini(pg_xidset *s)
{
    free(s->slots);
    *s = (pg_xidset){0};
}

bool pg_xidset_add(pg_xidset *s, uint32_t xid)
{
    if (s->used >= s->cap / 2 && !set_grow(s)) return false;
    pg_xid_page *p = page_at(s->slots, s->cap, xid >> 8);
    if (page_free(p)) {
        p->number = xid >> 8;
        s->used++;
    }
    p->bits[(xid >> 6) & 3] |= UINT64_C(1) << (xid & 63);
    return true;
}

bool pg_xidset_has(const pg_xidset *s, uint32_t xid)
{
    if (s->used == 0) return false;
    return (page_at(s->slots, s->cap, xid >> 8)->bits[(xid >> 6) & 3] >> (xid & 63)) & 1;
}
