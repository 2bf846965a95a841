/* open.c: from a configuration and what the targets have to a running stream: connections, identity of the server,
 * tables, publications, slot, snapshot, in this order. What is about to be made at the server is written to the state
 * first, so that a crash leaves nothing that nobody knows. Source thread. */
#include "pg.h"

#include <stdio.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/options.h"
#include "sources/sql/start.h"

/* ---------------------------------------------------------------- the server */

static wb_code check_wal_level(pg_source *s, wb_error *err)
{
    PGresult *res;
    if (s->snapshot_mode == SQL_SNAP_ONLY) return WB_OK;
    wb_code code =
        pg_query(&s->side, "for its settings", "SELECT current_setting('wal_level'), pg_is_in_recovery()", &res, err);
    if (code != WB_OK) return code;
    s->in_recovery = PQgetvalue(res, 0, 1)[0] == 't';
    if (strcmp(PQgetvalue(res, 0, 0), "logical") != 0) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "The server's wal_level is %s; its log must be written with 'logical'.", PQgetvalue(res, 0, 0));
        wb_hint(err, "Run ALTER SYSTEM SET wal_level = 'logical'; as a superuser, then restart the server. A managed "
                     "service has a setting of its own for it; `walbrook check` names it.");
    }
    PQclear(res);
    return code;
}

/* In the minutes of a failover the address may lead to a standby that is not promoted yet: worth another try. */
static wb_code check_standby(pg_source *s, bool again, wb_error *err)
{
    if (!s->in_recovery || s->side.version >= 160000) return WB_OK;
    wb_fail(err, WB_E_SERVER, again ? WB_RECONNECT : WB_NEVER,
            "This server is a standby; before PostgreSQL 16 only a primary decodes its log.");
    wb_hint(err, "Use the primary's address, or all of them: postgres://user@one,two/database finds the primary.");
    return WB_E_SERVER;
}

/* Where the server left the timeline `old`: its history names one line a branch, "1\t0/5000000\treason". */
static pg_lsn branch_point(const char *history, unsigned long old)
{
    for (const char *p = history; p && *p;) {
        char *end;
        unsigned long line = strtoul(p, &end, 10);
        while (*end == ' ' || *end == '\t') end++;
        size_t n = strcspn(end, " \t\n");
        pg_lsn lsn;
        if (line == old && pg_lsn_parse((wb_str){end, n}, &lsn)) return lsn;
        p = strchr(p, '\n');
        if (p) p++;
    }
    return 0;
}

static wb_code check_timeline(pg_source *s, const char *was, const char *is, pg_lsn pos, wb_error *err)
{
    char sql[64], lsn[PG_LSN_TEXT], at[PG_LSN_TEXT];
    PGresult *res;
    if (strtoul(is, NULL, 10) < strtoul(was, NULL, 10)) /* with several hosts conn.c has gone on to the next one */
        return pg_gap(
            s, err,
            "This server is on timeline %s, and the pipeline has read timeline %s: it is the primary of before a "
            "failover, or an older backup",
            is, was);
    (void)snprintf(sql, sizeof sql, "TIMELINE_HISTORY %.10s", is);
    wb_code code = pg_query(&s->repl, "for its timeline", sql, &res, err);
    if (code != WB_OK) return code;
    pg_lsn branch = PQntuples(res) ? branch_point(PQgetvalue(res, 0, 1), strtoul(was, NULL, 10)) : 0;
    PQclear(res);
    if (!branch || pos <= branch) {
        wb_host_log(s->host, WB_LOG_INFO, "the server has gone from timeline %s to %s: a failover", was, is);
        return WB_OK;
    }
    return pg_gap(s, err,
                  "This server left the history that was read before at %s (timeline %s), and the targets have "
                  "changes up to %s, which it never had",
                  pg_lsn_text(branch, at), is, pg_lsn_text(pos, lsn));
}

