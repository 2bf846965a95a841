/* open.c: from a configuration and what the targets have to a running stream: connection, what the server is, tables,
 * the log against our position, snapshot, in this order. Source thread. */
#include <stdio.h>

#include "base/clock.h"
#include "my.h"
#include "sources/sql/start.h"

static wb_code load_tables(my_source *s, wb_error *err)
{
    wb_code code = my_patterns_of(s, &s->arena, &s->patterns, err);
    if (code == WB_OK) code = my_catalog_load(&s->side, s->patterns, &s->cat, err);
    bool negative;
    if (code == WB_OK && s->cat.unmatched && s->table_list.n)
        wb_host_log(s->host, WB_LOG_WARN, "the pattern '%s' in `tables` matches no table that this user can see",
                    wb_patterns_text(s->patterns, s->cat.unmatched - 1, &negative));
    return code;
}

/* Which server it was is kept, for a word about a failover. */
static wb_code identify(my_source *s, wb_pos pos, wb_error *err)
{
    char was[MY_UUID];
    wb_code code = sql_fact_get(s->host, "server", was, sizeof was, err);
    if (code == WB_OK && pos.len) code = my_server_has(s, &s->side, &s->server, pos, err);
    if (code != WB_OK || strcmp(was, s->server.uuid) == 0) return code;
    if (was[0] && pos.len)
        wb_host_log(s->host, WB_LOG_INFO, "another server than before (%s, now %s): a failover; goes on by GTID", was,
                    s->server.uuid);
    return sql_fact_put(s->host, "server", s->server.uuid, err);
}

static wb_code here_and_now(my_source *s, wb_out *out, wb_error *err)
{
    my_place place;
    my_gtid_set *set = s->server.gtid ? my_gtid_set_new() : NULL;
    wb_code code = s->server.gtid && !set ? my_nomem(err) : WB_OK;
    if (code == WB_OK) code = my_server_end(&s->side, &s->server, &place, set, err);
    if (code == WB_OK) {
        my_pos p = {.flavor = s->server.flavor,
                    .has_file = true,
                    .lineage = s->server.lineage,
                    .log = wb_str_of(place.log),
                    .offset = place.offset};
        if (!my_pos_make(out, &p, set)) code = my_nomem(err);
    }
    my_gtid_set_free(set);
    return code;
}

/* `position`, or `start` in its words. */
wb_code my_told_text(const my_source *s, wb_out *out, int64_t *us, wb_error *err)
{
    static const sql_start_rule rule = {{"gtid", "file", "pos", "time"}};
    const char *texts[SQL_START_MAX];
    *us = 0;
    wb_out_reset(out);
    wb_code code = sql_start_read(s->start_at, &rule, texts, err);
    if (code != WB_OK) return code;
    bool place = texts[0] || texts[1] || texts[2];
    if ((place || texts[3]) && s->position)
        return wb_node_fail(s->start_at, err, "start and position say the same thing: leave one of them out.");
    if (place && texts[3]) return wb_node_fail(s->start_at, err, "start: a place or a time, not both.");
    if (!texts[1] != !texts[2]) return wb_node_fail(s->start_at, err, "start: file and pos belong together.");
    if (texts[3]) return sql_start_time(s->start_at, texts[3], us, err);
    if (s->position) wb_out_z(out, s->position);
    if (texts[0]) wb_out_z(out, texts[0]);
    if (texts[0] && texts[1]) wb_out_byte(out, ' ');
    if (texts[1]) wb_out_printf(out, "%s:%s", texts[1], texts[2]);
    return out->failed ? my_nomem(err) : WB_OK;
}

