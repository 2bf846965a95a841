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
/* One table; its chunks are of the file with that number, if that is not 0. */
#define REWRITTEN_ONE                                                                                                  \
    "SELECT c.oid::regclass FROM pg_class c WHERE c.oid = %llu AND (c.relfilenode <> pg_relation_filenode(c.oid)"      \
    " OR %u NOT IN (0, c.relfilenode))"

static bool is_read(const pg_source *s, const sql_job *j) { return sql_copy_reads(&s->snap.copy, j); }

static size_t count_read(const pg_source *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->snap.copy.ledger.n; i++) n += is_read(s, s->snap.copy.ledger.jobs[i]);
    return n;
}

static wb_code lock_tables(pg_source *s, pg_link *l, bool wait, wb_error *err)
{
    wb_out sql = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->snap.copy.ledger.n; i++) {
        const sql_job *j = s->snap.copy.ledger.jobs[i];
        if (!is_read(s, j)) continue;
        wb_out_z(&sql, n++ ? ", " : "LOCK TABLE ");
        wb_out_z(&sql, ((const sql_copy_table *)j->own)->name);
    }
    wb_out_z(&sql, wait ? " IN ACCESS SHARE MODE" : " IN ACCESS SHARE MODE NOWAIT");
    wb_code code = n ? pg_do(l, "to lock the tables for reading", wb_out_cstr(&sql), err) : WB_OK;
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    wb_out_fini(&sql);
    return code;
}

/* An array of the tables that are read, or of the files that their chunks are of. */
static void put_read(const pg_source *s, bool files, wb_out *o)
{
    for (size_t i = 0, n = 0; i < s->snap.copy.ledger.n; i++) {
        const sql_job *j = s->snap.copy.ledger.jobs[i];
        if (is_read(s, j))
            wb_out_printf(o, "%s%llu", n++ ? "," : "'{", files ? pg_snap_file(j) : (unsigned long long)j->table);
    }
    wb_out_z(o, "}'::oid[]");
}

