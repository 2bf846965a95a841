/* status.c: what the server says while we may or may not run: where its log ends, what it keeps for us; and the removal
 * of what we made there. Each makes a connection of its own. Main thread, or any. */
#include "pg.h"

#include <stdio.h>

#include "base/options.h"

void pg_timeline_recall(pg_source *s, wb_host *h)
{
    wb_str v = {NULL, 0};
    wb_error ignored;
    wb_error_reset(&ignored);
    if (wb_host_state_get(h, "system_id", &v, &ignored) == WB_OK && v.len && v.len < 30)
        atomic_store_explicit(&s->system, strtoull(v.ptr, NULL, 10), memory_order_relaxed);
    if (wb_host_state_get(h, "timeline", &v, &ignored) != WB_OK || !v.len || v.len > 10) return;
    unsigned long known = strtoul(v.ptr, NULL, 10); /* the state ends it with a zero byte */
    if (known > atomic_load_explicit(&s->timeline, memory_order_relaxed))
        atomic_store_explicit(&s->timeline, (unsigned)known, memory_order_relaxed);
}

/* ---------------------------------------------------------------- tip */

wb_code pg_tip(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err)
{
    pg_source *s = ctx;
    pg_link l = {0};
    *len = 0;
    if (cap < PG_POS_LEN) return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "There is no room for a position.");
    pg_timeline_recall(s, h);
    wb_code code = pg_link_open(&l, s, h, PG_SQL, err);
    PGresult *res = NULL;
    if (code == WB_OK) code = pg_query(&l, "whether it is a standby", "SELECT pg_is_in_recovery()", &res, err);
    bool standby = code == WB_OK && PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    res = NULL;
    /* The message makes a commit that the stream shows at once; the flushed end is one that an idle walsender reaches.
     */
    if (code == WB_OK && !standby)
        code = pg_do(&l, "to mark the end of its log",
                     "SET synchronous_commit = local; SELECT pg_logical_emit_message(true, 'walbrook', 'tip')", err);
    if (code == WB_OK)
        code = pg_query(&l, "where its log ends",
                        standby ? "SELECT pg_last_wal_replay_lsn()" : "SELECT pg_current_wal_flush_lsn()", &res, err);
    pg_lsn lsn = 0;
    if (code == WB_OK && !pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), &lsn))
        code = wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not say where its log ends.");
    PQclear(res);
    pg_link_close(&l);
    if (code != WB_OK) return code;
    pg_pos_make(out, lsn);
    *len = PG_POS_LEN;
    atomic_store_explicit(&s->tip_wanted, lsn, memory_order_relaxed);
    return WB_OK;
}

/* ---------------------------------------------------------------- status */

static void say_tables(pg_source *s, pg_link *l, const pg_names *names, const wb_facts *facts)
{
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    pg_catalog cat = {0};
    wb_patterns *patterns = NULL;
    pg_pub pub, insert_pub;
    wb_error ignored;
    wb_error_reset(&ignored);
    wb_out list = {0}, halves = {0};
    bool fine = pg_patterns_of(s, &a, &patterns, &ignored) == WB_OK &&
                pg_catalog_load(l, patterns, &cat, &ignored) == WB_OK &&
                pg_pub_look(l, names, &cat, &pub, &insert_pub, &ignored) == WB_OK;
    for (size_t i = 0; fine && i < cat.n; i++) {
        const pg_table *t = &cat.tables[i];
        if (!t->wanted || t->whole || !pub.exists) continue;
        wb_out *o = t->published ? &halves : &list;
        wb_out_printf(o, "%s%s.%s", o->len ? ", " : "", t->schema.ptr, t->name.ptr);
    }
    if (halves.len && wb_out_cstr(&halves)) facts->text(facts->arg, "tables_inserts_only", halves.p);
    if (list.len && wb_out_cstr(&list)) facts->text(facts->arg, "tables_not_published", list.p);
    if (fine && !pub.exists) facts->text(facts->arg, "publication_missing", names->pub);
    wb_out_fini(&list);
    wb_out_fini(&halves);
    pg_catalog_free(&cat);
    wb_arena_fini(&a);
}