static wb_code identify(pg_source *s, pg_lsn pos, wb_error *err)
{
    char system[40], timeline[16];
    PGresult *res;
    wb_code code = pg_query(&s->repl, "to identify itself", "IDENTIFY_SYSTEM", &res, err);
    if (code != WB_OK) return code;
    char is[40], tl[16];
    (void)snprintf(is, sizeof is, "%s", PQgetvalue(res, 0, 0));
    (void)snprintf(tl, sizeof tl, "%s", PQgetvalue(res, 0, 1));
    PQclear(res);
    code = sql_fact_get(s->host, "system_id", system, sizeof system, err);
    if (code == WB_OK) code = sql_fact_get(s->host, "timeline", timeline, sizeof timeline, err);
    if (code != WB_OK) return code;
    if (pos && system[0] && strcmp(system, is) != 0) {
        wb_fail(err, WB_E_GAP, s->snapshot_mode == SQL_SNAP_WHEN_NEEDED ? WB_RESNAPSHOT : WB_NEVER,
                "This is another server: its system identifier is %s, and the positions of this pipeline belong to %s.",
                is, system);
        wb_hint(err, "Check the url. If the database has moved for good: `walbrook drop`, then `walbrook run "
                     "--resnapshot TARGET`.");
        return WB_E_GAP;
    }
    if (pos && timeline[0] && strcmp(timeline, tl) != 0) {
        code = check_timeline(s, timeline, tl, pos, err);
        if (code != WB_OK) return code;
    }
    if (strcmp(system, is) != 0) code = sql_fact_put(s->host, "system_id", is, err);
    if (code == WB_OK && strcmp(timeline, tl) != 0) code = sql_fact_put(s->host, "timeline", tl, err);
    if (code == WB_OK) atomic_store_explicit(&s->timeline, (unsigned)strtoul(tl, NULL, 10), memory_order_relaxed);
    return code;
}

static wb_code connect_both(pg_source *s, bool again, wb_error *err)
{
    pg_timeline_recall(s, s->host);
    wb_code code = pg_link_open(&s->side, s, s->host, PG_SQL, err);
    if (code == WB_OK) (void)snprintf(s->database, sizeof s->database, "%s", PQdb(s->side.pg));
    if (code == WB_OK) code = pg_options_fit(s, s->side.version, err);
    if (code == WB_OK) code = check_wal_level(s, err);
    if (code == WB_OK) code = check_standby(s, again, err);
    if (code == WB_OK) code = pg_failover_check(s, s->side.version, err);
    if (code == WB_OK && s->snapshot_mode != SQL_SNAP_ONLY)
        code = pg_link_open(&s->repl, s, s->host, PG_REPLICATION, err);
    if (code == WB_OK && s->repl.pg && !pg_link_same(&s->side, &s->repl))
        code = wb_fail(err, WB_E_NET, WB_RECONNECT, "The primary changed while we connected.");
    if (code == WB_E_AUTH) wb_hint(err, "The user needs LOGIN and REPLICATION: ALTER ROLE name WITH REPLICATION;");
    return code;
}

/* ---------------------------------------------------------------- the slot against our position */

typedef struct plan {
    pg_lsn pos; /* where targets want to go on; 0: none has a position        */
    pg_slot slot;
    bool slot_ours;  /* made by this pipeline, says the state                      */
    bool make_slot;  /* before it, an old one of ours is dropped                   */
    bool first;      /* publications may be made and changed                       */
    bool snapshot;   /* for s->fresh                                               */
    pg_lsn told;     /* slot_position or start; 0: not given                       */
    int64_t told_us; /* or a time; 0: none */
} plan;

static wb_code check_kind(const pg_source *s, const pg_slot *slot, wb_error *err)
{
    const char *name = s->names.slot, *database = PQdb(s->side.pg);
    if (!slot->logical || !slot->ours_plugin) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The replication slot %s is not a logical slot of pgoutput (%s).", name,
                slot->logical ? slot->plugin : "physical");
        wb_hint(err,
                "A slot keeps its plugin for life: name another one in `slot`, or leave it out and let Walbrook make "
                "its own.");
        return WB_E_CONFIG;
    }
    if (database && strcmp(slot->database, database) != 0)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "The replication slot %s belongs to the database %s, the url says %s.", name, slot->database,
                       database);
    return WB_OK;
}