static wb_code check_rewrites(pg_source *s, pg_link *l, wb_error *err)
{
    wb_out sql = {0};
    PGresult *res;
    if (!count_read(s)) return WB_OK;
    wb_out_z(&sql, "WITH t AS (SELECT * FROM unnest(");
    put_read(s, false, &sql);
    wb_out_z(&sql, ", ");
    put_read(s, true, &sql);
    wb_out_z(&sql, ") AS u(oid, file)) (" REWRITTEN ") UNION ALL (SELECT c.oid::regclass FROM t JOIN pg_class c"
                   " ON c.oid = t.oid WHERE t.file NOT IN (0, c.relfilenode) LIMIT 1)");
    wb_code code = pg_query(l, "which tables were rewritten", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    if (PQntuples(res)) code = pg_fail_rewritten(res, err);
    PQclear(res);
    return code;
}

/* ---------------------------------------------------------------- opening */

static wb_code enter_snapshot(pg_link *l, const char *snapshot, wb_error *err)
{
    wb_code code = pg_do(l, "to begin the snapshot", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
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

static wb_code open_first(pg_source *s, char *snapshot, wb_error *err)
{
    pg_link *l = &s->snap.links[0].link;
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
    size_t want = sql_copy_workers_wanted(&n->copy, s->snapshot_workers);
    pg_snap_workers_close(s);
    n->copy.workers = calloc(want, sizeof *n->copy.workers);
    n->links = calloc(want, sizeof *n->links);
    if (!n->copy.workers || !n->links) return pg_nomem(err);
    for (size_t i = 0; i < want; i++) n->copy.workers[i].own = &n->links[i];
    n->copy.nworkers = 1;
    n->copy.taken_us = wb_now_us();
    wb_code code = open_first(s, name, err);
    (void)WB_FAULT("postgres.tables_locked");
    for (; code == WB_OK && n->copy.nworkers < want; n->copy.nworkers++) {
        wb_error mine;
        wb_error_reset(&mine);
        pg_link *l = &n->links[n->copy.nworkers].link;
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
        wb_host_log(s->host, WB_LOG_WARN, "copies with %zu connection(s), not %zu: %s", n->copy.nworkers, want,
                    mine.message);
        break;
    }
    return code;
}

void pg_snap_workers_close(pg_source *s)
{
    pg_snap *n = &s->snap;
    for (size_t i = 0; n->links && i < n->copy.nworkers; i++) pg_link_close(&n->links[i].link);
    size_t many = n->copy.nworkers;
    sql_copy_free_workers(&n->copy);
    for (size_t i = 0; n->links && i < many; i++) pg_row_free(&n->links[i]);
    free(n->links);
    n->links = NULL;
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

static const sql_dialect dialect = {.ident = pg_put_ident, .literal = put_literal};

static void put_copy(const sql_job *j, const sql_chunk *c, wb_out *o)
{
    static const wb_str place = {"ctid", 4};
    const sql_copy_table *ct = j->own;
    bool places = c->kind == SQL_CHUNK_RANGE && (!ct->nkey || j->flags & SQL_JOB_PLACES);
    size_t before;
    wb_out_z(o, ct->select);
    wb_out_z(o, " WHERE ");
    before = o->len;
    sql_put_range(o, &dialect, places ? &place : ct->key, places ? 1 : ct->nkey, c);
    if (o->len > before && ct->where) wb_out_z(o, " AND ");
    if (ct->where) wb_out_z(o, ct->where);
    if (o->len == before) wb_out_z(o, "true");
    wb_out_z(o, ") TO STDOUT");
}

static wb_code start_chunk(void *ctx, sql_worker *w, sql_job *j, size_t chunk, wb_error *err)
{
    pg_source *s = ctx;
    pg_worker *own = w->own;
    const sql_copy_table *ct = j->own;
    bool alone = s->snap.lock_each; /* its lock goes with the savepoint */
    wb_out sql = {0};
    if (alone) {
        const pg_table *t = pg_catalog_find(&s->cat, (uint32_t)j->table);
        wb_out_printf(&sql, "SAVEPOINT w; LOCK TABLE %s IN ACCESS SHARE MODE; ", ct->name);
        if (t && t->kind == 'r')
            wb_out_printf(&sql, REWRITTEN_ONE "; ", (unsigned long long)j->table, pg_snap_file(j));
        else
            wb_out_printf(&sql, "WITH t AS (SELECT %llu::oid AS oid) " REWRITTEN "; ", (unsigned long long)j->table);
    }
    put_copy(j, &j->chunks[chunk], &sql);
    if (alone) wb_out_z(&sql, "; ROLLBACK TO SAVEPOINT w; RELEASE SAVEPOINT w");
    const char *text = wb_out_cstr(&sql);
    int sent = text ? PQsendQuery(own->link.pg, text) : 0;
    wb_code code = !text ? pg_nomem(err) : sent ? WB_OK : pg_fail_result(&own->link, NULL, "to copy a table", err);
    wb_out_fini(&sql);
    own->copying = false;
    own->rows = 0;
    return code;
}

static int worker_fd(const sql_worker *w)
{
    const pg_worker *own = w->own;
    return PQsocket(own->link.pg);
}

/* ---------------------------------------------------------------- rows and turns */

static wb_code put_row(void *ctx, const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err)
{
    WB_UNUSED(ctx);
    return pg_copy_row(t, p, n, b, err);
}

static size_t room_for_row(const wb_table *t, size_t len)
{
    enum { ROOM = 64 * 1024, BIG_ROW = 200 * 1024 };
    return len > BIG_ROW ? len + ROOM + 32 * (size_t)t->ncols : 0;
}

static wb_code begin_piece(void *ctx, wb_batch *b, wb_txn *t, wb_error *err)
{
    pg_source *s = ctx;
    size_t len = strlen(s->names.slot);
    WB_UNUSED(err);
    if (!s->snap.copy.only) t->log = (wb_str){wb_batch_copy(b, s->names.slot, len), len};
    t->database = pg_database_of(s, b);
    return WB_OK;
}

static wb_code turn_position(void *ctx, uint64_t seq, wb_batch *b, wb_pos *out, wb_error *err)
{
    pg_source *s = ctx;
    uint8_t *at = wb_batch_alloc(b, PG_TURN_LEN);
    if (!at) return pg_nomem(err);
    *out = (wb_pos){at, pg_pos_make_turn(at, s->snap.point, seq)};
    return WB_OK;
}

static wb_code stay_alive(void *ctx, wb_error *err)
{
    pg_source *s = ctx;
    return s->started ? pg_timers(s, err) : WB_OK;
}

static bool is_stopped(void *ctx)
{
    pg_source *s = ctx;
    return pg_stopped(s, s->host);
}

/* Values are the server's own texts. */
static bool put_key(const wb_change *c, wb_out *out)
{
    for (uint32_t k = 0; k < c->table->nkey; k++) {
        const wb_value *v = &c->after[c->table->key[k]];
        if (!(v->flags & WB_V_TEXT)) return false;
        sql_tuple_put(out, (wb_str){v->as.ptr, v->len});
    }
    return c->table->nkey && !out->failed;
}

static uint64_t table_id(const wb_table *t) { return t->id; }

static const sql_copy_ops ops = {.piece = begin_piece,
                                 .position = turn_position,
                                 .seq = pg_pos_seq,
                                 .start = start_chunk,
                                 .read = pg_row_read,
                                 .release = pg_row_release,
                                 .fd = worker_fd,
                                 .row = put_row,
                                 .room = room_for_row,
                                 .alive = stay_alive,
                                 .stopped = is_stopped,
                                 .key = put_key,
                                 .id = table_id};

void pg_snap_begin(pg_source *s)
{
    s->snap.copy.ops = &ops;
    s->snap.copy.source = s;
    s->snap.copy.host = s->host;
    s->snap.copy.turn_ms = s->snapshot_turn_ms;
}

wb_code pg_snap_begin_turns(pg_source *s, wb_error *err)
{
    wb_code code = pg_batch_put(s, err); /* what the stream brought before the point */
    if (code != WB_OK) return code;
    if (s->batch) wb_host_drop(s->host, s->batch);
    s->batch = NULL;
    s->txn = (pg_txn){0};
    s->idle_to = 0;
    s->snap.copy.place = s->snap.point;
    sql_copy_begin(&s->snap.copy, s->started);
    return WB_OK;
}

wb_code pg_snap_turns(pg_source *s, int ms, wb_error *err)
{
    wb_code code = sql_copy_turns(&s->snap.copy, ms, err);
    if (code != WB_END) return code;
    pg_snap_workers_close(s);
    code = sql_copy_over(&s->snap.copy, err);
    if (code != WB_OK || s->started || s->snap.copy.only) return code;
    return pg_stream_start(s, s->start, err);
}

void pg_snap_close(pg_source *s)
{
    pg_snap_workers_close(s);
    pg_link_close(&s->snap.maker);
    sql_copy_fini(&s->snap.copy);
    memset(&s->snap, 0, sizeof s->snap);
}
