/* slot.c: the server's promise to keep the log for us, as it is: looked at by open, check, status and drop; why it is
 * lost, who uses it, and how it is dropped. slot_make.c makes one. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"

enum { GONE_US = 3000000, LOOK_AGAIN_US = 50000 };

static pg_lsn lsn_at(const PGresult *res, int col)
{
    pg_lsn lsn = 0;
    if (!PQgetisnull(res, 0, col)) (void)pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, col)), &lsn);
    return lsn;
}

static int64_t int_at(const PGresult *res, int col, int64_t otherwise)
{
    int64_t v;
    if (PQgetisnull(res, 0, col) || wb_parse_int(PQgetvalue(res, 0, col), &v, NULL) != WB_OK) return otherwise;
    return v;
}

static void text_at(const PGresult *res, int col, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s", PQgetvalue(res, 0, col));
}

static bool true_at(const PGresult *res, int col) { return PQgetvalue(res, 0, col)[0] == 't'; }

static void read_slot(const PGresult *res, pg_slot *out)
{
    out->exists = true;
    text_at(res, 0, out->plugin, sizeof out->plugin);
    out->ours_plugin = strcmp(out->plugin, "pgoutput") == 0;
    out->logical = strcmp(PQgetvalue(res, 0, 1), "logical") == 0;
    text_at(res, 2, out->database, sizeof out->database);
    out->active = true_at(res, 3);
    out->active_pid = (int)int_at(res, 4, 0);
    out->restart = lsn_at(res, 5);
    out->has_confirmed = !PQgetisnull(res, 0, 6);
    out->confirmed = lsn_at(res, 6);
    out->temporary = true_at(res, 7);
    text_at(res, 8, out->wal_status, sizeof out->wal_status);
    out->safe = int_at(res, 9, PG_NO_LIMIT);
    text_at(res, 10, out->why_lost, sizeof out->why_lost);
    out->two_phase = true_at(res, 11);
    out->held = int_at(res, 12, 0);
    out->failover = true_at(res, 15);
    out->synced = true_at(res, 16);
    out->lost = strcmp(out->wal_status, "lost") == 0 || out->why_lost[0];
}

/* What each version of the view lacks is a constant. */
static void put_query(int version, wb_out *sql)
{
    const char *why = version >= 170000 ? "coalesce(s.invalidation_reason, '')"
                      : version >= 160000
                          ? "CASE WHEN s.conflicting AND pg_is_in_recovery() THEN 'conflict with recovery' ELSE '' END"
                          : "''";
    wb_out_printf(sql,
                  "SELECT s.plugin, s.slot_type, coalesce(s.database, ''), s.active, s.active_pid, s.restart_lsn,"
                  " s.confirmed_flush_lsn, s.temporary, %s, %s, %s, %s, (w.lsn - s.restart_lsn)::int8, w.lsn,"
                  " s.slot_name IS NOT NULL, %s, %s FROM (SELECT CASE WHEN pg_is_in_recovery()"
                  " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) w"
                  " LEFT JOIN pg_replication_slots s ON s.slot_name = $1",
                  version >= 130000 ? "coalesce(s.wal_status, '')" : "''",
                  version >= 130000 ? "s.safe_wal_size" : "NULL", why, version >= 140000 ? "s.two_phase" : "false",
                  version >= 170000 ? "s.failover" : "false", version >= 170000 ? "s.synced" : "false");
}

