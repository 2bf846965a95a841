/* ahead.c: which tables are changed between our place in the log and its present end. information_schema tells how a
 * table is now; that is how it was then only if nothing changed it in between. A second dump reads ahead of the stream,
 * as far as the questions need, notes what it meets (ahead_notes.h) and goes on from there at the next question. */
#include "ahead.h"

#include <poll.h>

#include "ahead_notes.h"
#include "base/clock.h"
#include "types.h"

enum { IDLE_US = 10000000, FEW = 1024 };

typedef struct my_ahead {
    my_source *source;
    my_notes *notes;
    size_t most; /* notes at which those that are done are taken out */
    my_decoder *decoder;
    my_link link;
    bool open;         /* the dump was asked for */
    bool fresh;        /* since the present question began */
    bool ended;        /* to the end that the log had then, or later */
    char log[MY_FILE]; /* up to here, and */
    uint64_t offset;   /* here, it is looked through; empty: nothing is */
    wb_out base;       /* where it began */
    my_pos group;      /* the transaction that is looked at */
    char group_log[MY_FILE];
    wb_out at;  /* scratch: it as bytes */
    int spool;  /* a file of its own: the stream's may be in use */
    bool asked; /* columns are about to be told */
    int64_t used_us;
} my_ahead;

/* ---------------------------------------------------------------- what is met */

static wb_pos at_group(my_ahead *a)
{
    wb_out_reset(&a->at);
    my_at_make(&a->at, &a->group);
    return a->at.failed ? (wb_pos){NULL, 0} : (wb_pos){a->at.p, a->at.len};
}

/* No rows: all that is wanted of a table is its columns, once after each change. */
static bool wanted(void *arg, wb_str schema, wb_str table)
{
    const my_ahead *a = arg;
    return my_track_wanted(a->source, schema, table) && !my_notes_has_rows(a->notes, schema, table);
}

static wb_code meet(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    my_ahead *a = arg;
    wb_pos at = at_group(a);
    WB_UNUSED(out);
    if (!at.len || !my_notes_rows(a->notes, map, at)) return my_nomem(err);
    a->asked = true;
    return WB_AGAIN; /* the next time it is not wanted */
}

static bool note(my_ahead *a, const my_statement *st)
{
    const wb_str none = {"", 0};
    wb_pos at = at_group(a);
    bool fine = at.len != 0;
    if (st->temporary || st->kind == MY_ST_TRUNCATE) return true;
    if (st->unsure)
        fine = fine && my_notes_change(a->notes, none, none, at); /* not understood: it touches everything */
    if (st->kind >= MY_ST_CREATE_SCHEMA) {                        /* by itself a schema has no columns */
        bool drops = st->kind == MY_ST_DROP_SCHEMA || st->replaces;
        return fine && (!drops || !st->ntables || my_notes_change(a->notes, st->tables[0].schema, none, at));
    }
    for (uint32_t i = 0; i < st->ntables && fine; i++) {
        const my_st_table *t = &st->tables[i];
        fine = my_notes_change(a->notes, t->schema, t->name, at);
        if (fine && t->to_name.len) fine = my_notes_change(a->notes, t->to_schema, t->to_name, at);
    }
    return fine;
}

static void enter_group(my_ahead *a, const my_event *ev)
{
    const my_source *s = a->source;
    size_t n = WB_MIN(ev->log.len, sizeof a->group_log - 1);
    memcpy(a->group_log, ev->log.ptr, n);
    a->group_log[n] = 0;
    a->group = (my_pos){.flavor = s->server.flavor,
                        .has_set = s->server.gtid && ev->gtid.flavor != MY_UNKNOWN,
                        .has_file = n != 0,
                        .lineage = s->server.lineage,
                        .log = {a->group_log, n},
                        .offset = ev->start,
                        .gtid = ev->gtid};
}

