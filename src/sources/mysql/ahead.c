/* ahead.c: which tables are changed between our place in the log and its present end. information_schema tells how a
 * table is now; that is how it was then only if nothing changed it in between. Source thread, on a connection of its
 * own. */
#include "my.h"

#include <poll.h>

#include "ahead.h"
#include "types.h"

typedef struct scan {
    my_ahead *out;
    my_source *source;
    my_decoder *decoder;
    wb_batch *lent; /* the stream's, if it has one: nothing is put into it */
    const my_schema *now;
    bool whole, asked; /* asked: its columns are about to be told */
} scan;

/* No rows: all that is wanted of one table is its columns, once. */
static bool wanted(void *arg, wb_str schema, wb_str table)
{
    const scan *x = arg;
    return x->now && !x->out->met && wb_str_eq(schema, x->now->schema) && wb_str_eq(table, x->now->name);
}

/* What the table has now by that name, if it can be that; else what the log says alone. */
static void keep_column(const scan *x, const my_map_col *c, my_flavor flavor, my_schema_col *to)
{
    wb_arena *a = &x->source->scratch;
    my_type_info declared, seen;
    wb_out type = {0};
    for (uint32_t i = 0; i < x->now->ncols; i++) {
        const my_schema_col *n = &x->now->cols[i];
        my_type_parse(n->type, n->charset, &declared);
        if (!wb_str_eq(n->name, c->name) || !my_type_fits(&declared, c, flavor)) continue;
        *to = *n;
        to->missing_kind = WB_ABSENT;
        return;
    }
    my_type_of_map(c, flavor, &seen);
    my_type_name(&seen, NULL, 0, flavor, &type);
    to->name = (wb_str){wb_arena_strndup(a, c->name.ptr, c->name.len), c->name.len};
    to->type = (wb_str){wb_arena_strndup(a, type.len ? type.p : "", type.len), type.len};
    to->flags = c->not_null ? WB_COL_NOT_NULL : 0;
    if (type.failed) a->failed = true;
    wb_out_fini(&type);
}

static void keep_columns(const scan *x, const my_map *map)
{
    wb_arena *a = &x->source->scratch;
    my_schema_col *cols = wb_arena_zalloc(a, map->ncols * sizeof *cols);
    uint16_t *key = wb_arena_alloc(a, (map->nkey + 1) * sizeof *key);
    if (!cols || !key) return;
    for (uint32_t i = 0; i < map->ncols; i++) keep_column(x, &map->cols[i], map->flavor, &cols[i]);
    if (map->nkey) memcpy(key, map->key, map->nkey * sizeof *key);
    x->out->then = *x->now;
    x->out->then.ncols = map->ncols;
    x->out->then.cols = cols;
    x->out->then.nkey = map->nkey;
    x->out->then.key = key;
}

static wb_code meet(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    scan *x = arg;
    WB_UNUSED(out);
    x->out->met = x->asked = true;
    x->out->met_fits = map->has_names && my_schema_fits(x->now, map, NULL, 0);
    if (map->has_names && !x->out->met_fits) keep_columns(x, map);
    if (x->source->scratch.failed) return my_nomem(err);
    return WB_AGAIN; /* the next time it is not wanted */
}

static wb_code spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    return my_spool_write(((scan *)arg)->source, at, p, n, err);
}

static wb_code spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    return my_spool_read(((scan *)arg)->source, at, p, n, err);
}

static bool knows_enough(const scan *x)
{
    if (!x->now) return false;
    return my_ahead_touches(x->out, x->now->schema, x->now->name) || (x->out->met && !x->whole);
}

static bool add(my_ahead *a, wb_str schema, wb_str name)
{
    if (a->n == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 16;
        my_ahead_table *bigger = realloc(a->tables, cap * sizeof *bigger);
        if (!bigger) return false;
        a->tables = bigger;
        a->cap = cap;
    }
    my_ahead_table *t = &a->tables[a->n];
    t->schema = (wb_str){wb_arena_strndup(&a->arena, schema.len ? schema.ptr : "", schema.len), schema.len};
    t->name = (wb_str){wb_arena_strndup(&a->arena, name.len ? name.ptr : "", name.len), name.len};
    a->n++;
    return !a->arena.failed;
}

static bool note(my_ahead *a, const my_statement *st)
{
    bool fine = true;
    if (st->temporary || st->kind == MY_ST_TRUNCATE) return true;
    if (st->unsure) a->all = true;
    if (st->kind == MY_ST_DROP_SCHEMA) return add(a, st->ntables ? st->tables[0].schema : st->name, (wb_str){"", 0});
    for (uint32_t i = 0; i < st->ntables && fine; i++) {
        fine = add(a, st->tables[i].schema, st->tables[i].name);
        if (fine && st->tables[i].to_name.len) fine = add(a, st->tables[i].to_schema, st->tables[i].to_name);
    }
    return fine;
}

