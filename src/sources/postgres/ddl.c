/* ddl.c: schema changes as events. pgoutput tells none: a table is described anew before its next row. So a new version
 * becomes a CREATE or an ALTER before the first row that has it, and shares that row's ordinal, since the log has no
 * place of its own for it. What no row tells, a table that was dropped or that we added to the publication, is written
 * into the log by ourselves as a message of the prefix walbrook (watch_tables.c), and has that message's place.
 * Each event is in the state before a target sees it (ddl/PLACE/OID), so a repeat tells it again. Source thread. */
#include "pg.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/options.h"

typedef struct event { /* one that was told at this place; its tables are in the state */
    pg_lsn at;
    uint64_t ordinal;
    uint32_t oid;
} event;

/* ---------------------------------------------------------------- versions that wait for their first row */

bool pg_ddl_expect(pg_source *s, const pg_shape *shape)
{
    pg_ddl *d = &s->ddl;
    size_t i = 0;
    while (i < d->nwaiting && d->waiting[i].oid != shape->oid) i++;
    if (i == d->nwaiting) {
        pg_told_kept *all = realloc(d->waiting, (d->nwaiting + 1) * sizeof *all);
        if (!all) return false;
        d->waiting = all;
        all[d->nwaiting++] = (pg_told_kept){.oid = shape->oid};
        if (!pg_oidset_set(&d->expected, shape->oid, true)) return false;
    }
    wb_out *value = &d->waiting[i].value;
    wb_out_reset(value);
    pg_shape_encode(shape, value);
    return !value->failed;
}

static void forget_waiting(pg_ddl *d, uint32_t oid)
{
    for (size_t i = 0; i < d->nwaiting; i++) {
        if (d->waiting[i].oid != oid) continue;
        wb_out_fini(&d->waiting[i].value);
        d->waiting[i] = d->waiting[--d->nwaiting];
        break;
    }
    (void)pg_oidset_set(&d->expected, oid, false);
}

static bool read_waiting(const pg_ddl *d, uint32_t oid, wb_arena *a, pg_shape *out)
{
    for (size_t i = 0; i < d->nwaiting; i++)
        if (d->waiting[i].oid == oid)
            return pg_shape_decode((wb_str){d->waiting[i].value.p, d->waiting[i].value.len}, a, out);
    return false;
}

/* ---------------------------------------------------------------- events in the state */

static void event_key(const event *e, char key[64])
{
    (void)snprintf(key, 64, "ddl/%016llx/%016llx/%u", (unsigned long long)e->at, (unsigned long long)e->ordinal,
                   e->oid);
}

static bool parse_event_key(const char *key, event *out)
{
    unsigned long long at, ordinal;
    unsigned oid;
    int end = 0;
    if (sscanf(key, "ddl/%16llx/%16llx/%u%n", &at, &ordinal, &oid, &end) != 3 || key[end]) return false;
    *out = (event){.at = at, .ordinal = ordinal, .oid = oid};
    return true;
}

/* The kind, then the version before ("" none), then the one after ("" none). */
static void encode_event(wb_ddl_kind kind, const pg_shape *before, const pg_shape *after, wb_out *out)
{
    wb_out one = {0};
    wb_out_byte(out, (char)kind);
    if (before) pg_shape_encode(before, &one);
    wb_out_be32(out, (uint32_t)one.len);
    wb_out_put(out, one.p, one.len);
    if (one.failed) out->failed = true;
    wb_out_fini(&one);
    if (after) pg_shape_encode(after, out);
}

static bool decode_event(wb_str in, wb_arena *a, wb_ddl_kind *kind, pg_shape **before, pg_shape **after)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    *kind = (wb_ddl_kind)wb_rd_u8(&r);
    uint32_t n = wb_rd_be32(&r);
    const uint8_t *p = wb_rd_bytes(&r, n);
    size_t left = wb_rd_left(&r);
    pg_shape *shapes = wb_arena_zalloc(a, 2 * sizeof *shapes);
    *before = *after = NULL;
    if (r.failed || (!n && !left) || !shapes || a->failed || *kind > WB_DDL_DROP) return false;
    if (n) *before = &shapes[0];
    if (left) *after = &shapes[1];
    if (*before && !pg_shape_decode((wb_str){(const char *)p, n}, a, *before)) return false;
    return !*after || pg_shape_decode((wb_str){(const char *)r.p, left}, a, *after);
}

/* ---------------------------------------------------------------- one event into the batch */

