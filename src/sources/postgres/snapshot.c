/* snapshot.c: the first copy: one table after another by COPY, all in one snapshot of the database, handed over as READ
 * changes of one pseudo transaction that ends at the slot's consistent point. A row is handed over when the next one is
 * there, because the last one of a table, and of the snapshot, says so. Source thread; called by open and read. */
#include "pg.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

enum { TELL_EVERY = 10000, ROOM = 64 * 1024, BIG_ROW = 200 * 1024 };

/* What is copied: wanted and published. Of a partitioned table that travels by its partitions, those. */
static bool is_copied(const pg_source *s, const pg_table *t)
{
    if (s->snap.only) return t->wanted;
    return t->published && pg_catalog_covers(&s->cat, t);
}

static void put_name(wb_out *o, const pg_table *t)
{
    pg_put_ident(o, t->schema);
    wb_out_byte(o, '.');
    pg_put_ident(o, t->name);
}

/* Nobody may truncate or rewrite what is still to be read: neither obeys snapshots. */
static wb_code lock_tables(pg_source *s, wb_error *err)
{
    wb_out sql = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->cat.n; i++) {
        if (!is_copied(s, &s->cat.tables[i])) continue;
        wb_out_z(&sql, n++ ? ", " : "LOCK TABLE ");
        put_name(&sql, &s->cat.tables[i]);
    }
    wb_out_z(&sql, " IN ACCESS SHARE MODE");
    wb_code code = n ? pg_do(&s->snap.link, "to lock the tables for reading", pg_out_z(&sql), err) : WB_OK;
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    wb_out_fini(&sql);
    return code;
}

/* TRUNCATE and ALTER TABLE that rewrite a table do not obey snapshots: one that came between the snapshot and our lock
 * leaves the table empty for us, and a rewrite does not travel in the stream either. The snapshot's own view of
 * pg_class has the file that the table had then, pg_relation_filenode the one that it has now. */
static wb_code check_rewrites(pg_source *s, wb_error *err)
{
    wb_out sql = {0};
    PGresult *res;
    wb_out_z(&sql, "WITH t AS (SELECT unnest('{");
    for (size_t i = 0, n = 0; i < s->cat.n; i++)
        if (is_copied(s, &s->cat.tables[i])) wb_out_printf(&sql, "%s%u", n++ ? "," : "", s->cat.tables[i].oid);
    wb_out_z(&sql, "}'::oid[]) AS oid) SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'r'"
                   " AND c.relfilenode <> pg_relation_filenode(c.oid) AND c.oid IN (SELECT oid FROM t UNION SELECT"
                   " p.relid FROM t, LATERAL pg_partition_tree(t.oid) p) LIMIT 1");
    wb_code code = pg_query(&s->snap.link, "which tables were rewritten", pg_out_z(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    if (PQntuples(res)) {
        code = wb_fail(err, WB_E_SCHEMA, WB_RECONNECT, "Table %s was truncated or rewritten while the snapshot began.",
                       PQgetvalue(res, 0, 0));
        wb_hint(err, "The snapshot begins again by itself.");
    }
    PQclear(res);
    return code;
}

static wb_code now_lsn(pg_source *s, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query(&s->snap.link, "where its log ends",
                            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE"
                            " pg_current_wal_lsn() END",
                            &res, err);
    if (code != WB_OK) return code;
    (void)pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), &s->snap.point);
    PQclear(res);
    return WB_OK;
}