/* The steps of one group: only its statements count. */
static wb_code look_through(scan *x, wb_error *err)
{
    wb_batch *none = x->lent ? x->lent : wb_host_take(x->out->host, 0);
    wb_code code = none ? WB_OK : WB_AGAIN;
    for (bool more = code == WB_OK; more && code == WB_OK && !knows_enough(x);) {
        my_event ev = {.kind = MY_EV_NOTHING};
        code = my_decoder_next(x->decoder, none, 0, &ev, err);
        if (code == WB_AGAIN && x->asked) code = WB_OK;
        x->asked = false;
        if (code == WB_OK && ev.kind == MY_EV_DDL && !note(x->out, &ev.statement)) code = my_nomem(err);
        more = ev.kind != MY_EV_COMMIT;
    }
    if (none && !x->lent) wb_host_drop(x->out->host, none);
    if (code == WB_AGAIN)
        code = wb_fail(err, WB_E_LIMIT, WB_RECONNECT, "There is no memory budget to look ahead in the log.");
    return code;
}

static wb_code await(my_link *l, wb_error *err)
{
    enum { TICK_MS = 50 };
    struct pollfd fd = {my_link_fd(l), POLLIN, 0};
    (void)poll(&fd, 1, TICK_MS);
    return my_dump_silent(l, 0, err);
}

static wb_code read_all(scan *x, my_link *l, wb_error *err)
{
    for (;;) {
        my_packet p;
        my_event ev = {.kind = MY_EV_NOTHING};
        wb_code code = my_dump_read(l, &p, err);
        if (code == WB_END) return WB_OK;
        if (code == WB_AGAIN)
            code = await(l, err);
        else if (code == WB_OK)
            code = my_dump_feed(x->decoder, &p, &ev, err);
        if (code == WB_OK && ev.kind == MY_EV_GROUP) code = look_through(x, err);
        if (code == WB_OK && my_link_stopped(l)) code = my_fail_stopped(err);
        if (code != WB_OK || knows_enough(x)) return code;
    }
}

/* Does the log end there? While we keep up it does, and asking costs a hundredth of a connection of its own. */
static bool is_end(my_source *s, const my_pos *p)
{
    my_place end;
    wb_error ignored; /* then it is looked through */
    wb_error_reset(&ignored);
    if (!p->has_file || !s->side.my || s->side.broken) return false;
    return my_server_end(&s->side, &s->server, &end, NULL, &ignored) == WB_OK && wb_str_is(p->log, end.log) &&
           p->offset == end.offset;
}

wb_code my_ahead_scan(my_source *s, wb_pos from, const my_schema *now, bool whole, my_ahead *out, wb_error *err)
{
    scan x = {.out = out, .source = s, .lent = s->batch, .now = now, .whole = whole};
    const my_hooks hooks = {
        .arg = &x, .wanted = wanted, .table = meet, .spool_write = spool_write, .spool_read = spool_read};
    const my_options options = {.max_row = (size_t)wb_host_max_row(s->host),
                                .kept = true,
                                .partial_start = true,
                                .unknown_xa = MY_UNKNOWN_SKIP,
                                .unknown_engine = MY_UNKNOWN_SKIP};
    my_link l = {.my = NULL};
    my_pos p;
    int spool = s->spool; /* a file of its own meanwhile: the stream's may be in use */
    s->spool = 0;
    *out = (my_ahead){.host = s->host};
    wb_arena_init(&out->arena, 4096, 0);
    if (my_pos_read(from, &p) && is_end(s, &p)) {
        s->spool = spool;
        return WB_OK;
    }
    x.decoder = my_decoder_new(&hooks, &options);
    wb_code code = x.decoder && my_pos_read(from, &p) ? WB_OK : my_nomem(err);
    if (code == WB_OK) code = my_link_open(&l, s, s->host, true, err);
    if (code == WB_OK) code = my_dump_start(s, &l, from, true, err);
    if (code == WB_OK) {
        my_decoder_start(x.decoder, p.has_file ? p.log : (wb_str){"", 0}, p.has_set ? 0 : p.offset, false);
        code = read_all(&x, &l, err);
    }
    my_link_close(&l);
    my_decoder_free(x.decoder);
    my_spool_close(s);
    s->spool = spool;
    return code;
}

bool my_ahead_touches(const my_ahead *a, wb_str schema, wb_str name)
{
    for (size_t i = 0; i < a->n; i++)
        if (wb_str_eq(a->tables[i].schema, schema) && (!a->tables[i].name.len || wb_str_eq(a->tables[i].name, name)))
            return true;
    return a->all;
}

void my_ahead_free(my_ahead *a)
{
    wb_arena_fini(&a->arena);
    free(a->tables);
    *a = (my_ahead){.n = 0};
}