/* The steps of one group: only its statements count, and which tables it has rows of. */
static wb_code look_through(my_ahead *a, wb_error *err)
{
    wb_host *h = a->source->host;
    wb_batch *lent = a->source->batch; /* the stream's, if it has one: nothing is put into it */
    if (lent && wb_batch_full(lent)) lent = NULL;
    wb_batch *none = lent ? lent : wb_host_take(h, 0);
    wb_code code = none ? WB_OK : WB_AGAIN;
    for (bool more = code == WB_OK; more && code == WB_OK;) {
        my_event ev = {.kind = MY_EV_NOTHING};
        code = my_decoder_next(a->decoder, none, 0, &ev, err);
        if (code == WB_AGAIN && a->asked) code = WB_OK;
        a->asked = false;
        if (code == WB_OK && ev.kind == MY_EV_DDL && !note(a, &ev.statement)) code = my_nomem(err);
        more = ev.kind != MY_EV_COMMIT;
    }
    if (none && !lent) wb_host_drop(h, none);
    if (code == WB_AGAIN)
        code = wb_fail(err, WB_E_LIMIT, WB_RECONNECT, "There is no memory budget to look ahead in the log.");
    return code;
}

/* ---------------------------------------------------------------- reading */

static wb_code spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    return my_spool_write(((my_ahead *)arg)->source, at, p, n, err);
}

static wb_code spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    return my_spool_read(((my_ahead *)arg)->source, at, p, n, err);
}

static wb_code make(my_source *s, wb_pos base, wb_error *err)
{
    my_ahead *a = s->ahead = calloc(1, sizeof *a);
    if (!a) return my_nomem(err);
    const my_hooks hooks = {
        .arg = a, .wanted = wanted, .table = meet, .spool_write = spool_write, .spool_read = spool_read};
    const my_options options = {.max_row = (size_t)wb_host_max_row(s->host),
                                .kept = true,
                                .partial_start = true,
                                .statements_pass = true,
                                .lower_names = s->server.lower_case == 1,
                                .unknown_xa = MY_UNKNOWN_SKIP,
                                .unknown_engine = MY_UNKNOWN_SKIP};
    a->source = s;
    a->most = FEW;
    a->notes = my_notes_new();
    a->decoder = my_decoder_new(&hooks, &options);
    wb_out_put(&a->base, base.ptr, base.len);
    return a->notes && a->decoder && !a->base.failed ? WB_OK : my_nomem(err);
}

static void stop(my_ahead *a)
{
    my_link_close(&a->link);
    a->open = false;
}

void my_ahead_close(my_source *s)
{
    my_ahead *a = s->ahead;
    if (!a) return;
    stop(a);
    my_decoder_free(a->decoder);
    my_notes_free(a->notes);
    wb_out_fini(&a->base);
    wb_out_fini(&a->at);
    int spool = s->spool;
    s->spool = a->spool;
    my_spool_close(s);
    s->spool = spool;
    free(a);
    s->ahead = NULL;
}

/* From where we are: by the file, which names a place without a search. */
static wb_code open_dump(my_ahead *a, wb_error *err)
{
    my_source *s = a->source;
    wb_out here = {0};
    wb_pos from = {a->base.p, a->base.len};
    my_pos p = {.flavor = s->server.flavor,
                .has_file = true,
                .lineage = s->server.lineage,
                .log = wb_str_of(a->log),
                .offset = a->offset};
    if (a->log[0] && a->offset <= UINT32_MAX) {
        if (!my_pos_make(&here, &p, NULL)) return my_nomem(err);
        from = (wb_pos){here.p, here.len};
    }
    wb_code code = my_pos_read(from, &p) ? WB_OK : my_nomem(err);
    a->link = (my_link){.my = NULL};
    if (code == WB_OK) code = my_link_open(&a->link, s, s->host, true, err);
    if (code == WB_OK) code = my_dump_start(s, &a->link, from, true, err);
    if (code == WB_OK)
        my_decoder_start(a->decoder, p.has_file ? p.log : (wb_str){"", 0}, p.has_set ? 0 : p.offset, true);
    wb_out_fini(&here);
    a->open = a->fresh = code == WB_OK;
    if (code != WB_OK) stop(a);
    return code;
}