static void say_slot(const pg_slot *slot, const pg_names *names, int version, const wb_facts *facts)
{
    char lsn[PG_LSN_TEXT];
    facts->text(facts->arg, "slot", names->slot);
    if (!slot->exists) {
        facts->text(facts->arg, "slot_state", "missing");
        return;
    }
    facts->text(facts->arg, "slot_state", slot->lost ? "lost" : slot->active ? "active" : "idle");
    if (slot->active) facts->number(facts->arg, "slot_pid", slot->active_pid);
    if (slot->wal_status[0]) facts->text(facts->arg, "wal_status", slot->wal_status);
    if (slot->why_lost[0]) facts->text(facts->arg, "invalidation_reason", slot->why_lost);
    facts->text(facts->arg, "confirmed_flush_lsn", pg_lsn_text(slot->confirmed, lsn));
    facts->number(facts->arg, "held_bytes", slot->held);
    if (slot->safe != PG_NO_LIMIT) facts->number(facts->arg, "safe_wal_size", slot->safe);
    if (version >= 170000) facts->text(facts->arg, "failover", slot->failover ? "on" : "off");
    if (slot->synced) facts->text(facts->arg, "synced", "yes");
}

/* How near the slot is to being given up, for the log: said when it gets worse, and when it is well again. */
enum { SLOT_WELL, SLOT_TIGHT, SLOT_DOOMED, SLOT_LOST };

static int judge(const pg_slot *slot)
{
    if (slot->lost) return SLOT_LOST;
    if (strcmp(slot->wal_status, "unreserved") == 0) return SLOT_DOOMED;
    return slot->held / 4 > slot->safe ? SLOT_TIGHT : SLOT_WELL; /* less than a fifth is left */
}

static void warn_of_slot(pg_source *s, wb_host *h, const pg_slot *slot, const char *name)
{
    int now = slot->exists ? judge(slot) : SLOT_WELL;
    int before = atomic_exchange(&s->slot_alarm, now);
    if (now == before) return;
    if (now == SLOT_LOST)
        wb_host_log(h, WB_LOG_ERROR,
                    "the server has given up the slot %s (%s): its log is gone, a new snapshot is needed", name,
                    slot->why_lost[0] ? slot->why_lost : slot->wal_status);
    else if (now == SLOT_DOOMED)
        wb_host_log(
            h, WB_LOG_ERROR,
            "the slot %s keeps more log (%lld MB) than max_slot_wal_keep_size: the server removes it at its next "
            "checkpoint unless this pipeline catches up; raise the setting now (it needs no restart)",
            name, (long long)(slot->held >> 20));
    else if (now == SLOT_TIGHT)
        wb_host_log(h, WB_LOG_WARN,
                    "the slot %s keeps %lld MB of log; after %lld MB more the server may remove it "
                    "(max_slot_wal_keep_size), which costs a new snapshot",
                    name, (long long)(slot->held >> 20), (long long)(WB_MAX(slot->safe, 0) >> 20));
    else
        wb_host_log(h, WB_LOG_INFO, "the slot %s is far from max_slot_wal_keep_size again", name);
}

static wb_code say_server(pg_link *l, wb_pos settled, const wb_facts *facts, wb_error *err)
{
    static const char sql[] =
        "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,"
        " (SELECT extract(epoch FROM max(now() - xact_start))::int8 FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
        " AND pid <> pg_backend_pid())";
    PGresult *res;
    wb_code code = pg_query(l, "where its log ends", sql, &res, err);
    if (code != WB_OK) return code;
    pg_lsn end = 0, done = pg_pos_lsn(settled);
    int64_t age;
    if (pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), &end)) {
        facts->text(facts->arg, "position", PQgetvalue(res, 0, 0));
        if (done) facts->number(facts->arg, "lag_bytes", end > done ? (int64_t)(end - done) : 0);
    }
    if (!PQgetisnull(res, 0, 1) && wb_parse_int(PQgetvalue(res, 0, 1), &age, NULL) == WB_OK)
        facts->number(facts->arg, "oldest_transaction_seconds", age);
    PQclear(res);
    return WB_OK;
}