static wb_code lost(const pg_source *s, const plan *p, wb_error *err)
{
    wb_code code = pg_slot_lost(s, &p->slot, p->pos, err);
    if (p->slot_ours || err->next != WB_RESNAPSHOT) return code;
    err->next = WB_NEVER;
    wb_hint(err,
            "This pipeline did not make the slot and does not replace it. SELECT pg_drop_replication_slot('%s'); then "
            "run again: it makes a slot of its own and a new snapshot.",
            s->names.slot);
    return code;
}

static wb_code check_slot(pg_source *s, const plan *p, wb_error *err)
{
    const pg_slot *slot = &p->slot;
    const char *name = s->names.slot;
    char a[PG_LSN_TEXT], b[PG_LSN_TEXT];
    if (!slot->exists) return pg_slot_missing(s, slot, p->pos, err);
    wb_code code = check_kind(s, slot, err);
    if (code != WB_OK) return code;
    if (slot->lost) return lost(s, p, err);
    if (!slot->has_confirmed)
        return wb_fail(err, WB_E_SERVER, WB_RECONNECT, "The replication slot %s has no confirmed position yet.", name);
    if (slot->synced && s->in_recovery) {
        wb_fail(
            err, WB_E_SERVER, WB_RECONNECT,
            "The replication slot %s is the copy that this standby keeps; it can be used once the server is promoted.",
            name);
        wb_hint(err, "Use the primary's address, or all of them: postgres://user@one,two/database finds the primary.");
        return WB_E_SERVER;
    }
    if (slot->active) return pg_slot_active(slot, name, err);
    if (p->pos && slot->confirmed > p->pos)
        return pg_gap(s, err,
                      "The replication slot %s begins at %s, but the targets have changes up to %s only: %lld bytes "
                      "of log between are lost. The slot was made anew, or something else reads it",
                      name, pg_lsn_text(slot->confirmed, a), pg_lsn_text(p->pos, b),
                      (long long)(slot->confirmed - p->pos));
    if (slot->two_phase) return pg_fail_two_phase(name, err);
    return WB_OK;
}

/* slot_position or start: how far somebody else had read, or from when on. */
wb_code pg_told_position(const pg_source *s, pg_lsn *told, int64_t *us, wb_error *err)
{
    static const sql_start_rule rule = {{"lsn", "time"}};
    const char *texts[SQL_START_MAX], *text = s->slot_position;
    *told = 0;
    *us = 0;
    wb_code code = sql_start_read(s->start_at, &rule, texts, err);
    if (code != WB_OK) return code;
    if (text && (texts[0] || texts[1]))
        return wb_node_fail(s->start_at, err, "start and slot_position say the same thing: leave one of them out.");
    if (texts[0] && texts[1]) return wb_node_fail(s->start_at, err, "start: a place or a time, not both.");
    if (texts[1]) return sql_start_time(s->start_at, texts[1], us, err);
    if (texts[0]) text = texts[0];
    if (!text || pg_lsn_parse(wb_str_of(text), told)) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s is '%.40s', which is not an LSN.",
            texts[0] ? "start: lsn" : "slot_position", text);
    wb_hint(err, "It looks like 0/16B3748.");
    return WB_E_CONFIG;
}

/* A slot that somebody else made and read: from where that one stopped, not from where we begin to look. */
static wb_code adopt(pg_source *s, plan *p, wb_error *err)
{
    char a[PG_LSN_TEXT], b[PG_LSN_TEXT];
    pg_lsn told = p->told;
    wb_code code = check_slot(s, p, err);
    if (code != WB_OK) return code;
    if (p->snapshot) told = 0; /* it has all that came before */
    if (told && told < p->slot.confirmed)
        return pg_gap(s, err,
                      "The replication slot %s begins at %s, and slot_position says that only changes up to %s were "
                      "read: %llu bytes of log between are lost",
                      s->names.slot, pg_lsn_text(p->slot.confirmed, a), pg_lsn_text(told, b),
                      (unsigned long long)(p->slot.confirmed - told));
    if (told > p->slot.log_end) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "slot_position is %s, and this server's log ends at %s.",
                pg_lsn_text(told, a), pg_lsn_text(p->slot.log_end, b));
        wb_hint(err, "It is a position of another server, or of this one before it was upgraded.");
        return WB_E_CONFIG;
    }
    p->slot.confirmed = WB_MAX(p->slot.confirmed, told);
    wb_host_log(s->host, WB_LOG_INFO,
                "takes over the replication slot %s at %s; it was not made by this pipeline, and "
                "`drop` will leave it",
                s->names.slot, pg_lsn_text(p->slot.confirmed, a));
    return WB_OK;
}