/* `after`: borrowed table of the version after, or NULL: made from its shape. */
static wb_code append(pg_source *s, wb_ddl_kind kind, const pg_shape *before, const pg_shape *after,
                      const wb_table *now, uint64_t place, wb_error *err)
{
    wb_table *was = before ? pg_shape_table(before, 0) : NULL;
    const wb_table *is = now ? wb_table_ref(now) : after ? pg_shape_table(after, 0) : NULL;
    wb_code code = (before && !was) || (after && !is) ? pg_nomem(err) : WB_OK;
    if (code == WB_OK) {
        wb_change *c = wb_batch_ddl(s->batch, kind, 0, was, kind == WB_DDL_DROP ? NULL : is, (wb_str){NULL, 0});
        c->ordinal = pg_decoder_next_ordinal(s->decoder);
        c->place = place;
        s->txn.rows++;
        wb_host_log(s->host, WB_LOG_DEBUG, "schema change: %s %s.%s", wb_change_type(c), c->table->schema.ptr,
                    c->table->name.ptr);
    }
    wb_table_unref(was);
    wb_table_unref(is);
    return code;
}

static event here(const pg_source *s, uint32_t oid)
{
    return (event){.at = s->txn.at, .ordinal = pg_decoder_next_ordinal(s->decoder), .oid = oid};
}

/* A new one: first the state, then the batch. */
static wb_code tell(pg_source *s, wb_ddl_kind kind, const pg_shape *before, const pg_shape *after, const wb_table *now,
                    uint64_t place, wb_error *err)
{
    event e = here(s, after ? after->oid : before->oid);
    wb_code code = WB_OK;
    if (sql_fact_on(s->host)) {
        char key[64];
        wb_out value = {0};
        event_key(&e, key);
        encode_event(kind, before, after, &value);
        code = value.failed ? pg_nomem(err) : wb_host_state_put(s->host, key, (wb_str){value.p, value.len}, err);
        wb_out_fini(&value);
    }
    (void)WB_FAULT("postgres.ddl_noted");
    pg_told told = {
        .at = e.at, .ordinal = e.ordinal, .dropped = kind == WB_DDL_DROP, .shape = after ? *after : *before};
    if (code == WB_OK) code = pg_told_put(s, &told, err);
    (void)WB_FAULT("postgres.ddl_told");
    return code == WB_OK ? append(s, kind, before, after, now, place, err) : code;
}

/* *done: it was told here before, and now again. */
static wb_code tell_again(pg_source *s, uint32_t oid, const wb_table *now, uint64_t place, bool *done, wb_error *err)
{
    event e = here(s, oid);
    char key[64];
    wb_str v = {NULL, 0};
    *done = false;
    if (!sql_fact_on(s->host) || e.at > s->ddl.newest) return WB_OK;
    event_key(&e, key);
    wb_code code = wb_host_state_get(s->host, key, &v, err);
    if (code != WB_OK || !v.len) return code;
    wb_arena a;
    wb_ddl_kind kind = WB_DDL_ALTER;
    pg_shape *before = NULL, *after = NULL;
    wb_arena_init(&a, 16 * 1024, 0);
    char *copy = wb_arena_strndup(&a, v.ptr, v.len);
    if (!copy || a.failed)
        code = pg_nomem(err);
    else if (!decode_event((wb_str){copy, v.len}, &a, &kind, &before, &after))
        code = wb_fail(err, WB_E_STATE, WB_NEVER, "The state's entry '%s' cannot be read.", key);
    pg_told told;
    bool found = false;
    if (code == WB_OK) code = pg_told_get(s, oid, &a, &told, &found, err);
    if (code == WB_OK && (!found || told.at < e.at || (told.at == e.at && told.ordinal < e.ordinal))) {
        /* the first time ended between the two writes */
        pg_told next = {.at = e.at, .ordinal = e.ordinal, .dropped = !after, .shape = after ? *after : *before};
        code = pg_told_put(s, &next, err);
    }
    if (code == WB_OK) code = append(s, kind, before, after, after ? now : NULL, place, err);
    *done = code == WB_OK;
    wb_arena_fini(&a);
    return code;
}

/* The place lies behind what was told last, so it was told, or not, the first time. */
static bool behind(const pg_source *s, const pg_told *told)
{
    uint64_t ordinal = pg_decoder_next_ordinal(s->decoder);
    return s->txn.at < told->at || (s->txn.at == told->at && ordinal <= told->ordinal);
}

/* ---------------------------------------------------------------- before a row */

/* A table that nobody was told of: it is new, unless it was there at the start and is not copied yet. */
static wb_code meet(pg_source *s, const pg_shape *is, const wb_table *now, uint64_t place, wb_error *err)
{
    if (!sql_fact_on(s->host) || pg_oidset_has(&s->ddl.began_with, is->oid)) return pg_told_first(s, is, err);
    return tell(s, WB_DDL_CREATE, NULL, is, now, place, err);
}