wb_code pg_snap_begin(pg_source *s, const char *snapshot, pg_lsn point, wb_error *err)
{
    pg_snap *n = &s->snap;
    n->point = point;
    n->taken_us = wb_now_us();
    n->first_batch = true;
    (void)WB_FAULT("postgres.snapshot_exported");
    wb_code code = pg_link_open(&n->link, s, s->host, PG_SQL, err);
    if (code != WB_OK) return code;
    code = pg_do(&n->link, "to begin the snapshot",
                 "SET row_security = off; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (code == WB_OK && snapshot) {
        wb_out sql = {0};
        wb_out_z(&sql, "SET TRANSACTION SNAPSHOT ");
        pg_put_literal(&sql, snapshot);
        code = pg_do(&n->link, "to use the slot's snapshot", pg_out_z(&sql), err);
        wb_out_fini(&sql);
    }
    if (code == WB_OK && !snapshot) code = now_lsn(s, err);
    if (code == WB_OK) code = lock_tables(s, err);
    if (code == WB_OK && n->link.version >= 120000) code = check_rewrites(s, err);
    if (code == WB_OK) n->on = true;
    return code;
}

void pg_snap_close(pg_source *s)
{
    pg_snap *n = &s->snap;
    pg_link_close(&n->link);
    if (n->table) wb_table_unref(n->table);
    if (n->pending) PQfreemem(n->pending);
    char slot[PG_NAME];
    memcpy(slot, n->temp_slot, sizeof slot);
    memset(n, 0, sizeof *n);
    memcpy(n->temp_slot, slot, sizeof slot);
}

/* ---------------------------------------------------------------- one table */

static wb_code describe(pg_source *s, const pg_table *t, wb_out *sql, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    pg_shape shape;
    bool found = false;
    wb_code code = pg_shape_load(&s->side, t->oid, &a, &shape, &found, err); /* as locked, not as of the snapshot */
    if (code == WB_OK && !found)
        code = wb_fail(err, WB_E_SCHEMA, WB_RETRY, "Table %s.%s went away while the snapshot began.", t->schema.ptr,
                       t->name.ptr);
    if (code == WB_OK) {
        pg_shape_narrow(&shape, t->columns);
        code = pg_shape_remember(s, &shape, 0, err);
    }
    if (code == WB_OK) {
        n->table = pg_shape_table(&shape, t->usable ? 0 : WB_TABLE_INSERT_ONLY);
        if (!n->table) code = pg_nomem(err);
    }
    wb_out_z(sql, "COPY (SELECT ");
    for (size_t i = 0; code == WB_OK && i < shape.ncols; i++) {
        if (i) wb_out_z(sql, ", ");
        pg_put_ident(sql, shape.cols[i].name);
    }
    wb_out_z(sql, t->kind == 'p' ? " FROM " : " FROM ONLY ");
    put_name(sql, t);
    if (t->filter) {
        wb_out_z(sql, " WHERE ");
        wb_out_z(sql, t->filter);
    }
    wb_out_z(sql, ") TO STDOUT");
    wb_arena_fini(&a);
    return code;
}

static wb_code begin_table(pg_source *s, const pg_table *t, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_out sql = {0};
    PGresult *res = NULL;
    n->rows = n->told = 0;
    wb_code code = describe(s, t, &sql, err);
    if (code == WB_OK) code = pg_query(&n->link, "to copy a table", pg_out_z(&sql), &res, err);
    wb_out_fini(&sql);
    PQclear(res);
    if (code != WB_OK) return code;
    n->copying = true;
    wb_host_log(s->host, WB_LOG_INFO, "copies %s.%s (about %lld rows)", t->schema.ptr, t->name.ptr,
                (long long)WB_MAX(t->rows, 0));
    wb_host_progress(s->host, n->table, 0, t->rows);
    return WB_OK;
}