static void see(void *arg, const char *key, wb_str value)
{
    WB_UNUSED(key);
    WB_UNUSED(value);
    *(bool *)arg = true;
}

/* Also asked by another thread than the source's: through the list, which calls while it holds the state. */
static wb_code say_copy(wb_host *h, const wb_facts *facts, wb_error *err)
{
    bool unfinished = false;
    wb_code code = wb_host_state_list(h, "copy/plan", see, &unfinished, err);
    if (code == WB_OK && unfinished)
        facts->text(facts->arg, "copy", "unfinished: parts of tables are still to be read");
    return code;
}

wb_code pg_status(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err)
{
    pg_source *s = ctx;
    pg_names names;
    pg_slot slot;
    pg_link l = {0};
    wb_code code = pg_names_make(s, h, &names, err);
    if (code == WB_OK) code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) code = say_server(&l, settled, facts, err);
    if (code == WB_OK) code = say_copy(h, facts, err);
    if (code == WB_OK && s->snapshot_mode != SQL_SNAP_ONLY && !s->tail) {
        code = pg_slot_look(&l, names.slot, &slot, err);
        if (code == WB_OK) say_slot(&slot, &names, l.version, facts);
        if (code == WB_OK) warn_of_slot(s, h, &slot, names.slot);
        if (code == WB_OK) say_tables(s, &l, &names, facts);
    }
    pg_link_close(&l);
    return code;
}

/* ---------------------------------------------------------------- drop */

static wb_code drop_slot(pg_source *s, pg_link *l, const pg_names *names, bool ours,
                         void (*say)(void *arg, const char *line), void *arg, wb_error *err)
{
    pg_slot slot;
    char line[200];
    wb_code code = pg_slot_look(l, names->slot, &slot, err);
    if (code != WB_OK || !slot.exists) return code;
    if (!ours) {
        (void)snprintf(line, sizeof line, "slot %s stays: it was not made by this pipeline", names->slot);
        say(arg, line);
        return WB_OK;
    }
    code = pg_slot_release(s, l, names->slot, &slot, err);
    if (code == WB_OK && slot.active) code = pg_slot_active(&slot, names->slot, err);
    if (code != WB_OK) return code;
    code = pg_slot_drop(l, names->slot, err);
    (void)snprintf(line, sizeof line, "slot %s dropped", names->slot);
    if (code == WB_OK) say(arg, line);
    return code;
}

wb_code pg_drop(void *ctx, wb_host *h, void (*say)(void *arg, const char *line), void *arg, wb_error *err)
{
    pg_source *s = ctx;
    pg_names names;
    pg_link l = {0};
    char slot[PG_NAME], making[PG_NAME];
    s->host = h; /* nothing runs: the state's lock is held */
    pg_timeline_recall(s, h);
    wb_code code = pg_names_make(s, h, &names, err);
    if (code == WB_OK) code = sql_fact_get(s->host, "slot", slot, sizeof slot, err);
    if (code == WB_OK) code = sql_fact_get(s->host, "making_slot", making, sizeof making, err);
    if (code == WB_OK) code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) {
        bool ours = !names.slot_named || strcmp(slot, names.slot) == 0 || strcmp(making, names.slot) == 0;
        code = drop_slot(s, &l, &names, ours, say, arg, err);
    }
    if (code == WB_OK) code = pg_pub_drop(&l, &names, say, arg, err);
    pg_link_close(&l);
    return code;
}