static wb_code before_row_of(pg_source *s, uint32_t oid, uint64_t place, wb_error *err)
{
    if (!pg_oidset_has(&s->ddl.expected, oid)) return WB_OK;
    const wb_table *now = pg_decoder_table(s->decoder, oid);
    if (!now) return WB_OK; /* the decoder refuses the row */
    bool done = false, found = false;
    wb_arena a;
    pg_told told;
    pg_shape is;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_code code = tell_again(s, oid, now, place, &done, err);
    if (code == WB_OK && !done) code = pg_told_get(s, oid, &a, &told, &found, err);
    if (code == WB_OK && !done && !read_waiting(&s->ddl, oid, &a, &is)) code = pg_nomem(err);
    if (code == WB_OK && !done) {
        if (!found)
            code = meet(s, &is, now, place, err);
        else if (!behind(s, &told) && told.dropped)
            code = tell(s, WB_DDL_CREATE, NULL, &is, now, place, err);
        else if (!behind(s, &told) && pg_shape_differs(&told.shape, &is))
            code = tell(s, WB_DDL_ALTER, &told.shape, &is, now, place, err);
    }
    wb_arena_fini(&a);
    if (code == WB_OK) forget_waiting(&s->ddl, oid);
    return code;
}

static uint32_t be32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

wb_code pg_ddl_before(pg_source *s, char type, const char *p, size_t n, uint64_t place, wb_error *err)
{
    size_t at = s->replay ? 5 : 1;
    if (type != 'T') return n >= at + 4 ? before_row_of(s, be32(p + at), place, err) : WB_OK;
    wb_code code = WB_OK;
    for (at += 5; at + 4 <= n && code == WB_OK; at += 4) code = before_row_of(s, be32(p + at), place, err);
    return code;
}

/* ---------------------------------------------------------------- messages of our own: "schema SLOT drop OID" */

static bool message_is_ours(const pg_source *s, wb_str content, bool *drop, uint32_t *oid)
{
    char text[PG_NAME + 40], word[8], slot[PG_NAME];
    int end = 0;
    if (content.len >= sizeof text) return false;
    memcpy(text, content.ptr, content.len);
    text[content.len] = 0;
    if (sscanf(text, "schema %63s %7s %u%n", slot, word, oid, &end) != 3 || (size_t)end != content.len) return false;
    *drop = strcmp(word, "drop") == 0;
    return strcmp(slot, s->names.slot) == 0 && (*drop || strcmp(word, "add") == 0);
}

/* Anybody may write messages: the catalog must agree. */
static wb_code judge_message(pg_source *s, bool drop, uint32_t oid, uint64_t place, wb_error *err)
{
    wb_arena a;
    pg_told told;
    pg_shape now;
    bool found = false, exists = false;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_code code = pg_told_get(s, oid, &a, &told, &found, err);
    if (code == WB_OK && !(found && behind(s, &told))) code = pg_relation_now(s, oid, &a, &now, &exists, err);
    if (code == WB_OK && drop && found && !exists && !told.dropped && !behind(s, &told))
        code = tell(s, WB_DDL_DROP, &told.shape, NULL, NULL, place, err);
    else if (code == WB_OK && !drop && exists && (!found || told.dropped)) {
        pg_shape_narrow(&now, NULL);
        code = tell(s, WB_DDL_CREATE, NULL, &now, NULL, place, err);
    }
    wb_arena_fini(&a);
    return code;
}

wb_code pg_ddl_message(pg_source *s, wb_str content, uint64_t place, wb_error *err)
{
    bool drop, done;
    uint32_t oid;
    if (!s->txn.active || !message_is_ours(s, content, &drop, &oid)) return WB_OK;
    wb_code code = pg_batch_for(s, 0, err);
    if (code != WB_OK) return code;
    pg_enter_txn(s);
    code = tell_again(s, oid, NULL, place, &done, err);
    return code == WB_OK && !done ? judge_message(s, drop, oid, place, err) : code;
}

/* ---------------------------------------------------------------- sessions */

typedef struct load {
    pg_source *s;
    pg_lsn settled, from; /* events before `settled` are over; versions told after `from` are of another history */
    event *old;           /* events to be removed */
    size_t nold;
    wb_arena a;
    bool failed;
} load;

