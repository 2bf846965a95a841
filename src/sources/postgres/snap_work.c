/* snap_work.c: connections that read tables at once, all in one snapshot. The servers' processes do the work; one
 * thread takes what they send. Nobody may truncate or rewrite what is still to be read: neither obeys snapshots. So
 * tables are locked for reading, and those that were rewritten before the lock came are noticed. Source thread. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

enum { LOCK_ALL = 2000 }; /* tables: more would not fit into the server's lock table; they are locked one at a time */

/* TRUNCATE and ALTER TABLE that rewrite a table do not obey snapshots: one that came between the snapshot and our lock
 * leaves the table empty for us, and a rewrite does not travel in the stream either. The snapshot's own view of
 * pg_class has the file that the table had then, pg_relation_filenode the one that it has now. */
#define REWRITTEN                                                                                                      \
    "SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'r' AND c.relfilenode <> pg_relation_filenode(c.oid)"    \
    " AND c.oid IN (SELECT oid FROM t UNION SELECT p.relid FROM t, LATERAL pg_partition_tree(t.oid) p) LIMIT 1"

static wb_code fail_rewritten(const PGresult *res, wb_error *err)
{
    wb_fail(err, WB_E_SCHEMA, WB_RECONNECT, "Table %s was truncated or rewritten while the snapshot began.",
            PQgetvalue(res, 0, 0));
    wb_hint(err, "The snapshot begins again by itself.");
    return WB_E_SCHEMA;
}

static bool is_read(const pg_source *s, const sql_job *j) { return j->own && sql_job_lacks(j, s->snap.running); }

static size_t count_read(const pg_source *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->snap.ledger.n; i++) n += is_read(s, s->snap.ledger.jobs[i]);
    return n;
}

static wb_code lock_tables(pg_source *s, pg_link *l, bool wait, wb_error *err)
{
    wb_out sql = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->snap.ledger.n; i++) {
        const sql_job *j = s->snap.ledger.jobs[i];
        if (!is_read(s, j)) continue;
        wb_out_z(&sql, n++ ? ", " : "LOCK TABLE ");
        wb_out_z(&sql, ((const pg_copy_table *)j->own)->name);
    }
    wb_out_z(&sql, wait ? " IN ACCESS SHARE MODE" : " IN ACCESS SHARE MODE NOWAIT");
    wb_code code = n ? pg_do(l, "to lock the tables for reading", wb_out_cstr(&sql), err) : WB_OK;
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    wb_out_fini(&sql);
    return code;
}