static wb_code check_strange_slot(pg_source *s, plan *p, wb_error *err)
{
    if (s->names.slot_named || !s->create_slot) return adopt(s, p, err);
    wb_fail(err, WB_E_STATE, WB_NEVER,
            "The replication slot %s exists, but the state of this pipeline knows nothing of it.", s->names.slot);
    wb_hint(err,
            "If the state was deleted: `walbrook drop` removes the slot. If another pipeline reads it: give this one "
            "another name, or name the slot in `slot` to use it as it is.");
    return WB_E_STATE;
}

/* A new slot begins now: what lies between would be lost. */
static wb_code no_slot_to_start(pg_source *s, const plan *p, wb_error *err)
{
    char lsn[PG_LSN_TEXT], time[WB_TIME_TEXT];
    wb_fail(
        err, WB_E_CONFIG, WB_NEVER,
        "Changes are to begin at %s, and the replication slot %s, which would have kept the log from there, does not "
        "exist; a new one begins now.",
        p->told_us ? wb_time_text(p->told_us, time) : pg_lsn_text(p->told, lsn), s->names.slot);
    wb_hint(err,
            "Name the slot that the tool before has read in `slot`; or copy the tables (snapshot: initial), without "
            "a place to begin at.");
    return WB_E_CONFIG;
}

/* What is to be done, from what is there. */
static wb_code make_plan(pg_source *s, plan *p, wb_error *err)
{
    char made[PG_NAME], making[PG_NAME];
    wb_code code = pg_told_position(s, &p->told, &p->told_us, err);
    if (code == WB_OK) code = pg_slot_look(&s->side, s->names.slot, &p->slot, err);
    if (code == WB_OK) code = sql_fact_get(s->host, "slot", made, sizeof made, err);
    if (code == WB_OK) code = sql_fact_get(s->host, "making_slot", making, sizeof making, err);
    if (code == WB_OK) code = pg_slot_release(s, &s->side, s->names.slot, &p->slot, err);
    if (code != WB_OK) return code;
    bool copies = s->snapshot_mode != SQL_SNAP_NEVER;
    p->slot_ours = strcmp(made, s->names.slot) == 0 || strcmp(making, s->names.slot) == 0;
    p->snapshot = copies && s->fresh;
    if (p->pos) {
        code = check_slot(s, p, err);
        bool ours = p->slot_ours || s->failover == PG_FAILOVER_ON;
        return code == WB_OK && ours && !s->tail ? pg_slot_set_failover(s, &p->slot, err) : code;
    }
    bool keep = p->slot.exists && (!p->slot_ours || (!copies && !p->slot.lost && strcmp(making, s->names.slot) != 0));
    p->first = !keep;
    if (keep) return p->slot_ours ? check_slot(s, p, err) : check_strange_slot(s, p, err);
    p->make_slot = true;
    if ((p->told || p->told_us) && !p->snapshot && !s->tail) return no_slot_to_start(s, p, err);
    if (p->slot.exists && p->slot.active) return pg_slot_active(&p->slot, s->names.slot, err);
    if (s->create_slot) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The replication slot %s does not exist, and create_slot is off.",
            s->names.slot);
    wb_hint(err, "Make it after the publication: SELECT pg_create_logical_replication_slot('%s', 'pgoutput');",
            s->names.slot);
    return WB_E_CONFIG;
}