/* That, as a position of this server; that the server still has its log is looked at. */
static wb_code told_place(my_source *s, wb_str text, wb_out *out, wb_error *err)
{
    wb_out parsed = {0};
    my_pos p = {.flavor = MY_UNKNOWN};
    my_gtid_set *set = my_gtid_set_new();
    size_t len = 0;
    char *room = wb_out_room(&parsed, MY_POS_MAX);
    wb_code code = room && set ? my_pos_parse(text, room, MY_POS_MAX, &len, err) : my_nomem(err);
    if (code == WB_OK && !(my_pos_read((wb_pos){room, len}, &p) && (!p.has_set || my_pos_set(&p, set))))
        code = my_nomem(err);
    if (code == WB_OK && !p.has_set && s->server.gtid) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "position: %.*s has no GTIDs, and this server has them.",
                       (int)WB_MIN(text.len, (size_t)200), text.ptr);
        wb_hint(err, "Write the GTID set that was executed there, and after a blank the file and offset.");
    }
    p.flavor = s->server.flavor;
    p.lineage = s->server.lineage;
    if (code == WB_OK && !my_pos_make(out, &p, p.has_set ? set : NULL)) code = my_nomem(err);
    if (code == WB_OK) code = my_server_has(s, &s->side, &s->server, (wb_pos){out->p, out->len}, err);
    my_gtid_set_free(set);
    wb_out_fini(&parsed);
    return code;
}

/* Rows that lie behind are read with the columns of now, unless the log says theirs. */
static wb_code check_told(const my_source *s, wb_error *err)
{
    const char *option = s->position ? "position" : "start";
    if (s->snapshot_mode != SQL_SNAP_NEVER)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "`%s` needs snapshot: never: who has been there has the rows.",
                       option);
    if (strcasecmp(s->server.row_metadata, "FULL") == 0) return WB_OK;
    wb_fail(err, WB_E_SCHEMA, WB_NEVER,
            "`%s` needs binlog_row_metadata = FULL: the columns that tables had there are known from the log only.",
            option);
    wb_hint(err, "SET PERSIST binlog_row_metadata = 'FULL' before the place where it begins; or leave `%s` out.",
            option);
    return WB_E_SCHEMA;
}

static wb_code refuse_lock_free(const my_table *t, const char *why, wb_error *err)
{
    if (t)
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "snapshot_locking: none cannot copy %s.%s: %s.", t->schema.ptr,
                t->name.ptr, why);
    else
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "snapshot_locking: none: %s.", why);
    wb_hint(
        err,
        t ? "Leave the table out of `tables`, or let the copy lock for milliseconds: snapshot_locking: minimal."
          : "SET PERSIST gtid_mode = 'ON' (step by step); or snapshot_locking: minimal, a read lock for milliseconds.");
    return WB_E_UNSUPPORTED;
}

/* Without a lock, which transactions a view has is known by its place (MariaDB) or by GTIDs; and a table is read in
 * many views, which needs a key to tell its rows apart. */
static wb_code check_lock_free(my_source *s, bool many_views, wb_error *err)
{
    if (!s->server.gtid && many_views)
        return refuse_lock_free(
            NULL, "without GTIDs MySQL does not tell which transactions others see, except under a lock", err);
    wb_arena a;
    my_table **list = calloc(s->cat.n + 1, sizeof(my_table *));
    size_t n = 0;
    wb_arena_init(&a, 16 * 1024, 0);
    for (size_t i = 0; list && i < s->cat.n; i++)
        if (s->cat.tables[i].wanted) list[n++] = &s->cat.tables[i];
    my_schema *shapes = wb_arena_zalloc(&a, (n + 1) * sizeof *shapes);
    wb_code code = shapes && list ? my_catalog_shapes(&s->side, &s->cat, list, n, &a, shapes, err) : my_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        if (!list[i]->transactional)
            code = refuse_lock_free(list[i], "its engine has no transactions", err);
        else if (many_views && shapes[i].ncols && !shapes[i].nkey)
            code = refuse_lock_free(list[i], "it has no primary key", err);
    }
    wb_arena_fini(&a);
    free(list);
    return code;
}