wb_code pg_slot_look(pg_link *l, const char *name, pg_slot *out, wb_error *err)
{
    *out = (pg_slot){.safe = PG_NO_LIMIT};
    wb_out sql = {0};
    put_query(l->version, &sql);
    PGresult *res;
    wb_code code = pg_query1(l, "to look at the replication slot", wb_out_cstr(&sql), name, &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    if (PQntuples(res)) {
        out->log_end = lsn_at(res, 13);
        if (true_at(res, 14)) read_slot(res, out);
    }
    PQclear(res);
    return WB_OK;
}

/* ---------------------------------------------------------------- in use */

wb_code pg_slot_active(const pg_slot *slot, const char *name, wb_error *err)
{
    wb_fail(err, WB_E_SERVER, WB_RECONNECT, "The replication slot %s is in use by the server's process %d.", name,
            slot->active_pid);
    wb_hint(err,
            "Another walbrook or tool reads it, or the server has not noticed yet that an old connection is dead "
            "(wal_sender_timeout). SELECT pg_terminate_backend(%d) ends that connection.",
            slot->active_pid);
    return WB_E_SERVER;
}

/* Process and start of the server's end of our connection: the one thing that nobody else can have. */
wb_code pg_walsender_remember(pg_source *s, wb_error *err)
{
    PGresult *res;
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = pg_query(&s->repl, "for its process",
                            "SELECT pid || ' ' || coalesce(backend_start::text, '') FROM pg_stat_activity"
                            " WHERE pid = pg_backend_pid()",
                            &res, err);
    if (code != WB_OK) return code;
    if (PQntuples(res)) code = sql_fact_put(s->host, "walsender", PQgetvalue(res, 0, 0), err);
    PQclear(res);
    return code;
}

/* The state's lock is ours, so whoever streamed for this pipeline before is dead, or asleep and must not go on; the
 * server may need wal_sender_timeout to notice. Only the very connection that this state made is ended. */
wb_code pg_slot_release(pg_source *s, pg_link *l, const char *name, pg_slot *slot, wb_error *err)
{
    char known[80];
    if (!slot->active || !slot->active_pid) return WB_OK;
    wb_code code = sql_fact_get(s->host, "walsender", known, sizeof known, err);
    if (code != WB_OK || !known[0]) return code;
    char sql[200];
    PGresult *res;
    wb_error ignored;
    wb_error_reset(&ignored);
    (void)snprintf(sql, sizeof sql,
                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %d"
                   " AND pid || ' ' || coalesce(backend_start::text, '') = $1",
                   slot->active_pid);
    if (pg_query1(l, "to end an old connection", sql, known, &res, &ignored) != WB_OK) return WB_OK;
    bool ended = PQntuples(res) && PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    if (!ended) return WB_OK;
    wb_host_log(s->host, WB_LOG_INFO,
                "ended the server's process %d, which still served an earlier connection of this "
                "pipeline",
                slot->active_pid);
    for (int64_t until = wb_mono_us() + GONE_US; slot->active && wb_mono_us() < until && !pg_link_stopped(l);) {
        wb_sleep_us(LOOK_AGAIN_US);
        code = pg_slot_look(l, name, slot, err);
        if (code != WB_OK) return code;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- lost */

wb_code pg_gap(const pg_source *s, wb_error *err, const char *fmt, ...)
{
    char text[380];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool again = s->snapshot_mode == SQL_SNAP_WHEN_NEEDED;
    wb_fail(err, WB_E_GAP, again ? WB_RESNAPSHOT : WB_NEVER, "%s.", text);
    if (!again)
        wb_hint(err, "A new snapshot is the only way to be complete again: `walbrook run --resnapshot TARGET` for each "
                     "target, or set `snapshot: when_needed`, which does it by itself.");
    return WB_E_GAP;
}

/* ", 12345 bytes of log up to 0/16B3748": what was written since `from`. */
static const char *size_of_gap(pg_lsn from, pg_lsn end, char *out, size_t cap)
{
    char lsn[PG_LSN_TEXT];
    out[0] = 0;
    if (from && end > from)
        (void)snprintf(out, cap, " (%llu bytes of log up to %s)", (unsigned long long)(end - from),
                       pg_lsn_text(end, lsn));
    return out;
}

wb_code pg_slot_missing(const pg_source *s, const pg_slot *slot, pg_lsn pos, wb_error *err)
{
    char at[PG_LSN_TEXT], size[80];
    return pg_gap(s, err,
                  "The replication slot %s is gone, so the server keeps no log for this pipeline. What was changed "
                  "after %s is lost to it%s",
                  s->names.slot, pg_lsn_text(pos, at), size_of_gap(pos, slot->log_end, size, sizeof size));
}

const char *pg_slot_why(const pg_slot *slot)
{
    if (strcmp(slot->why_lost, "idle_timeout") == 0)
        return "it was not used for longer than idle_replication_slot_timeout";
    if (strcmp(slot->why_lost, "wal_level_insufficient") == 0) return "wal_level was below 'logical' for a time";
    if (strcmp(slot->why_lost, "rows_removed") == 0)
        return "this standby had to remove rows of the catalog that it needed (hot_standby_feedback = on keeps them)";
    if (strcmp(slot->why_lost, "conflict with recovery") == 0)
        return "it was in the way of this standby's recovery (hot_standby_feedback = on prevents it)";
    return "it was behind by more than max_slot_wal_keep_size";
}

wb_code pg_slot_lost(const pg_source *s, const pg_slot *slot, pg_lsn pos, wb_error *err)
{
    char at[PG_LSN_TEXT], size[80];
    pg_lsn from = pos ? pos : slot->confirmed;
    return pg_gap(s, err,
                  "The server has given up the replication slot %s and removed its log (%s): %s. What was "
                  "changed after %s is lost to this pipeline%s",
                  s->names.slot, slot->why_lost[0] ? slot->why_lost : slot->wal_status, pg_slot_why(slot),
                  pg_lsn_text(from, at), size_of_gap(from, slot->log_end, size, sizeof size));
}

wb_code pg_slot_drop(pg_link *l, const char *name, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query1(l, "to drop the replication slot", "SELECT pg_drop_replication_slot($1)", name, &res, err);
    PQclear(res);
    return code;
}
