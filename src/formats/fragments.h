/* fragments.h: what a JSON format says about a table in every row, escaped once per version of the table: the names of
 * its columns and whatever head the format puts before them. Bounded; keyed by wb_table.serial. One thread. */
#ifndef WB_FRAGMENTS_H
#define WB_FRAGMENTS_H
#include "formats/json.h"

typedef struct wb_fragment wb_fragment;
struct wb_fragment {
    uint64_t serial;
    wb_fragment *next; /* in its slot */
    uint32_t ncols;
    uint32_t head_len;
    const char *head;  /* made by the format       */
    const char *names; /* ,"id":,"name": ...       */
    uint32_t at[];     /* ncols + 1 offsets in it  */
};

enum { WB_FRAGMENT_SLOTS = 512, WB_FRAGMENTS_MAX = 4096 };

typedef struct wb_fragments {
    const wb_fragment *last; /* the one asked for last: nearly always asked for again */
    wb_fragment *slots[WB_FRAGMENT_SLOTS];
    size_t n;
    void (*head)(void *arg, const wb_table *t, wb_out *out);
    void *arg;
} wb_fragments;

/* `head` may be NULL. */
void wb_fragments_init(wb_fragments *f, void (*head)(void *arg, const wb_table *t, wb_out *out), void *arg);
void wb_fragments_fini(wb_fragments *f);
const wb_fragment *wb_fragments_make(wb_fragments *f, const wb_table *t); /* for the next function alone */
/* Lives until the next call; NULL without memory. */
static inline const wb_fragment *wb_fragments_get(wb_fragments *f, const wb_table *t)
{
    if (WB_LIKELY(f->last && f->last->serial == t->serial)) return f->last;
    return wb_fragments_make(f, t);
}

/* Columns as `"name":value,...`, without braces. ABSENT and UNCHANGED are left out, or null by option.
 * `first`: no comma before the first one; set false when one was written. */
wb_code wb_json_columns(wb_out *o, const wb_fragment *f, const wb_value *values, const wb_json_options *opt,
                        bool *first, wb_error *err) WB_MUST;
#endif