static void load_event(void *arg, const char *key, wb_str value)
{
    load *l = arg;
    event e;
    WB_UNUSED(value);
    if (!parse_event_key(key, &e)) return;
    if (e.at >= l->settled && !l->from) {
        l->s->ddl.newest = WB_MAX(l->s->ddl.newest, e.at);
        return;
    }
    event *all = realloc(l->old, (l->nold + 1) * sizeof *all);
    if (!all) {
        l->failed = true;
        return;
    }
    l->old = all;
    all[l->nold++] = e;
}

static void load_table(void *arg, const char *key, wb_str value)
{
    load *l = arg;
    int64_t oid;
    if (wb_parse_int(key + strlen("table/"), &oid, NULL) != WB_OK) return; /* table/OID/HASH */
    wb_rd r = wb_rd_of(value.ptr, WB_MIN(value.len, (size_t)18));
    (void)wb_rd_bytes(&r, 17);
    if (wb_rd_u8(&r) == 0 && !r.failed && !pg_oidset_set(&l->s->ddl.told, (uint32_t)oid, true)) l->failed = true;
}

static wb_code remove_events(load *l, wb_error *err)
{
    wb_code code = l->failed ? pg_nomem(err) : WB_OK;
    for (size_t i = 0; i < l->nold && code == WB_OK; i++) {
        char key[64];
        event_key(&l->old[i], key);
        code = wb_host_state_del(l->s->host, key, err);
    }
    free(l->old);
    return code;
}

static wb_code load_began_with(pg_source *s, wb_error *err)
{
    wb_str v = {NULL, 0};
    wb_code code = wb_host_state_get(s->host, "began_with", &v, err);
    s->ddl.begun = v.len > 0;
    for (size_t i = 1; i + 4 <= v.len && code == WB_OK; i += 4)
        if (!pg_oidset_set(&s->ddl.began_with, be32(v.ptr + i), true)) code = pg_nomem(err);
    return code;
}

wb_code pg_ddl_open(pg_source *s, pg_lsn settled, wb_error *err)
{
    load l = {.s = s, .settled = settled};
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = wb_host_state_list(s->host, "ddl/", load_event, &l, err);
    if (code == WB_OK) code = wb_host_state_list(s->host, "table/", load_table, &l, err);
    wb_code removed = remove_events(&l, code == WB_OK ? err : NULL);
    if (code == WB_OK) code = removed;
    return code == WB_OK ? load_began_with(s, err) : code;
}

/* Versions told at places that a new slot will reach again mean nothing there. */
static wb_code begin_versions(pg_source *s, pg_lsn from, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < s->ddl.told.n && code == WB_OK; i++) {
        wb_arena a;
        pg_told told;
        bool found;
        wb_arena_init(&a, 8 * 1024, 0);
        code = pg_told_get(s, s->ddl.told.oids[i], &a, &told, &found, err);
        if (code == WB_OK && found && told.at >= from) {
            told.at = told.ordinal = 0;
            code = pg_told_put(s, &told, err);
        }
        wb_arena_fini(&a);
    }
    return code;
}

wb_code pg_ddl_begin(pg_source *s, pg_lsn from, wb_error *err)
{
    load l = {.s = s, .from = from};
    wb_out all = {0};
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = wb_host_state_list(s->host, "ddl/", load_event, &l, err);
    wb_code removed = remove_events(&l, code == WB_OK ? err : NULL);
    if (code == WB_OK) code = removed;
    s->ddl.newest = 0;
    if (code == WB_OK) code = begin_versions(s, from, err);
    wb_out_byte(&all, 1); /* never nothing, so that it is known to be there */
    for (size_t i = 0; i < s->cat.n; i++) {
        const pg_table *t = &s->cat.tables[i];
        if (!t->published || !pg_catalog_covers(&s->cat, t)) continue;
        wb_out_be32(&all, t->oid);
        if (!pg_oidset_set(&s->ddl.began_with, t->oid, true)) all.failed = true;
    }
    if (code == WB_OK && all.failed) code = pg_nomem(err);
    if (code == WB_OK) code = wb_host_state_put(s->host, "began_with", (wb_str){all.p, all.len}, err);
    wb_out_fini(&all);
    return code;
}

void pg_ddl_close(pg_ddl *d)
{
    for (size_t i = 0; i < d->nwaiting; i++) wb_out_fini(&d->waiting[i].value);
    for (size_t i = 0; i < d->nkept; i++) wb_out_fini(&d->kept[i].value);
    free(d->waiting);
    free(d->kept);
    free(d->expected.oids);
    free(d->told.oids);
    free(d->began_with.oids);
    free(d->asked.oids);
    free(d->named.oids);
    memset(d, 0, sizeof *d);
}
