/* slot_make.c: making a replication slot, naming those whom it waits for, and its failover property. Source thread, at
 * open. */
#include "pg.h"

#include <stdio.h>

enum { BLOCKERS_FIRST_US = 5000000, BLOCKERS_EVERY_US = 30000000 };

/* The server waits for every transaction that runs now; say which, so that somebody can end them. Locks are shown to
 * every role; who and since when only to the same role and to members of pg_read_all_stats. */
void pg_slot_blockers(pg_blockers *w, int64_t waited)
{
    static const char sql[] =
        "(SELECT 'process ' || l.pid || coalesce(' of ' || a.usename, '') || CASE WHEN a.xact_start IS NULL THEN"
        " ' (hidden from this role)' ELSE ', ' || coalesce(a.state, '?') || ', open for ' ||"
        " date_trunc('second', now() - a.xact_start)::text || ', its last query began ' ||"
        " coalesce(date_trunc('second', a.query_start)::text, '?') || ': ' ||"
        " coalesce(left(regexp_replace(a.query, '\\s+', ' ', 'g'), 80), '') END, a.xact_start IS NULL"
        " FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'transactionid'"
        " AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS NOT NULL"
        " ORDER BY age(l.transactionid) DESC LIMIT 5)"
        " UNION ALL (SELECT 'prepared transaction ' || gid || ' of ' || owner || ', open for ' ||"
        " date_trunc('second', now() - prepared)::text || '; COMMIT PREPARED or ROLLBACK PREPARED ends it', false"
        " FROM pg_prepared_xacts ORDER BY prepared LIMIT 5)";
    if (waited < w->next_us) return;
    w->next_us = waited + BLOCKERS_EVERY_US;
    PGresult *res;
    if (pg_query(&w->s->side, "to list open transactions", sql, &res, NULL) != WB_OK) return;
    wb_host_log(w->s->host, WB_LOG_WARN, "making the replication slot waits for %d open transaction(s) since %d s%s",
                PQntuples(res), (int)(waited / 1000000), PQntuples(res) ? ":" : "");
    bool hidden = false;
    for (int i = 0; i < PQntuples(res); i++) {
        wb_host_log(w->s->host, WB_LOG_WARN, "  %s", PQgetvalue(res, i, 0));
        hidden = hidden || PQgetvalue(res, i, 1)[0] == 't';
    }
    if (hidden && !w->hinted)
        wb_host_log(w->s->host, WB_LOG_INFO, "GRANT pg_monitor to this role shows who they are and since when");
    w->hinted = true;
    PQclear(res);
}

static void name_blockers(void *arg, int64_t waited) { pg_slot_blockers(arg, waited); }

void pg_slot_put_create(const pg_link *repl, const char *name, bool temporary, bool export, bool failover, wb_out *sql)
{
    wb_out_z(sql, "CREATE_REPLICATION_SLOT ");
    pg_put_ident_z(sql, name);
    if (temporary) wb_out_z(sql, " TEMPORARY");
    wb_out_z(sql, " LOGICAL pgoutput ");
    if (repl->version >= 150000)
        wb_out_printf(sql, "(SNAPSHOT '%s'%s)", export ? "export" : "nothing", failover ? ", FAILOVER true" : "");
    else
        wb_out_z(sql, export ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
}

static wb_code create(pg_source *s, pg_link *repl, const char *text, PGresult **res, wb_error *err)
{
    pg_blockers w = {.s = s, .next_us = BLOCKERS_FIRST_US};
    pg_call call = {.why = "to make the replication slot", .tick = name_blockers, .arg = &w};
    return pg_run(repl, &call, text, res, err);
}

/* The server's own word against it, not a connection that broke. */
static bool refused(wb_code code) { return code == WB_E_SERVER || code == WB_E_UNSUPPORTED || code == WB_E_AUTH; }

wb_code pg_slot_create(pg_source *s, pg_link *repl, const char *name, bool temporary, bool export, pg_lsn *point,
                       char *snapshot, wb_error *err)
{
    PGresult *res;
    wb_out sql = {0};
    bool failover = !temporary && repl->version >= 170000 && s->failover != PG_FAILOVER_OFF && !s->in_recovery;
    pg_slot_put_create(repl, name, temporary, export, failover, &sql);
    wb_error first;
    wb_error_reset(&first);
    wb_code code = create(s, repl, wb_out_cstr(&sql), &res, &first);
    if (failover && s->failover == PG_FAILOVER_AUTO && refused(code)) {
        wb_host_log(s->host, WB_LOG_WARN, "the slot is made without failover: %s", first.message);
        wb_out_reset(&sql);
        pg_slot_put_create(repl, name, temporary, export, false, &sql);
        wb_error_reset(&first);
        code = create(s, repl, wb_out_cstr(&sql), &res, &first);
    }
    wb_out_fini(&sql);
    if (code != WB_OK) {
        *err = first;
        return code;
    }
    code = pg_slot_answer(res, export, point, snapshot, err);
    PQclear(res);
    return code;
}

wb_code pg_slot_answer(const PGresult *res, bool export, pg_lsn *point, char *snapshot, wb_error *err)
{
    *point = 0;
    snapshot[0] = 0;
    if (PQntuples(res) == 1 && PQnfields(res) >= 3) {
        (void)pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 1)), point);
        if (!PQgetisnull(res, 0, 2)) (void)snprintf(snapshot, PG_NAME, "%s", PQgetvalue(res, 0, 2));
    }
    if (!*point || (export && !snapshot[0]))
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT,
                       "The server's answer to CREATE_REPLICATION_SLOT is incomplete.");
    return WB_OK;
}

/* ---------------------------------------------------------------- failover */

wb_code pg_failover_check(const pg_source *s, int version, wb_error *err)
{
    if (s->failover != PG_FAILOVER_ON || version >= 170000) return WB_OK;
    wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
            "`failover: on` needs PostgreSQL 17 or newer; this server is PostgreSQL %d.", version / 10000);
    wb_hint(err, "Leave `failover` out: a slot that does not outlive a failover is noticed, and the gap is named.");
    return WB_E_UNSUPPORTED;
}

/* A slot that was made by an older version of us or of the server, or with another setting. */
wb_code pg_slot_set_failover(pg_source *s, const pg_slot *slot, wb_error *err)
{
    bool want = s->failover != PG_FAILOVER_OFF;
    if (s->repl.version < 170000 || s->in_recovery || slot->temporary || slot->failover == want) return WB_OK;
    wb_out sql = {0};
    wb_error mine;
    wb_error_reset(&mine);
    wb_out_z(&sql, "ALTER_REPLICATION_SLOT ");
    pg_put_ident_z(&sql, s->names.slot);
    wb_out_printf(&sql, " (FAILOVER %s)", want ? "true" : "false");
    wb_code code = pg_do(&s->repl, "to change the slot's failover property", wb_out_cstr(&sql), &mine);
    wb_out_fini(&sql);
    if (code == WB_OK) {
        wb_host_log(s->host, WB_LOG_INFO, "the slot %s is %s standbys from now on", s->names.slot,
                    want ? "copied to" : "no longer copied to");
    } else if (s->failover == PG_FAILOVER_AUTO && refused(code)) {
        wb_host_log(s->host, WB_LOG_WARN, "the slot stays without failover: %s", mine.message);
        code = WB_OK;
    } else {
        *err = mine;
    }
    return code;
}