static wb_code end_table(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    for (PGresult *res; (res = PQgetResult(n->link.pg));) {
        if (PQresultStatus(res) == PGRES_COMMAND_OK) {
            PQclear(res);
            continue;
        }
        wb_code code = pg_fail_result(&n->link, res, "to copy a table", err);
        PQclear(res);
        return code;
    }
    wb_change *last = n->rows && s->batch ? wb_batch_last_change(s->batch) : NULL;
    if (last) last->flags |= WB_C_LAST_OF_TABLE;
    n->ended = true;
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static void begin_piece(pg_source *s)
{
    pg_snap *n = &s->snap;
    wb_txn *t = wb_batch_txn(s->batch);
    size_t len = strlen(s->names.slot);
    if (!n->only) t->log = (wb_str){wb_batch_copy(s->batch, s->names.slot, len), len};
    t->commit_us = n->taken_us;
    t->flags = WB_TXN_SNAPSHOT | (n->first_batch ? WB_TXN_BEGIN : 0);
    if (n->first_batch) wb_batch_set_reset(s->batch, false);
    wb_batch_set_targets(s->batch, s->fresh ? s->fresh : ~(uint64_t)0);
    n->first_batch = false;
    s->txn.in_batch = true;
}

/* A batch for a row of `len` bytes, the full one put. WB_AGAIN: no budget. */
static wb_code room_for_row(pg_source *s, size_t len, wb_error *err)
{
    size_t need = len > BIG_ROW ? len + ROOM + 32 * (size_t)s->snap.table->ncols : 0;
    bool full = s->batch && wb_batch_count(s->batch) && (wb_batch_full(s->batch) || need);
    if (full || (s->batch && need > s->batch_room)) {
        wb_batch *b = s->batch;
        s->batch = NULL;
        s->txn.in_batch = false;
        if (!full) {
            wb_host_drop(s->host, b);
        } else {
            wb_code code = wb_host_put(s->host, b, err);
            if (code != WB_OK) return code;
        }
    }
    if (!s->batch) {
        s->batch = wb_host_take(s->host, need);
        s->batch_room = need;
        if (!s->batch) return WB_AGAIN;
    }
    if (!s->txn.in_batch) begin_piece(s);
    return WB_OK;
}

static wb_code take_row(pg_source *s, const char *p, size_t len, wb_error *err)
{
    pg_snap *n = &s->snap;
    if ((int64_t)len > wb_host_max_row(s->host)) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %s.%s has %zu bytes, more than max_row allows (%lld).",
                n->table->schema.ptr, n->table->name.ptr, len, (long long)wb_host_max_row(s->host));
        wb_hint(err, "Raise max_row in the pipeline file.");
        return WB_E_LIMIT;
    }
    wb_code code = room_for_row(s, len, err);
    if (code != WB_OK) return code;
    code = pg_copy_row(n->table, p, len, s->batch, err);
    if (code != WB_OK) return code;
    wb_change *c = wb_batch_last_change(s->batch);
    if (!c) return pg_nomem(err);
    c->ordinal = n->ordinal++;
    c->place = n->point;
    if (!n->rows) c->flags |= WB_C_FIRST_OF_TABLE;
    if (!n->any_rows) c->flags |= WB_C_FIRST_OF_SNAPSHOT;
    n->any_rows = true;
    n->rows++;
    if (n->rows - n->told >= TELL_EVERY) {
        n->told = n->rows;
        wb_host_progress(s->host, n->table, n->rows, s->cat.tables[n->at].rows);
    }
    return WB_OK;
}

/* An empty table is told of by a READ without a row. WB_AGAIN: no budget for it now. */
static wb_code tell_empty(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_code code = room_for_row(s, 0, err);
    if (code != WB_OK) return code;
    wb_batch_table(s->batch, n->table);
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_READ;
    c->table = n->table;
    c->ordinal = n->ordinal++;
    c->place = n->point;
    c->flags = (uint8_t)(WB_C_FIRST_OF_TABLE | WB_C_LAST_OF_TABLE | (n->any_rows ? 0 : WB_C_FIRST_OF_SNAPSHOT));
    n->any_rows = true;
    return WB_OK;
}

static wb_code leave_table(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (!n->rows) {
        wb_code code = tell_empty(s, err);
        if (code != WB_OK) return code;
    }
    n->ended = false;
    wb_host_progress(s->host, n->table, n->rows, n->rows);
    wb_table_unref(n->table);
    n->table = NULL;
    n->copying = false;
    n->at++;
    return WB_OK;
}