static wb_code check_rewrites(pg_source *s, pg_link *l, wb_error *err)
{
    wb_out sql = {0};
    PGresult *res;
    wb_out_z(&sql, "WITH t AS (SELECT unnest('{");
    for (size_t i = 0, n = 0; i < s->snap.ledger.n; i++)
        if (is_read(s, s->snap.ledger.jobs[i]))
            wb_out_printf(&sql, "%s%llu", n++ ? "," : "", (unsigned long long)s->snap.ledger.jobs[i]->table);
    wb_out_z(&sql, "}'::oid[]) AS oid) " REWRITTEN);
    wb_code code = pg_query(l, "which tables were rewritten", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    if (PQntuples(res)) code = fail_rewritten(res, err);
    PQclear(res);
    return code;
}

/* ---------------------------------------------------------------- opening */

static wb_code enter_snapshot(pg_link *l, const char *snapshot, wb_error *err)
{
    wb_code code = pg_do(l, "to begin the snapshot",
                         "SET row_security = off; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (code != WB_OK || !snapshot[0]) return code;
    wb_out sql = {0};
    wb_out_z(&sql, "SET TRANSACTION SNAPSHOT ");
    pg_put_literal(&sql, snapshot);
    code = pg_do(l, "to use the slot's snapshot", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    return code;
}

/* Without a slot (`snapshot: only`) the first connection's snapshot is everybody's. */
static wb_code own_snapshot(pg_source *s, pg_link *l, char *snapshot, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query(l, "where its log ends",
                            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE"
                            " pg_current_wal_lsn() END, pg_export_snapshot()",
                            &res, err);
    if (code != WB_OK) return code;
    (void)pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), &s->snap.point);
    (void)snprintf(snapshot, PG_NAME, "%s", PQgetvalue(res, 0, 1));
    PQclear(res);
    return WB_OK;
}

/* More would have nothing to do. */
static size_t workers_wanted(const pg_source *s)
{
    size_t chunks = 0, most = WB_MIN((size_t)s->snapshot_workers, (size_t)PG_WORKERS_MAX);
    for (size_t i = 0; i < s->snap.ledger.n && chunks < most; i++) {
        const sql_job *j = s->snap.ledger.jobs[i];
        for (size_t c = 0; c < j->n && chunks < most; c++)
            chunks += j->chunks[c].kind != SQL_CHUNK_TRUNCATE && sql_chunk_lacks(j, &j->chunks[c], s->snap.running);
    }
    return WB_MAX(chunks, (size_t)1);
}

static wb_code open_first(pg_source *s, char *snapshot, wb_error *err)
{
    pg_link *l = &s->snap.workers[0].link;
    wb_code code = pg_link_open(l, s, s->host, PG_SQL, err);
    if (code == WB_OK) code = enter_snapshot(l, snapshot, err);
    if (code == WB_OK && !snapshot[0]) code = own_snapshot(s, l, snapshot, err);
    s->snap.lock_each = count_read(s) > LOCK_ALL;
    if (code != WB_OK || s->snap.lock_each) return code;
    code = lock_tables(s, l, true, err);
    return code == WB_OK ? check_rewrites(s, l, err) : code;
}

wb_code pg_snap_workers_open(pg_source *s, const char *snapshot, wb_error *err)
{
    pg_snap *n = &s->snap;
    char name[PG_NAME];
    (void)snprintf(name, sizeof name, "%s", snapshot);
    (void)WB_FAULT("postgres.snapshot_exported");
    size_t want = workers_wanted(s);
    pg_snap_workers_close(s);
    n->workers = calloc(want, sizeof *n->workers);
    if (!n->workers) return pg_nomem(err);
    n->nworkers = 1;
    n->taken_us = wb_now_us();
    wb_code code = open_first(s, name, err);
    for (; code == WB_OK && n->nworkers < want; n->nworkers++) {
        wb_error mine;
        wb_error_reset(&mine);
        pg_link *l = &n->workers[n->nworkers].link;
        wb_code rc = pg_link_open(l, s, s->host, PG_SQL, &mine);
        if (rc == WB_OK) rc = enter_snapshot(l, name, &mine);
        /* A TRUNCATE waits for the first connection's lock, and whoever asks later waits for the TRUNCATE: so all locks
         * are had before any row is read, and a connection that would have to wait for one is not used. */
        if (rc == WB_OK && !n->lock_each) rc = lock_tables(s, l, false, &mine);
        if (rc == WB_OK) continue;
        pg_link_close(l);
        if (rc == WB_E_STOPPED) {
            *err = mine;
            return rc;
        }
        wb_host_log(s->host, WB_LOG_WARN, "copies with %zu connection(s), not %zu: %s", n->nworkers, want,
                    mine.message);
        break;
    }
    return code;
}

void pg_snap_workers_close(pg_source *s)
{
    pg_snap *n = &s->snap;
    for (size_t i = 0; i < n->nworkers; i++) {
        pg_worker *w = &n->workers[i];
        if (w->row) PQfreemem(w->row);
        if (w->next) PQfreemem(w->next);
        if (w->job) {
            w->job->chunks[w->chunk].taken = false;
            w->job->open--;
        }
        pg_link_close(&w->link);
    }
    free(n->workers);
    n->workers = NULL;
    n->nworkers = 0;
}

/* ---------------------------------------------------------------- one chunk */

static void put_literal(wb_out *o, wb_str text)
{
    char *z = malloc(text.len + 1);
    if (!z) {
        o->failed = true;
        return;
    }
    if (text.len) memcpy(z, text.ptr, text.len);
    z[text.len] = 0;
    pg_put_literal(o, z);
    free(z);
}

static const sql_dialect dialect = {pg_put_ident, put_literal};

static void put_copy(const pg_copy_table *ct, const sql_chunk *c, wb_out *o)
{
    size_t before;
    wb_out_z(o, ct->select);
    wb_out_z(o, " WHERE ");
    before = o->len;
    sql_put_range(o, &dialect, ct->key, ct->nkey, c);
    if (o->len > before && ct->where) wb_out_z(o, " AND ");
    if (ct->where) wb_out_z(o, ct->where);
    if (o->len == before) wb_out_z(o, "true");
    wb_out_z(o, ") TO STDOUT");
}

wb_code pg_worker_start(pg_source *s, pg_worker *w, sql_job *j, size_t chunk, wb_error *err)
{
    const pg_copy_table *ct = j->own;
    bool alone = s->snap.lock_each; /* its lock goes with the savepoint */
    wb_out sql = {0};
    if (alone)
        wb_out_printf(&sql,
                      "SAVEPOINT w; LOCK TABLE %s IN ACCESS SHARE MODE; WITH t AS (SELECT %llu::oid AS oid) " REWRITTEN
                      "; ",
                      ct->name, (unsigned long long)j->table);
    put_copy(ct, &j->chunks[chunk], &sql);
    if (alone) wb_out_z(&sql, "; ROLLBACK TO SAVEPOINT w; RELEASE SAVEPOINT w");
    const char *text = wb_out_cstr(&sql);
    int sent = text ? PQsendQuery(w->link.pg, text) : 0;
    wb_code code = !text ? pg_nomem(err) : sent ? WB_OK : pg_fail_result(&w->link, NULL, "to copy a table", err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    w->job = j;
    w->chunk = chunk;
    w->copying = w->ended = w->dry = false;
    j->chunks[chunk].taken = true;
    j->open++;
    return WB_OK;
}

/* What comes before the rows. *dry: nothing more is there now. */
static wb_code enter_copy(pg_worker *w, bool *dry, wb_error *err)
{
    while (!PQisBusy(w->link.pg)) {
        PGresult *res = PQgetResult(w->link.pg);
        ExecStatusType st = PQresultStatus(res);
        wb_code code = WB_OK;
        if (st == PGRES_COPY_OUT)
            w->copying = true;
        else if (st == PGRES_TUPLES_OK && PQntuples(res))
            code = fail_rewritten(res, err);
        else if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK)
            code = pg_fail_result(&w->link, res, "to copy a table", err);
        PQclear(res);
        if (code != WB_OK || w->copying) return code;
    }
    *dry = true;
    return WB_OK;
}

static wb_code end_copy(pg_worker *w, wb_error *err)
{
    for (PGresult *res; (res = PQgetResult(w->link.pg));) {
        ExecStatusType st = PQresultStatus(res);
        wb_code code = st == PGRES_COMMAND_OK ? WB_OK : pg_fail_result(&w->link, res, "to copy a table", err);
        PQclear(res);
        if (code != WB_OK) return code;
    }
    w->ended = true;
    return WB_OK;
}

/* The next row into w->next, NULL when there is none: *dry, or w->ended. */
wb_code pg_worker_read(pg_worker *w, bool *dry, wb_error *err)
{
    if (!w->copying) {
        if (!PQconsumeInput(w->link.pg)) return pg_fail_result(&w->link, NULL, "to copy a table", err);
        wb_code code = enter_copy(w, dry, err);
        if (code != WB_OK || !w->copying) return code;
    }
    int n = PQgetCopyData(w->link.pg, &w->next, 1);
    if (n == 0) {
        if (!PQconsumeInput(w->link.pg)) return pg_fail_result(&w->link, NULL, "to copy a table", err);
        n = PQgetCopyData(w->link.pg, &w->next, 1);
    }
    if (WB_LIKELY(n > 0)) {
        w->next_len = n;
        return WB_OK;
    }
    w->next = NULL;
    *dry = n == 0;
    if (n == -2) return pg_fail_result(&w->link, NULL, "to copy a table", err);
    return n == -1 ? end_copy(w, err) : WB_OK;
}