static wb_code make_slot(pg_source *s, const plan *p, char *snapshot, pg_lsn *point, wb_error *err)
{
    wb_code code = WB_OK;
    if (p->slot.exists) {
        wb_host_log(s->host, WB_LOG_INFO, "drops the slot %s of a start that was not finished", s->names.slot);
        code = pg_slot_drop(&s->side, s->names.slot, err);
    }
    if (code == WB_OK && !s->tail) code = sql_fact_put(s->host, "making_slot", s->names.slot, err);
    if (code == WB_OK) code = pg_slot_create(s, &s->repl, s->names.slot, s->tail, p->snapshot, point, snapshot, err);
    if (code == WB_OK && !s->tail) code = sql_fact_put(s->host, "slot", s->names.slot, err);
    if (code == WB_OK && !s->tail) code = sql_fact_del(s->host, "making_slot", err);
    char text[PG_LSN_TEXT];
    if (code == WB_OK && !s->tail)
        wb_host_log(s->host, WB_LOG_INFO, "made the replication slot %s at %s", s->names.slot,
                    pg_lsn_text(*point, text));
    return code;
}

/* ---------------------------------------------------------------- the order of things */

static wb_code load_tables(pg_source *s, wb_error *err)
{
    wb_code code = pg_patterns_of(s, &s->arena, &s->patterns, err);
    if (code == WB_OK) code = pg_catalog_load(&s->side, s->patterns, &s->cat, err);
    bool negative;
    if (code == WB_OK && s->cat.unmatched)
        wb_host_log(s->host, WB_LOG_WARN, "the pattern '%s' in `tables` matches no table",
                    wb_patterns_text(s->patterns, s->cat.unmatched - 1, &negative));
    char unsent[PG_UNSENT];
    if (code != WB_OK || !pg_catalog_unsent(&s->cat, unsent, sizeof unsent)) return code;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s.", unsent);
    wb_hint(err,
            "Name its partitions too, or leave the partitioned table out; from PostgreSQL 13 on its name is enough.");
    return WB_E_CONFIG;
}

/* A copy that nothing follows must be of one snapshot: one that was interrupted begins again. */
static wb_code snapshot_only(pg_source *s, const wb_resume *resume, wb_error *err)
{
    pg_snap *n = &s->snap;
    uint64_t lacks;
    n->copy.only = true;
    wb_code code = sql_copy_only_lacks(&n->copy, resume, &lacks, err);
    if (code != WB_OK) return code;
    lacks &= ~s->fresh;
    if (!lacks && !s->fresh) return WB_OK; /* all targets have it: read says the end */
    if (!s->cat.nwanted) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table of the database matches `tables`.");
    pg_pub pub, insert_pub; /* one that the user named has a say in rows and columns here, too */
    if (s->names.pub_named) code = pg_pub_look(&s->side, &s->names, &s->cat, &pub, &insert_pub, err);
    if (code != WB_OK) return code;
    for (size_t i = 0; s->names.pub_named && pub.exists && i < s->cat.n; i++)
        if (!s->cat.tables[i].published) s->cat.tables[i].wanted = false;
    code = sql_copy_load(&n->copy, resume, true, err);
    n->copy.fresh = s->fresh;
    n->copy.redo = lacks;
    if (code == WB_OK) code = sql_copy_only_begins(&n->copy, err);
    if (code == WB_OK) code = pg_snap_plan_fresh(s, n->copy.fresh | n->copy.redo, err);
    if (code == WB_OK) code = pg_snap_describe(s, err);
    if (code == WB_OK) code = pg_snap_workers_open(s, "", err);
    return code == WB_OK ? pg_snap_begin_turns(s, err) : code;
}