/* Everything is copied: the last row says so, and the batch ends the pseudo transaction. */
static wb_code finish(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (!s->batch) {
        s->batch = wb_host_take(s->host, 0);
        s->batch_room = 0;
        if (!s->batch) return WB_AGAIN;
    }
    if (!s->txn.in_batch) begin_piece(s);
    wb_change *last = n->any_rows ? wb_batch_last_change(s->batch) : NULL;
    if (last) last->flags |= WB_C_LAST_OF_SNAPSHOT;
    uint8_t *end = wb_batch_alloc(s->batch, PG_POS_LEN);
    if (!end) return pg_nomem(err);
    pg_pos_make(end, n->point);
    wb_txn *t = wb_batch_last_txn(s->batch);
    t->flags |= WB_TXN_END;
    t->end = (wb_pos){end, PG_POS_LEN};
    wb_batch *b = s->batch;
    s->batch = NULL;
    s->txn.in_batch = false;
    wb_code code = wb_host_put(s->host, b, err);
    if (code != WB_OK) return code;
    wb_host_progress(s->host, NULL, 0, 0);
    code = pg_do(&n->link, "to end the snapshot", "COMMIT", err);
    if (code == WB_OK) code = pg_state_put(s, "snapshot", "done", err);
    return code == WB_OK ? WB_END : code;
}

static wb_code wait_for_rows(pg_source *s, int64_t until, wb_error *err)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fd = {PQsocket(s->snap.link.pg), POLLIN, 0};
    if (left > 0 && poll(&fd, 1, (int)WB_MIN(left / 1000 + 1, 100)) > 0 && !PQconsumeInput(s->snap.link.pg))
        return pg_fail_result(&s->snap.link, NULL, "to copy a table", err);
    return WB_OK;
}

static wb_code wait_for_budget(pg_source *s, int64_t until)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fd = {wb_host_fd(s->host), POLLIN, 0};
    if (left > 0 && poll(&fd, 1, (int)(left / 1000 + 1)) > 0) wb_host_fd_clear(s->host);
    return WB_AGAIN;
}

/* One row, or its absence: WB_AGAIN: no budget; *dry: nothing to read now. */
static wb_code next_row(pg_source *s, bool *dry, wb_error *err)
{
    pg_snap *n = &s->snap;
    char *row = n->pending;
    int len = n->pending_len;
    n->pending = NULL;
    if (!row) len = PQgetCopyData(n->link.pg, &row, 1);
    if (len > 0) {
        wb_code code = take_row(s, row, (size_t)len, err);
        if (code == WB_AGAIN) {
            n->pending = row;
            n->pending_len = len;
        } else {
            PQfreemem(row);
        }
        return code;
    }
    *dry = len == 0;
    if (len == -2) return pg_fail_result(&n->link, NULL, "to copy a table", err);
    return len == -1 ? end_table(s, err) : WB_OK;
}

wb_code pg_snap_read(pg_source *s, int ms, wb_error *err)
{
    pg_snap *n = &s->snap;
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (uint32_t turn = 1;; turn++) {
        if ((turn & 255) == 0 && (wb_mono_us() >= until || pg_stopped(s, s->host))) return WB_OK;
        wb_code code = WB_OK;
        bool dry = false;
        if (n->ended) {
            code = leave_table(s, err);
        } else if (n->copying) {
            code = next_row(s, &dry, err);
        } else {
            while (n->at < s->cat.n && !is_copied(s, &s->cat.tables[n->at])) n->at++;
            code = n->at < s->cat.n ? begin_table(s, &s->cat.tables[n->at], err) : finish(s, err);
        }
        if (code == WB_AGAIN) return wait_for_budget(s, until);
        if (code == WB_OK && dry) code = wait_for_rows(s, until, err);
        if (code != WB_OK) return code;
        if (dry && wb_mono_us() >= until) return WB_OK;
    }
}