/* A copy that nothing follows must be of one view: one that was interrupted begins again. */
static wb_code snapshot_only(my_source *s, const wb_resume *resume, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    uint64_t lacks;
    c->only = true;
    wb_code code = sql_copy_only_lacks(c, resume, &lacks, err);
    if (code != WB_OK) return code;
    lacks &= ~s->fresh;
    if (!lacks && !s->fresh) return WB_OK; /* all targets have it: read says the end */
    if (!s->cat.nwanted) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table of the server matches `tables`.");
    if (s->snapshot_locking == MY_LOCKING_NONE) code = check_lock_free(s, false, err);
    if (code == WB_OK) code = sql_copy_load(c, resume, true, err);
    c->fresh = s->fresh;
    c->redo = lacks;
    if (code == WB_OK) code = sql_copy_only_begins(c, err);
    if (code == WB_OK) code = my_snap_plan_fresh(s, c->fresh | c->redo, err);
    if (code == WB_OK) code = my_view_open(s, err);
    if (code == WB_OK) code = my_snap_describe(s, err);
    my_snap_forget_shapes(s);
    return code == WB_OK ? my_snap_begin_turns(s, err) : code;
}

/* The first copy: all of one view, then the stream from its place. */
static wb_code begin_with_copy(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    n->copy.fresh = s->fresh;
    wb_code code = my_snap_plan_fresh(s, s->fresh, err);
    if (code == WB_OK) code = my_view_open(s, err);
    if (code == WB_OK) code = my_snap_describe(s, err);
    /* The tables cannot be altered now: what they are is what they were at the view's place. */
    const my_track_start start = {.baseline = true, .locked = true, .shapes = n->shapes, .nshapes = n->nshapes};
    bool holds;
    if (code == WB_OK) code = my_track_open(s, &start, &holds, err);
    my_snap_forget_shapes(s);
    wb_out_put(&s->start, n->point.p, n->point.len);
    if (code == WB_OK && s->start.failed) code = my_nomem(err);
    return code == WB_OK ? my_snap_begin_turns(s, err) : code;
}

static wb_code find_place(my_source *s, wb_out *out, wb_error *err)
{
    if (s->told_us && !s->tail) return my_start_time(s, s->told_us, out, err);
    if (s->told.len && !s->tail) return told_place(s, (wb_str){s->told.p, s->told.len}, out, err);
    return here_and_now(s, out, err);
}

/* Where the stream begins, and the tables' columns as they are there. */
static wb_code find_start(my_source *s, const wb_resume *resume, wb_error *err)
{
    enum { TRIES = 5 };
    wb_out *from = &s->start;
    wb_code code = WB_OK;
    bool holds = false;
    if (resume->pos.len) wb_out_put(from, resume->pos.ptr, resume->pos.len);
    for (int i = 0; i < TRIES && code == WB_OK && !holds; i++) {
        if (!resume->pos.len) {
            wb_out_reset(from);
            code = find_place(s, from, err);
        }
        my_track_start start = {.baseline = !resume->pos.len, .from = {from->p, from->len}};
        if (code == WB_OK) code = my_track_open(s, &start, &holds, err);
    }
    if (code == WB_OK && !holds)
        code = wb_fail(err, WB_E_SCHEMA, WB_RECONNECT,
                       "The tables were altered again and again while their columns were read.");
    return code;
}

/* Where the first start began is kept until every target has a place. One that has none after a crash begins there
 * again, and not where another has come to: what lies between would be lost to it. */
static const char first_key[] = "first_place";

wb_code my_first_settled(my_source *s, wb_error *err)
{
    s->first_kept = false;
    return sql_fact_del(s->host, first_key, err);
}

static wb_code keep_first(my_source *s, wb_pos from, wb_error *err)
{
    if (!sql_fact_on(s->host)) return WB_OK;
    s->first_kept = true;
    return wb_host_state_put(s->host, first_key, (wb_str){from.ptr, from.len}, err);
}