/* Numbers of columns as of the slot, for targets that begin without a snapshot. */
static wb_code remember_shapes(pg_source *s, wb_error *err)
{
    wb_arena a;
    wb_out oids = {0};
    pg_shape *shapes = NULL;
    size_t n = 0;
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_out_byte(&oids, '{');
    for (size_t i = 0; i < s->cat.n; i++) {
        const pg_table *t = &s->cat.tables[i];
        if (t->published && pg_catalog_covers(&s->cat, t))
            wb_out_printf(&oids, "%s%u", oids.len > 1 ? "," : "", t->oid);
    }
    wb_out_byte(&oids, '}');
    const char *text = wb_out_cstr(&oids);
    wb_code code = text ? pg_shapes_load(&s->side, text, &a, &shapes, &n, err) : pg_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        const pg_table *t = pg_catalog_find(&s->cat, shapes[i].oid);
        pg_shape_narrow(&shapes[i], t ? t->columns : NULL);
    }
    if (code == WB_OK) code = pg_shapes_remember(s, shapes, n, err);
    wb_out_fini(&oids);
    wb_arena_fini(&a);
    return code;
}

static void say_start(pg_source *s, pg_lsn point)
{
    uint8_t pos[PG_POS_LEN];
    pg_pos_make(pos, point);
    wb_host_idle(s->host, (wb_pos){pos, PG_POS_LEN}, s->fresh);
}

static wb_code log_end(pg_source *s, pg_lsn *out, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query(&s->side, "where its log ends",
                            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE"
                            " pg_current_wal_flush_lsn() END",
                            &res, err);
    if (code != WB_OK) return code;
    (void)pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), out);
    PQclear(res);
    return WB_OK;
}

/* The slot is made, and its snapshot is the first copy: all of it, then the stream. */
static wb_code begin_with_slot(pg_source *s, const plan *p, wb_error *err)
{
    char snapshot[PG_NAME] = "";
    pg_snap *n = &s->snap;
    wb_code code = make_slot(s, p, snapshot, &n->point, err);
    s->start = n->point;
    if (code == WB_OK) code = pg_ddl_begin(s, s->start, err);
    if (code == WB_OK && !p->snapshot) code = remember_shapes(s, err);
    if (code != WB_OK || !p->snapshot) return code;
    n->copy.fresh = s->fresh;
    code = pg_snap_plan_fresh(s, s->fresh, err);
    if (code == WB_OK) code = pg_snap_describe(s, err);
    if (code == WB_OK) code = pg_snap_workers_open(s, snapshot, err);
    return code == WB_OK ? pg_snap_begin_turns(s, err) : code;
}

/* The slot is there: what is to be copied still, for old targets and new ones, comes in turns with the stream. */
static wb_code begin_with_stream(pg_source *s, const plan *p, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_code code = WB_OK;
    if (p->snapshot) {
        n->copy.fresh = n->copy.held = s->fresh;
        code = pg_snap_plan_fresh(s, s->fresh, err);
    }
    n->copy.wanted = n->copy.fresh || sql_ledger_lacks(&n->copy.ledger, n->copy.running);
    return code == WB_OK && n->copy.wanted ? log_end(s, &n->near, err) : code;
}

static wb_code start(pg_source *s, const plan *p, const wb_resume *resume, wb_error *err)
{
    /* A target without a position and without a snapshot begins where the slot does, so the stream does too. */
    bool from_slot = !p->pos || (s->fresh && !p->snapshot);
    s->start = from_slot ? p->slot.confirmed : p->pos;
    wb_code code = sql_copy_load(&s->snap.copy, resume, p->make_slot, err);
    if (code == WB_OK) code = pg_leaves_open(s, p->make_slot, err);
    if (code == WB_OK && !p->make_slot && !s->ddl.begun) code = pg_ddl_begin(s, s->start, err);
    if (code == WB_OK) code = p->make_slot ? begin_with_slot(s, p, err) : begin_with_stream(s, p, err);
    if (code == WB_OK && !s->tail) code = pg_snap_wishes(s, err);
    if (code != WB_OK) return code;
    wb_host_copying(s->host, s->snap.copy.wanted || s->snap.copy.phase == SQL_COPY_TURNS);
    if (s->snap.copy.phase == SQL_COPY_TURNS) return WB_OK;
    if (s->fresh && !p->snapshot) say_start(s, s->start);
    return pg_stream_start(s, s->start, err);
}

