/* table.c: one immutable, counted version of a table, in one block of memory. */
#include <stdatomic.h>

#include "base/base.h"

typedef struct counted_table {
    wb_table t; /* first: a wb_table is its own block */
    atomic_uint refs;
} counted_table;

static atomic_ullong next_serial = 1;

static size_t room_for(wb_str s) { return s.len + 1; }

/* What a name is at the source, when nobody says. */
static wb_str or_else(wb_str source_name, wb_str name) { return source_name.ptr ? source_name : name; }

static size_t value_room(const wb_value *v)
{
    bool pointed = v->kind > WB_NULL && ((v->flags & WB_V_TEXT) || v->kind == WB_BYTES || v->kind == WB_DOCUMENT);
    return pointed ? (size_t)v->len + 1 : 0;
}

static wb_str put_str(char **at, wb_str s)
{
    char *p = *at;
    if (s.len) memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    *at += s.len + 1;
    return (wb_str){p, s.len};
}

wb_table *wb_table_new(const wb_table *proto)
{
    size_t bytes = sizeof(counted_table) + proto->ncols * sizeof(wb_column) + proto->nkey * sizeof(uint16_t);
    bytes += room_for(proto->schema) + room_for(proto->name) + room_for(or_else(proto->source_schema, proto->schema)) +
             room_for(or_else(proto->source_name, proto->name)) + room_for(proto->route);
    for (uint32_t i = 0; i < proto->ncols; i++) {
        const wb_column *c = &proto->cols[i];
        bytes += room_for(c->name) + room_for(or_else(c->source_name, c->name)) + room_for(c->type) +
                 room_for(c->default_sql) + room_for(c->charset) + room_for(c->comment) + room_for(c->extra) +
                 room_for(c->labels) + value_room(&c->missing);
    }
    counted_table *ct = malloc(bytes);
    if (!ct) return NULL;
    char *at = (char *)(ct + 1);
    wb_column *cols = (wb_column *)(void *)at;
    at += proto->ncols * sizeof(wb_column);
    uint16_t *key = (uint16_t *)(void *)at;
    at += proto->nkey * sizeof(uint16_t);

    wb_table *t = &ct->t;
    *t = *proto;
    t->serial = atomic_fetch_add_explicit(&next_serial, 1, memory_order_relaxed);
    t->schema = put_str(&at, proto->schema);
    t->name = put_str(&at, proto->name);
    t->source_schema = put_str(&at, or_else(proto->source_schema, proto->schema));
    t->source_name = put_str(&at, or_else(proto->source_name, proto->name));
    t->route = put_str(&at, proto->route);
    t->cols = cols;
    t->key = key;
    if (proto->nkey) memcpy(key, proto->key, proto->nkey * sizeof *key);
    for (uint32_t i = 0; i < proto->ncols; i++) {
        const wb_column *from = &proto->cols[i];
        cols[i] = *from;
        cols[i].name = put_str(&at, from->name);
        cols[i].source_name = put_str(&at, or_else(from->source_name, from->name));
        cols[i].type = put_str(&at, from->type);
        if (from->default_sql.ptr) cols[i].default_sql = put_str(&at, from->default_sql);
        cols[i].charset = put_str(&at, from->charset);
        cols[i].comment = put_str(&at, from->comment);
        cols[i].extra = put_str(&at, from->extra);
        cols[i].labels = put_str(&at, from->labels);
        if (value_room(&from->missing))
            cols[i].missing.as.ptr = put_str(&at, (wb_str){from->missing.as.ptr, from->missing.len}).ptr;
    }
    atomic_init(&ct->refs, 1);
    return t;
}

static counted_table *counted(const wb_table *t)
{
    union { /* the count is not part of what is immutable */
        const wb_table *in;
        counted_table *out;
    } u = {t};
    return u.out;
}

wb_table *wb_table_ref(const wb_table *t)
{
    counted_table *ct = counted(t);
    atomic_fetch_add_explicit(&ct->refs, 1, memory_order_relaxed);
    return &ct->t;
}

void wb_table_unref(const wb_table *t)
{
    if (!t) return;
    counted_table *ct = counted(t);
    if (atomic_fetch_sub_explicit(&ct->refs, 1, memory_order_acq_rel) == 1) free(ct);
}