static wb_code await(my_link *l, wb_error *err)
{
    enum { TICK_MS = 50 };
    struct pollfd fd = {my_link_fd(l), POLLIN, 0};
    (void)poll(&fd, 1, TICK_MS);
    return my_dump_silent(l, 0, err);
}

/* Between transactions: the log up to there need not be read again. */
static void move_to(my_ahead *a, const my_event *ev)
{
    if (!ev->log.len || ev->log.len >= sizeof a->log || !ev->end) return;
    memcpy(a->log, ev->log.ptr, ev->log.len);
    a->log[ev->log.len] = 0;
    a->offset = ev->end;
}

static wb_code read_event(my_ahead *a, wb_error *err)
{
    my_packet p;
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = my_dump_read(&a->link, &p, err);
    if (code == WB_AGAIN) return await(&a->link, err);
    if (code == WB_OK) code = my_dump_feed(a->decoder, &p, &ev, err);
    if (code != WB_OK) return code;
    bool group = ev.kind == MY_EV_GROUP;
    if (group) {
        enter_group(a, &ev);
        code = look_through(a, err);
    }
    bool between =
        ev.kind == MY_EV_ROTATE || ev.kind == MY_EV_PREPARED || (ev.timestamp && !my_decoder_in_group(a->decoder));
    if (code == WB_OK && (group || between)) move_to(a, &ev);
    return code;
}

/* Does the log end there? While we keep up it does, and asking costs a hundredth of a connection of its own. */
static bool is_end(my_ahead *a)
{
    my_source *s = a->source;
    my_place end;
    my_pos p;
    wb_error ignored; /* then it is looked through */
    wb_error_reset(&ignored);
    if (!s->side.my || s->side.broken) return false;
    wb_str log = wb_str_of(a->log);
    uint64_t offset = a->offset;
    if (!log.len) {
        if (!my_pos_read((wb_pos){a->base.p, a->base.len}, &p) || !p.has_file || p.lineage != s->server.lineage)
            return false;
        log = p.log;
        offset = p.offset;
    }
    return my_server_end(&s->side, &s->server, &end, NULL, &ignored) == WB_OK && wb_str_is(log, end.log) &&
           offset == end.offset;
}

/* One step on. What a dump of an earlier question calls the end may have been it only then. */
static wb_code go_on(my_ahead *a, bool *again, wb_error *err)
{
    if (!a->open) {
        a->ended = is_end(a);
        return a->ended ? WB_OK : open_dump(a, err);
    }
    wb_error e;
    wb_error_reset(&e);
    wb_code code = read_event(a, &e);
    bool fresh = a->fresh;
    if (code != WB_OK) stop(a);
    if (code == WB_END) {
        a->ended = fresh;
        return WB_OK;
    }
    if (code == WB_OK) return my_link_stopped(&a->link) ? my_fail_stopped(err) : WB_OK;
    if (!fresh && *again && e.next == WB_RECONNECT) { /* the server does not wait for us for ever */
        *again = false;
        return WB_OK;
    }
    if (err) *err = e;
    return code;
}

/* ---------------------------------------------------------------- questions */