static wb_code refuse_late_publication(pg_source *s, const plan *p, wb_error *err)
{
    pg_pub pub, insert_pub;
    if (p->make_slot || p->pos) return WB_OK;
    wb_code code = pg_pub_look(&s->side, &s->names, &s->cat, &pub, &insert_pub, err);
    if (code != WB_OK || pub.exists) return code;
    wb_fail(err, WB_E_CONFIG, WB_NEVER,
            "The slot %s exists and the publication %s does not: the server looks publications "
            "up as of each change, so one that is made later hides all before it.",
            s->names.slot, s->names.pub);
    wb_hint(err, "Drop the slot, make the publication, then the slot again; or let Walbrook make both.");
    return WB_E_CONFIG;
}

/* A target that has no place begins where the slot does, or later, if so told: also one that lost its place to a crash
 * before its first checkpoint, while another has one. */
static wb_code place_in_slot(pg_source *s, plan *p, wb_error *err)
{
    pg_lsn *from = &p->slot.confirmed;
    wb_code code = WB_OK;
    if (p->pos && !s->fresh) return WB_OK;
    if (p->told_us) code = pg_start_time(s, &p->slot, p->told_us, !p->pos, from, err);
    if (p->pos) *from = WB_MIN(WB_MAX(*from, p->told), p->pos);
    return code;
}

static wb_code begin_session(pg_source *s, const wb_resume *resume, wb_error *err)
{
    plan p = {.pos = s->tail ? 0 : pg_pos_lsn(resume->pos)};
    if (s->tail && resume->again)
        wb_host_log(s->host, WB_LOG_WARN, "connects again; changes made meanwhile are not shown");
    wb_code code = connect_both(s, p.pos || resume->again, err);
    if (code == WB_OK && s->tail) code = pg_tail_clean(s, &s->side, err);
    if (code == WB_OK && !resume->again && pg_link_no_encoding(&s->side))
        wb_host_log(s->host, WB_LOG_WARN, "%s", pg_link_no_encoding(&s->side));
    if (code == WB_OK) code = load_tables(s, err);
    if (code == WB_OK && s->snapshot_mode == SQL_SNAP_ONLY) return snapshot_only(s, resume, err);
    if (code == WB_OK) code = identify(s, p.pos, err);
    if (code == WB_OK && s->tail) code = pg_tail_existing(s, &s->side, err);
    if (code == WB_OK) code = make_plan(s, &p, err);
    if (code == WB_OK) code = refuse_late_publication(s, &p, err);
    if (code == WB_OK) code = pg_pub_prepare(s, &s->side, p.first, err);
    if (code == WB_OK) code = pg_ddl_open(s, p.pos, err);
    if (code == WB_OK && !p.make_slot && !p.snapshot && !s->tail) code = place_in_slot(s, &p, err);
    return code == WB_OK ? start(s, &p, resume, err) : code;
}

wb_code pg_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err)
{
    pg_source *s = ctx;
    pg_close(s);
    s->host = h;
    s->fresh = resume->fresh;
    pg_snap_begin(s);
    wb_arena_init(&s->arena, 4 * 1024, 0);
    if (s->tail) {
        (void)snprintf(s->tail_name, sizeof s->tail_name, "walbrook_tail_%d_%llx", (int)getpid(),
                       (unsigned long long)wb_now_us() & 0xffffffffffu);
        s->snapshot_mode = SQL_SNAP_NEVER;
    }
    wb_code code = pg_names_make(s, h, &s->names, err);
    if (code == WB_OK) code = pg_check_parts(s, resume, err);
    if (code != WB_OK) return code;
    const char *dir = wb_host_state_dir(h);
    if (!dir) dir = getenv("TMPDIR");
    s->spools = pg_spools_new(dir ? dir : "/tmp", (uint64_t)s->spool_limit);
    s->decoder = pg_decoder_new(pg_relation_hook, s, (size_t)wb_host_max_row(h));
    if (!s->spools || !s->decoder) return pg_nomem(err);
    if (s->heartbeat_ms) s->heartbeat_at_us = wb_mono_us() + s->heartbeat_ms * 1000;
    return begin_session(s, resume, err);
}
