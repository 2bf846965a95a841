/* snapshot.c: the first copy, exact: all tables as of one place in the log, read one after another in one transaction
 * and handed over as READ changes of one pseudo transaction that ends at that place. A copy that is interrupted starts
 * again from nothing. The place in snapshot_begin.c. Source thread; called by open and read. */
#include "snapshot.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"

enum { TELL_EVERY = 10000, ROOM = 64 * 1024, BIG_ROW = 200 * 1024 };

void my_snap_close(my_source *s)
{
    my_snap *n = &s->snap;
    if (n->res) {
        n->link.broken = true; /* the rest of the rows is not fetched */
        (void)shutdown(my_link_fd(&n->link), SHUT_RDWR);
        mysql_free_result(n->res);
    }
    my_link_close(&n->link);
    my_link_close(&n->lock);
    if (n->table) wb_table_unref(n->table);
    wb_out_fini(&n->point);
    free(n->done);
    memset(n, 0, sizeof *n);
}

/* ---------------------------------------------------------------- one table */

static wb_code describe(my_source *s, const my_table *t, wb_out *sql, wb_error *err)
{
    my_snap *n = &s->snap;
    my_schema shape;
    wb_arena_reset(&s->scratch);
    wb_code code =
        my_shape_load(&s->side, t->schema, t->name, &s->scratch, &shape, err); /* as our transaction locks it */
    if (code == WB_OK && !shape.ncols)
        code = wb_fail(err, WB_E_SCHEMA, WB_RECONNECT, "Table %s.%s went away while the snapshot began.", t->schema.ptr,
                       t->name.ptr);
    if (code != WB_OK) return code;
    n->table = my_table_of_schema(&shape, s->server.flavor, err);
    if (!n->table) return err ? err->code : WB_E_SCHEMA;
    wb_out_z(sql, "SELECT ");
    for (uint32_t i = 0; i < n->table->ncols; i++) {
        if (i) wb_out_z(sql, ", ");
        my_select_expression(n->table, i, s->server.flavor, sql);
    }
    wb_out_z(sql, " FROM ");
    my_put_table(sql, t->schema, t->name);
    return WB_OK;
}

static wb_code begin_table(my_source *s, const my_table *t, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_out sql = {0};
    n->rows = n->told = 0;
    n->row_end = false;
    wb_code code = describe(s, t, &sql, err);
    if (code == WB_OK) code = my_rows(&n->link, "to copy a table", wb_out_cstr(&sql), &n->res, err);
    wb_out_fini(&sql);
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    if (code != WB_OK) return code;
    n->copying = true;
    wb_host_log(s->host, WB_LOG_INFO, "copies %s.%s (about %lld rows)", t->schema.ptr, t->name.ptr,
                (long long)WB_MAX(t->rows, 0));
    wb_host_progress(s->host, n->table, 0, t->rows);
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static wb_code begin_piece(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    my_pos p;
    wb_txn *t = wb_batch_txn(s->batch);
    if (!t) return my_nomem(err);
    if (my_pos_read((wb_pos){n->point.p, n->point.len}, &p) && p.has_file)
        t->log = (wb_str){wb_batch_copy(s->batch, p.log.ptr, p.log.len), p.log.len};
    t->commit_us = n->taken_us;
    t->flags = WB_TXN_SNAPSHOT | (n->first_batch ? WB_TXN_BEGIN : 0);
    if (s->server.flavor == MY_MARIADB) t->flags |= WB_TXN_MARIADB;
    if (n->first_batch) wb_batch_set_reset(s->batch, false);
    wb_batch_set_targets(s->batch, s->fresh ? s->fresh : ~(uint64_t)0);
    n->first_batch = false;
    s->txn.in_batch = true;
    return WB_OK;
}

/* A batch for a row of `len` bytes, the full one put. WB_AGAIN: no budget. */
static wb_code room_for_row(my_source *s, size_t len, wb_error *err)
{
    size_t need = len > BIG_ROW ? 3 * len + ROOM + 32 * (size_t)s->snap.table->ncols : 0;
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
    return s->txn.in_batch ? WB_OK : begin_piece(s, err);
}

static wb_code put_row(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    const my_policy policy = {(my_zero_dates)s->zero_dates, (my_bad_text)s->bad_text};
    wb_value *v = wb_batch_values(s->batch, n->table->ncols);
    if (!v) return my_nomem(err);
    for (uint32_t i = 0; i < n->table->ncols; i++) {
        if (!n->pending[i]) {
            v[i].kind = WB_NULL;
            continue;
        }
        wb_code code = my_value_of_text(n->table, i, n->pending[i], n->lengths[i], &policy, s->batch, &v[i], err);
        if (code != WB_OK) return code;
    }
    wb_batch_table(s->batch, n->table);
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_READ;
    c->table = n->table;
    c->after = v;
    c->ordinal = n->ordinal++;
    c->place = s->offset;
    if (!n->rows) c->flags |= WB_C_FIRST_OF_TABLE;
    if (!n->any_rows) c->flags |= WB_C_FIRST_OF_SNAPSHOT;
    n->any_rows = true;
    n->rows++;
    return WB_OK;
}

static wb_code take_row(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    size_t len = 0;
    for (uint32_t i = 0; i < n->table->ncols; i++) len += n->lengths[i];
    if ((int64_t)len > wb_host_max_row(s->host)) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %s.%s has %zu bytes, more than max_row allows (%lld).",
                n->table->schema.ptr, n->table->name.ptr, len, (long long)wb_host_max_row(s->host));
        wb_hint(err, "Raise max_row in the pipeline file.");
        return WB_E_LIMIT;
    }
    wb_code code = room_for_row(s, len, err);
    if (code == WB_OK) code = put_row(s, err);
    if (code != WB_OK) return code;
    if (n->rows - n->told >= TELL_EVERY) {
        n->told = n->rows;
        wb_host_progress(s->host, n->table, n->rows, s->cat.tables[n->at].rows);
    }
    return WB_OK;
}

