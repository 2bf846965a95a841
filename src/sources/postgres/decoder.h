/* decoder.h: the decoder from the inside, shared by wire.c (messages), wire_relation.c (the cache) and wire_row.c
 * (rows). One thread: the source's. Nobody else includes it. */
#ifndef WB_PG_DECODER_H
#define WB_PG_DECODER_H
#include "wire.h"

/* One version of one relation, in one block of memory with what it points to. */
typedef struct pg_rel {
    uint32_t oid;
    uint32_t ncols;
    uint64_t seq;          /* arrival of its Relation message                */
    const wb_table *table; /* one reference                                  */
    const uint8_t *kinds;  /* ncols wb_kinds, close together for the row loop */
    const uint8_t *body;   /* the message as it came, without type and xid   */
    size_t body_len;
} pg_rel;

/* Open addressing by oid; a power of two; NULL: free. Entries are replaced, never taken out one by one. */
typedef struct pg_rel_map {
    pg_rel **slots;
    size_t cap, used;
} pg_rel_map;

struct pg_decoder {
    pg_relation_fn fn;
    void *arg;
    size_t max_row;
    pg_rel_map base;    /* what the server thinks that we know outside streams            */
    pg_rel_map overlay; /* versions brought by the transaction that is being replayed     */
    const pg_rel *last; /* of the last lookup                                             */
    uint64_t clock;     /* arrivals so far                                                */
    uint64_t seq;       /* of the message being decoded                                   */
    uint64_t ordinal;   /* of the next change                                             */
    bool in_stream, replaying;
    pg_rel_col *cols; /* scratch of a Relation message */
    size_t cap_cols;
};

/* What is being decoded, for errors. */
typedef struct pg_msg {
    wb_rd rd;
    size_t n;
    uint64_t place;
    char type;
} pg_msg;

/* Both return the code. `bad` also says which message it was and where. */
wb_code pg_msg_bad(const pg_msg *m, wb_error *err, const char *fmt, ...) WB_PRINTF(3, 4);
wb_code pg_msg_end(const pg_msg *m, wb_error *err); /* WB_OK: all of it was read, and no more */

/* wire_relation.c */
const pg_rel *pg_rel_find_slow(pg_decoder *d, uint32_t oid); /* NULL: unknown; remembers it */
static inline const pg_rel *pg_rel_find(pg_decoder *d, uint32_t oid)
{
    if (WB_LIKELY(d->last && d->last->oid == oid)) return d->last;
    return pg_rel_find_slow(d, oid);
}
wb_code pg_rel_read(pg_decoder *d, pg_msg *m, wb_error *err);
void pg_rel_map_clear(pg_rel_map *m);

/* wire_row.c: after the type byte and the xid */
wb_code pg_row_insert(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err);
wb_code pg_row_update(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err);
wb_code pg_row_delete(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err);
wb_code pg_row_truncate(pg_decoder *d, pg_msg *m, wb_batch *b, uint32_t *rows, wb_error *err);
#endif
