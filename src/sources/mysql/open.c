/* open.c: from a configuration and what the targets have to a running stream: connection, what the server is, tables,
 * the log against our position, snapshot, in this order. Source thread. */
#include <stdio.h>

#include "base/clock.h"
#include "my.h"

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

static wb_code start_snapshot(my_source *s, const wb_resume *resume, wb_out *from, wb_error *err)
{
    wb_code code = sql_fact_put(s->host, "snapshot", "running", err);
    if (code == WB_OK) code = my_snap_begin(s, err);
    if (code != WB_OK) return code;
    /* The tables cannot be altered now: what they are is what they were at the snapshot's place. */
    const my_track_start start = {.baseline = !resume->pos.len, .locked = true};
    bool holds;
    code = my_track_open(s, &start, &holds, err);
    wb_pos point = {s->snap.point.p, s->snap.point.len};
    wb_out_put(from, resume->pos.len ? resume->pos.ptr : point.ptr, resume->pos.len ? resume->pos.len : point.len);
    return code == WB_OK && from->failed ? my_nomem(err) : code;
}

static wb_code start_now(my_source *s, const wb_resume *resume, wb_out *from, wb_error *err)
{
    enum { TRIES = 5 };
    wb_code code = WB_OK;
    bool holds = false;
    if (resume->pos.len) wb_out_put(from, resume->pos.ptr, resume->pos.len);
    for (int i = 0; i < TRIES && code == WB_OK && !holds; i++) {
        if (!resume->pos.len) {
            wb_out_reset(from);
            code = here_and_now(s, from, err);
        }
        my_track_start start = {.baseline = !resume->pos.len, .from = {from->p, from->len}};
        if (code == WB_OK) code = my_track_open(s, &start, &holds, err);
    }
    if (code == WB_OK && !holds)
        code = wb_fail(err, WB_E_SCHEMA, WB_RECONNECT,
                       "The tables were altered again and again while their columns were read.");
    if (code == WB_OK && s->fresh) wb_host_idle(s->host, (wb_pos){from->p, from->len}, s->fresh);
    return code == WB_OK ? my_stream_start(s, (wb_pos){from->p, from->len}, err) : code;
}

static wb_code begin_session(my_source *s, const wb_resume *resume, wb_error *err)
{
    wb_resume r = *resume;
    if (s->tail) r.pos = (wb_pos){NULL, 0};
    if (s->tail && r.again) {
        wb_host_log(s->host, WB_LOG_WARN, "connects again; changes made meanwhile are not shown");
        s->snapshot_mode = MY_SNAP_NEVER;
    }
    wb_code code = my_link_open(&s->side, s, s->host, false, err);
    if (code == WB_OK) code = my_server_look(&s->side, &s->server, err);
    if (code == WB_OK) code = my_server_usable(s, &s->server, err);
    if (code == WB_OK) code = load_tables(s, err);
    if (code != WB_OK) return code;
    bool only = s->snapshot_mode == MY_SNAP_ONLY;
    if (only && s->fresh && !s->cat.nwanted)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table of the server matches `tables`.");
    s->snap.only = only;
    if (only) return s->fresh ? my_snap_begin(s, err) : WB_OK;
    code = identify(s, r.pos, err);
    if (code == WB_OK) code = my_identity(s, err);
    if (code != WB_OK) return code;
    bool copies = s->fresh && s->snapshot_mode != MY_SNAP_NEVER;
    code = copies ? start_snapshot(s, &r, &s->start, err) : start_now(s, &r, &s->start, err);
    return code;
}

wb_code my_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err)
{
    my_source *s = ctx;
    s->host = h;
    s->fresh = resume->fresh;
    wb_arena_init(&s->arena, 4096, 0);
    wb_arena_init(&s->scratch, 16 * 1024, 0);
    return begin_session(s, resume, err);
}