/* What the table has now by that name, if it can be that; else what the log says alone. */
static void keep_column(my_source *s, const my_schema *now, const my_map_col *c, my_flavor flavor, my_schema_col *to)
{
    wb_arena *a = &s->scratch;
    my_type_info declared, seen;
    wb_out type = {0};
    for (uint32_t i = 0; i < now->ncols; i++) {
        const my_schema_col *n = &now->cols[i];
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

static void keep_columns(my_source *s, const my_schema *now, const my_map *map, my_schema *then)
{
    wb_arena *a = &s->scratch;
    my_schema_col *cols = wb_arena_zalloc(a, map->ncols * sizeof *cols);
    uint16_t *key = wb_arena_alloc(a, (map->nkey + 1) * sizeof *key);
    if (!cols || !key) return;
    for (uint32_t i = 0; i < map->ncols; i++) keep_column(s, now, &map->cols[i], map->flavor, &cols[i]);
    if (map->nkey) memcpy(key, map->key, map->nkey * sizeof *key);
    *then = *now;
    then->ncols = map->ncols;
    then->cols = cols;
    then->nkey = map->nkey;
    then->key = key;
}

static wb_code answer(my_source *s, wb_pos from, const my_schema *now, bool whole, my_ahead_answer *out, bool *done,
                      wb_error *err)
{
    const my_map *rows;
    my_notes_find(s->ahead->notes, now->schema, now->name, from, &out->changed, &rows);
    *done = s->ahead->ended || out->changed || (rows && !whole);
    if (!*done || !rows) return WB_OK;
    out->met = true;
    out->met_fits = rows->has_names && my_schema_fits(now, rows, NULL, 0);
    if (rows->has_names && !out->met_fits) keep_columns(s, now, rows, &out->then);
    return s->scratch.failed ? my_nomem(err) : WB_OK;
}

/* The spool is that of whoever reads. */
static void swap_spools(my_source *s)
{
    int spool = s->spool;
    s->spool = s->ahead->spool;
    s->ahead->spool = spool;
}

static wb_code begin(my_source *s, wb_pos base, wb_error *err)
{
    wb_code code = s->ahead ? WB_OK : make(s, base, err);
    if (code != WB_OK) {
        my_ahead_close(s);
        return code;
    }
    s->ahead->fresh = s->ahead->ended = false;
    s->ahead->used_us = wb_mono_us();
    swap_spools(s);
    return WB_OK;
}

/* A failure is for good: the notes may be half of a transaction. */
static wb_code end(my_source *s, wb_code code)
{
    swap_spools(s);
    s->ahead->used_us = wb_mono_us();
    if (code != WB_OK) my_ahead_close(s);
    return code;
}

wb_code my_ahead_ask(my_source *s, wb_pos base, wb_pos from, const my_schema *now, bool whole, my_ahead_answer *out,
                     wb_error *err)
{
    bool done = false, again = true;
    *out = (my_ahead_answer){.changed = false};
    wb_code code = begin(s, base, err);
    if (code != WB_OK) return code;
    while (code == WB_OK) {
        code = answer(s, from, now, whole, out, &done, err);
        if (code != WB_OK || done) break;
        code = go_on(s->ahead, &again, err);
    }
    return end(s, code);
}

wb_code my_ahead_any(my_source *s, wb_pos from, bool *any, wb_error *err)
{
    const my_map *rows;
    bool again = true;
    *any = false;
    my_ahead_close(s);
    wb_code code = begin(s, from, err);
    if (code != WB_OK) return code;
    while (code == WB_OK && !s->ahead->ended) code = go_on(s->ahead, &again, err);
    for (size_t i = 0; code == WB_OK && i < s->cat.n && !*any; i++) {
        const my_table *t = &s->cat.tables[i];
        if (t->wanted) my_notes_find(s->ahead->notes, t->schema, t->name, from, any, &rows);
    }
    code = end(s, code);
    my_ahead_close(s);
    return code;
}

void my_ahead_settled(my_source *s, wb_pos pos)
{
    my_ahead *a = s->ahead;
    if (!a) return;
    if (a->open && wb_mono_us() - a->used_us > IDLE_US) stop(a);
    if (my_notes_count(a->notes) < a->most) return;
    my_notes_forget(a->notes, pos);
    a->most = WB_MAX(2 * my_notes_count(a->notes), (size_t)FEW);
}