/* `at`: where to begin, for those that have a place and those that do not. */
static wb_code go_back_to_first(my_source *s, wb_resume *at, wb_error *err)
{
    wb_str kept = {NULL, 0};
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = wb_host_state_get(s->host, first_key, &kept, err);
    s->first_kept = code == WB_OK && kept.len;
    if (!s->first_kept || !s->fresh) return code;
    size_t n = 0;
    char *room = wb_arena_alloc(&s->arena, MY_POS_MAX);
    if (!room) return my_nomem(err);
    my_pos_meet((wb_pos){kept.ptr, kept.len}, at->pos, room, MY_POS_MAX, &n);
    if (!n) return WB_OK;
    at->pos = (wb_pos){room, n};
    return my_server_has(s, &s->side, &s->server, at->pos, err);
}

/* The stream; what is to be copied still, for old targets and new ones, comes in turns with it. */
static wb_code begin_with_stream(my_source *s, const wb_resume *resume, bool copies, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    wb_resume at = *resume;
    bool plain = !copies && !s->tail;
    wb_code code = plain && at.pos.len ? go_back_to_first(s, &at, err) : WB_OK;
    if (code == WB_OK) code = find_start(s, &at, err);
    if (code == WB_OK && plain && !at.pos.len) code = keep_first(s, (wb_pos){s->start.p, s->start.len}, err);
    if (code == WB_OK && copies) {
        c->fresh = c->held = s->fresh;
        code = my_snap_plan_fresh(s, s->fresh, err);
    }
    if (code != WB_OK) return code;
    c->wanted = c->fresh || sql_ledger_lacks(&c->ledger, c->running);
    wb_pos from = {s->start.p, s->start.len};
    if (s->fresh && !copies) wb_host_idle(s->host, from, s->fresh);
    return my_stream_start(s, from, err);
}

static wb_code begin_session(my_source *s, const wb_resume *resume, wb_error *err)
{
    wb_resume r = *resume;
    if (s->tail) r.pos = (wb_pos){NULL, 0};
    if (s->tail && r.again) {
        wb_host_log(s->host, WB_LOG_WARN, "connects again; changes made meanwhile are not shown");
        s->snapshot_mode = SQL_SNAP_NEVER;
    }
    wb_code code = my_link_open(&s->side, s, s->host, false, err);
    if (code == WB_OK) code = my_server_look(&s->side, &s->server, err);
    if (code == WB_OK) code = my_server_usable(s, &s->server, err);
    if (code == WB_OK) code = load_tables(s, err);
    if (code != WB_OK) return code;
    if (s->snapshot_mode == SQL_SNAP_ONLY) return snapshot_only(s, &r, err);
    code = my_told_text(s, &s->told, &s->told_us, err);
    if (code == WB_OK && (s->told.len || s->told_us) && !s->tail && !r.pos.len) code = check_told(s, err);
    if (code != WB_OK) return code;
    bool copies = s->fresh && s->snapshot_mode != SQL_SNAP_NEVER, free = s->snapshot_locking == MY_LOCKING_NONE;
    code = identify(s, r.pos, err);
    if (code == WB_OK) code = my_identity(s, err);
    if (code == WB_OK && copies && free) code = check_lock_free(s, true, err);
    if (code == WB_OK) code = sql_copy_load(&s->snap.copy, &r, !r.pos.len, err);
    if (code != WB_OK) return code;
    code = copies && !r.pos.len && !free ? begin_with_copy(s, err) : begin_with_stream(s, &r, copies, err);
    if (code == WB_OK && !s->tail) code = my_snap_wishes(s, err);
    if (code == WB_OK) wb_host_copying(s->host, s->snap.copy.wanted || s->snap.copy.phase == SQL_COPY_TURNS);
    return code;
}

wb_code my_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err)
{
    my_source *s = ctx;
    s->host = h;
    s->fresh = resume->fresh;
    s->snap.copy.ops = &my_snap_ops;
    s->snap.copy.source = s;
    s->snap.copy.host = h;
    s->snap.copy.turn_ms = s->snapshot_turn_ms;
    wb_arena_init(&s->arena, 4096, 0);
    wb_arena_init(&s->scratch, 16 * 1024, 0);
    return begin_session(s, resume, err);
}
