/* slot.c: the server's promise to keep the log for us. Looked at, made and dropped at open; looked at by check, status
 * and drop. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"

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

wb_code pg_slot_look(pg_link *l, const char *name, pg_slot *out, wb_error *err)
{
    *out = (pg_slot){.safe = -1};
    wb_out sql = {0};
    wb_out_printf(&sql,
                  "SELECT plugin, slot_type, coalesce(database, ''), active, active_pid, restart_lsn,"
                  " confirmed_flush_lsn, temporary, %s, %s, %s, %s,"
                  " (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
                  " - restart_lsn)::int8 FROM pg_replication_slots WHERE slot_name = $1",
                  l->version >= 130000 ? "coalesce(wal_status, '')" : "''",
                  l->version >= 130000 ? "safe_wal_size" : "NULL",
                  l->version >= 170000 ? "coalesce(invalidation_reason, '')" : "''",
                  l->version >= 140000 ? "two_phase" : "false");
    PGresult *res;
    wb_code code = pg_query1(l, "to look at the replication slot", pg_out_z(&sql), name, &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    if (PQntuples(res)) {
        out->exists = true;
        text_at(res, 0, out->plugin, sizeof out->plugin);
        out->ours_plugin = strcmp(out->plugin, "pgoutput") == 0;
        out->logical = strcmp(PQgetvalue(res, 0, 1), "logical") == 0;
        text_at(res, 2, out->database, sizeof out->database);
        out->active = PQgetvalue(res, 0, 3)[0] == 't';
        out->active_pid = (int)int_at(res, 4, 0);
        out->restart = lsn_at(res, 5);
        out->has_confirmed = !PQgetisnull(res, 0, 6);
        out->confirmed = lsn_at(res, 6);
        out->temporary = PQgetvalue(res, 0, 7)[0] == 't';
        text_at(res, 8, out->wal_status, sizeof out->wal_status);
        out->safe = int_at(res, 9, -1);
        text_at(res, 10, out->why_lost, sizeof out->why_lost);
        out->two_phase = PQgetvalue(res, 0, 11)[0] == 't';
        out->held = int_at(res, 12, 0);
        out->lost = strcmp(out->wal_status, "lost") == 0 || out->why_lost[0];
    }
    PQclear(res);
    return WB_OK;
}

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

wb_code pg_gap(const pg_source *s, wb_error *err, const char *fmt, ...)
{
    char text[380];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool again = s->snapshot_mode == PG_SNAP_WHEN_NEEDED;
    wb_fail(err, WB_E_GAP, again ? WB_RESNAPSHOT : WB_NEVER, "%s.", text);
    if (!again)
        wb_hint(err, "A new snapshot is the only way to be complete again: `walbrook drop` and run again, or set "
                     "`snapshot: when_needed`, which does it by itself.");
    return WB_E_GAP;
}

/* ---------------------------------------------------------------- making one */

typedef struct waiting {
    pg_source *s;
    int64_t next_us;
} waiting;

/* The server waits for every transaction that runs now; say which, so that somebody can end them. */
static void name_blockers(void *arg, int64_t waited)
{
    static const char sql[] =
        "SELECT 'process ' || pid || coalesce(' of ' || usename, '') || ', ' || coalesce(state, '?') || ', open for ' "
        "||"
        " date_trunc('second', now() - xact_start)::text || ': ' || coalesce(left(regexp_replace(query, '\\s+', ' ', "
        "'g'),"
        " 80), '') FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        " UNION ALL SELECT 'prepared transaction ' || gid || ', open for ' || date_trunc('second', now() - "
        "prepared)::text"
        " FROM pg_prepared_xacts LIMIT 5";
    waiting *w = arg;
    if (waited < w->next_us) return;
    w->next_us = waited + 30000000;
    PGresult *res;
    if (pg_query(&w->s->side, "to list open transactions", sql, &res, NULL) != WB_OK) return;
    wb_host_log(w->s->host, WB_LOG_WARN, "making the replication slot waits for %d open transaction(s) since %d s%s",
                PQntuples(res), (int)(waited / 1000000), PQntuples(res) ? ":" : "");
    for (int i = 0; i < PQntuples(res); i++) wb_host_log(w->s->host, WB_LOG_WARN, "  %s", PQgetvalue(res, i, 0));
    PQclear(res);
}

wb_code pg_slot_create(pg_source *s, pg_link *repl, const char *name, bool temporary, bool export, pg_lsn *point,
                       char *snapshot, wb_error *err)
{
    wb_out sql = {0};
    wb_out_z(&sql, "CREATE_REPLICATION_SLOT ");
    pg_put_ident_z(&sql, name);
    if (temporary) wb_out_z(&sql, " TEMPORARY");
    wb_out_z(&sql, " LOGICAL pgoutput ");
    if (repl->version >= 150000)
        wb_out_z(&sql, export ? "(SNAPSHOT 'export')" : "(SNAPSHOT 'nothing')");
    else
        wb_out_z(&sql, export ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
    waiting w = {s, 5000000};
    PGresult *res;
    pg_call call = {.why = "to make the replication slot", .tick = name_blockers, .arg = &w};
    wb_code code = pg_run(repl, &call, pg_out_z(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    *point = 0;
    snapshot[0] = 0;
    if (PQntuples(res) == 1 && PQnfields(res) >= 3) {
        *point = lsn_at(res, 1);
        if (!PQgetisnull(res, 0, 2)) text_at(res, 2, snapshot, PG_NAME);
    }
    PQclear(res);
    if (!*point || (export && !snapshot[0]))
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT,
                       "The server's answer to CREATE_REPLICATION_SLOT is incomplete.");
    return WB_OK;
}

wb_code pg_slot_drop(pg_link *l, const char *name, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query1(l, "to drop the replication slot", "SELECT pg_drop_replication_slot($1)", name, &res, err);
    PQclear(res);
    return code;
}