static wb_code next_row(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    if (!n->pending) {
        n->pending = mysql_fetch_row(n->res);
        if (!n->pending && mysql_errno(n->link.my)) return my_fail(&n->link, "for the rows of a table", err);
        if (n->pending) n->lengths = mysql_fetch_lengths(n->res);
    }
    if (n->pending) {
        wb_code code = take_row(s, err);
        if (code != WB_AGAIN) n->pending = NULL;
        return code;
    }
    mysql_free_result(n->res);
    n->res = NULL;
    wb_change *last = n->rows && s->batch ? wb_batch_last_change(s->batch) : NULL;
    if (last) last->flags |= WB_C_LAST_OF_TABLE;
    n->row_end = true;
    return WB_OK;
}

/* An empty table is told of by a READ without a row. WB_AGAIN: no budget for it now. */
static wb_code tell_empty(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_code code = room_for_row(s, 0, err);
    if (code != WB_OK) return code;
    wb_batch_table(s->batch, n->table);
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_READ;
    c->table = n->table;
    c->ordinal = n->ordinal++;
    c->place = s->offset;
    c->flags = (uint8_t)(WB_C_FIRST_OF_TABLE | WB_C_LAST_OF_TABLE | (n->any_rows ? 0 : WB_C_FIRST_OF_SNAPSHOT));
    n->any_rows = true;
    return WB_OK;
}

static wb_code leave_table(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    if (!n->rows) {
        wb_code code = tell_empty(s, err);
        if (code != WB_OK) return code;
    }
    wb_host_progress(s->host, n->table, n->rows, n->rows);
    wb_table_unref(n->table);
    n->table = NULL;
    n->copying = n->row_end = false;
    n->done[n->at] = true;
    return WB_OK;
}

/* Everything is copied: the last row says so, and the batch ends the pseudo transaction. */
static wb_code finish(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    if (!s->batch) {
        s->batch = wb_host_take(s->host, 0);
        s->batch_room = 0;
        if (!s->batch) return WB_AGAIN;
    }
    if (!s->txn.in_batch) {
        wb_code code = begin_piece(s, err);
        if (code != WB_OK) return code;
    }
    wb_change *last = n->any_rows ? wb_batch_last_change(s->batch) : NULL;
    if (last) last->flags |= WB_C_LAST_OF_SNAPSHOT;
    wb_txn *t = wb_batch_last_txn(s->batch);
    if (!t) return my_nomem(err);
    t->flags |= WB_TXN_END;
    t->end = (wb_pos){wb_batch_copy(s->batch, n->point.p, n->point.len), n->point.len};
    wb_batch *b = s->batch;
    s->batch = NULL;
    s->txn.in_batch = false;
    wb_code code = wb_host_put(s->host, b, err);
    if (code != WB_OK) return code;
    wb_host_progress(s->host, NULL, 0, 0);
    code = my_do(&n->link, "to end the snapshot", "COMMIT", err);
    if (code == WB_OK) code = sql_fact_put(s->host, "snapshot", "done", err);
    return code == WB_OK ? WB_END : code;
}

/* The next table: under the lock those that no transaction's view covers come first. *any false: none is left. */
static wb_code choose_table(my_source *s, bool *any, wb_error *err)
{
    my_snap *n = &s->snap;
    for (size_t i = 0; i < s->cat.n; i++) {
        const my_table *t = &s->cat.tables[i];
        if (!t->wanted || n->done[i] || (n->plain_turn && t->transactional)) continue;
        n->at = i;
        *any = true;
        return begin_table(s, t, err);
    }
    *any = false;
    if (!n->plain_turn) return WB_OK;
    n->plain_turn = false;
    *any = true; /* ask again */
    return my_snap_unlock(s, err);
}

static wb_code wait_for_budget(my_source *s, int64_t until)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fd = {wb_host_fd(s->host), POLLIN, 0};
    if (left > 0 && poll(&fd, 1, (int)(left / 1000 + 1)) > 0) wb_host_fd_clear(s->host);
    return WB_AGAIN;
}

wb_code my_snap_read(my_source *s, int ms, wb_error *err)
{
    my_snap *n = &s->snap;
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (uint32_t turn = 1;; turn++) {
        if ((turn & 255) == 0 && (wb_mono_us() >= until || my_link_stopped(&n->link))) return WB_OK;
        wb_code code = WB_OK;
        if (n->row_end) {
            code = leave_table(s, err);
        } else if (n->copying) {
            code = next_row(s, err);
        } else {
            bool any;
            code = choose_table(s, &any, err);
            if (code == WB_OK && !any) code = finish(s, err);
        }
        if (code == WB_AGAIN) return wait_for_budget(s, until);
        if (code != WB_OK) return code;
    }
}
