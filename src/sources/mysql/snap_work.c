/* snap_work.c: one SELECT a chunk, on connections that share a view, and rows into batches: the functions that
 * sources/sql/copy.h works with. Rows are taken as packets, as the server sent them. Source thread. */
#include "my.h"
#include "wire.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

enum { ROOM = 64 * 1024, BIG_ROW = 200 * 1024, ROW_CAP = 1024, ROW_KEPT = 1 << 20, EOF_MAX = 0xffffff };

/* ---------------------------------------------------------------- a connection */

static my_row *row_of(char *bytes) { return (my_row *)(void *)(bytes - offsetof(my_row, bytes)); }

static void release_row(sql_worker *w, char *row)
{
    my_worker *own = w->own;
    my_row *m = row_of(row);
    for (size_t i = 0; i < WB_COUNT(own->spare) && m->cap <= ROW_KEPT; i++) {
        if (own->spare[i]) continue;
        own->spare[i] = m;
        return;
    }
    free(m);
}

static my_row *row_for(my_worker *own, size_t len)
{
    my_row *m = NULL;
    for (size_t i = 0; i < WB_COUNT(own->spare) && !m; i++) {
        m = own->spare[i];
        own->spare[i] = NULL;
    }
    if (m && m->cap >= len) return m;
    free(m);
    size_t cap = WB_MAX(len + len / 4, (size_t)ROW_CAP);
    m = malloc(sizeof *m + cap);
    if (m) m->cap = cap;
    return m;
}

void my_worker_close(my_worker *w)
{
    if (w->res || w->sent) { /* the rest of the rows is not fetched */
        w->link.broken = true;
        (void)shutdown(my_link_fd(&w->link), SHUT_RDWR);
        if (w->res) mysql_free_result(w->res);
    }
    my_link_close(&w->link);
    for (size_t i = 0; i < WB_COUNT(w->spare); i++) free(w->spare[i]);
    memset(w, 0, sizeof *w);
}

static int worker_fd(const sql_worker *w)
{
    const my_worker *own = w->own;
    return my_link_fd(&own->link);
}

/* ---------------------------------------------------------------- a chunk */

static void put_verbatim(wb_out *o, wb_str text) { wb_out_str(o, text); }

/* Bounds are kept as SQL writes them: snap_split.c. */
const sql_dialect my_dialect = {my_put_ident, put_verbatim, true};

static wb_code start_chunk(void *ctx, sql_worker *w, sql_job *j, size_t chunk, wb_error *err)
{
    my_worker *own = w->own;
    const sql_copy_table *ct = j->own;
    const sql_chunk *c = &j->chunks[chunk];
    wb_out sql = {0};
    WB_UNUSED(ctx);
    wb_out_z(&sql, ct->select);
    if (c->low.len || c->high.len) {
        wb_out_z(&sql, " FORCE INDEX (");
        my_put_ident(&sql, ct->index);
        wb_out_byte(&sql, ')');
    }
    wb_out_z(&sql, " WHERE ");
    size_t before = sql.len;
    sql_put_range(&sql, &my_dialect, ct->key, ct->nkey, c);
    if (sql.len > before && ct->where) wb_out_z(&sql, " AND ");
    if (ct->where) wb_out_z(&sql, ct->where);
    if (sql.len == before) sql.len -= sizeof " WHERE " - 1;
    wb_code code = sql.failed ? my_nomem(err) : WB_OK;
    if (code == WB_OK && mysql_send_query(own->link.my, sql.p, sql.len) != 0)
        code = my_fail(&own->link, "to copy a table", err);
    wb_out_fini(&sql);
    own->sent = code == WB_OK;
    return code;
}

static bool has_input(const my_worker *own)
{
    struct pollfd fd = {my_link_fd(&own->link), POLLIN, 0};
    return my_link_buffered(&own->link) || poll(&fd, 1, 0) > 0;
}

static wb_code enter_rows(my_worker *own, wb_error *err)
{
    if (mysql_read_query_result(own->link.my) != 0) return my_fail(&own->link, "to copy a table", err);
    own->sent = false;
    own->res = mysql_use_result(own->link.my);
    return own->res ? WB_OK : my_fail(&own->link, "to copy a table", err);
}

/* The library's own reader of rows would do this at their end. */
static void end_rows(my_worker *own)
{
    own->link.my->status = MYSQL_STATUS_READY;
    mysql_free_result(own->res);
    own->res = NULL;
}

static wb_code read_row(void *ctx, sql_worker *w, bool *dry, wb_error *err)
{
    my_worker *own = w->own;
    WB_UNUSED(ctx);
    if (!has_input(own)) {
        *dry = true;
        return WB_OK;
    }
    if (own->sent) return enter_rows(own, err);
    unsigned long len = mysql_net_read_packet(own->link.my);
    if (len >= UINT32_MAX || len == 0) return my_fail(&own->link, "for the rows of a table", err);
    const uint8_t *p = own->link.my->net.read_pos;
    if (p[0] == 0xFE && len < EOF_MAX) {
        end_rows(own);
        w->ended = true;
        return WB_OK;
    }
    my_row *m = row_for(own, len);
    if (!m) return my_nomem(err);
    memcpy(m->bytes, p, len);
    w->next = m->bytes;
    w->next_len = len;
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static wb_code bad_row(const wb_table *t, wb_error *err)
{
    return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server sent a row of %s.%s that is damaged.", t->schema.ptr,
                   t->name.ptr);
}

static wb_code put_row(void *ctx, const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err)
{
    const my_source *s = ctx;
    const my_policy policy = {(my_zero_dates)s->zero_dates, (my_bad_text)s->bad_text};
    wb_value *v = wb_batch_values(b, t->ncols);
    wb_rd r = wb_rd_of(p, n);
    if (!v) return my_nomem(err);
    for (uint32_t i = 0; i < t->ncols; i++) {
        if (r.p < r.end && *r.p == 0xFB) {
            r.p++;
            v[i].kind = WB_NULL;
            continue;
        }
        wb_str field = my_rd_lenenc_str(&r);
        if (r.failed) return bad_row(t, err);
        wb_code code = my_value_of_text(t, i, field.ptr, field.len, &policy, b, &v[i], err);
        if (code != WB_OK) return code;
    }
    if (r.p != r.end) return bad_row(t, err);
    wb_batch_table(b, t);
    wb_change *c = wb_batch_change(b);
    c->op = WB_READ;
    c->table = t;
    c->after = v;
    return WB_OK;
}

static size_t room_for_row(const wb_table *t, size_t len)
{
    return len > BIG_ROW ? 3 * len + ROOM + 32 * (size_t)t->ncols : 0;
}

/* ---------------------------------------------------------------- turns */

static wb_code begin_piece(void *ctx, wb_batch *b, wb_txn *t, wb_error *err)
{
    const my_source *s = ctx;
    size_t len = strlen(s->snap.to.log);
    WB_UNUSED(err);
    if (len) t->log = (wb_str){wb_batch_copy(b, s->snap.to.log, len), len};
    if (s->server.flavor == MY_MARIADB) t->flags |= WB_TXN_MARIADB;
    return WB_OK;
}

static wb_code turn_position(void *ctx, uint64_t seq, wb_batch *b, wb_pos *out, wb_error *err)
{
    my_source *s = ctx;
    wb_out o = {0};
    bool fine = my_pos_turn(&o, (wb_pos){s->snap.point.p, s->snap.point.len}, seq);
    *out = (wb_pos){fine ? wb_batch_copy(b, o.p, o.len) : NULL, o.len};
    wb_out_fini(&o);
    return out->ptr ? WB_OK : my_nomem(err);
}

/* Is a table that no view covers still to be read? */
static bool plain_is_left(const my_source *s)
{
    const sql_copy *c = &s->snap.copy;
    for (size_t i = 0; i < c->ledger.n; i++) {
        const sql_job *j = c->ledger.jobs[i];
        const sql_copy_table *ct = j->own;
        if (!ct || !ct->plain) continue;
        if (j->open) return true;
        for (size_t k = 0; k < j->n; k++)
            if (!j->chunks[k].taken && sql_chunk_lacks(j, &j->chunks[k], c->running)) return true;
    }
    return false;
}

static wb_code stay_alive(void *ctx, wb_error *err)
{
    my_source *s = ctx;
    return WB_UNLIKELY(s->snap.locked) && !plain_is_left(s) ? my_view_unlock(s, err) : WB_OK;
}

/* Under the lock those that no view covers come first. */
static bool is_ready(void *ctx, const sql_job *j, const sql_worker *w)
{
    const my_source *s = ctx;
    const sql_copy_table *ct = j->own;
    bool here = !w || !ct->reader || w == &s->snap.copy.workers[ct->reader - 1];
    return here && (!s->snap.locked || ct->plain);
}

static bool is_stopped(void *ctx)
{
    const my_source *s = ctx;
    return my_link_stopped(&s->side);
}

static bool put_value(const wb_value *v, wb_out *o)
{
    bool text = (v->flags & WB_V_TEXT) != 0;
    switch ((wb_kind)v->kind) {
    case WB_INT: wb_out_printf(o, "%lld", (long long)v->as.i); return !text;
    case WB_UINT: wb_out_printf(o, "%llu", (unsigned long long)v->as.u); return !text;
    case WB_DECIMAL: wb_out_put(o, v->as.ptr, v->len); return text;
    case WB_TEXT:
    case WB_UUID:
    case WB_DATE:
    case WB_TIMESTAMP: my_put_literal(o, (wb_str){v->as.ptr, v->len}); return text;
    case WB_BYTES:
        wb_out_z(o, "X'");
        for (uint32_t i = 0; i < v->len; i++) wb_out_printf(o, "%02X", (unsigned char)v->as.ptr[i]);
        wb_out_byte(o, '\'');
        return true;
    default: return false;
    }
}

static bool put_key(const wb_change *c, wb_out *out)
{
    wb_out one = {0};
    bool fine = c->table->nkey > 0;
    for (uint32_t k = 0; k < c->table->nkey && fine; k++) {
        wb_out_reset(&one);
        fine = put_value(&c->after[c->table->key[k]], &one) && !one.failed;
        sql_tuple_put(out, (wb_str){one.p, one.len});
    }
    wb_out_fini(&one);
    return fine && !out->failed;
}

static uint64_t id_of(const wb_table *t) { return my_table_id(t->source_schema, t->source_name); }

const sql_copy_ops my_snap_ops = {.piece = begin_piece,
                                  .position = turn_position,
                                  .seq = my_pos_seq,
                                  .start = start_chunk,
                                  .read = read_row,
                                  .release = release_row,
                                  .fd = worker_fd,
                                  .row = put_row,
                                  .room = room_for_row,
                                  .alive = stay_alive,
                                  .stopped = is_stopped,
                                  .ready = is_ready,
                                  .key = put_key,
                                  .id = id_of};

/* ---------------------------------------------------------------- rounds */

wb_code my_snap_begin_turns(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    bool seen = true;
    wb_code code = my_batch_put(s, err); /* what the stream brought before the place */
    if (code == WB_OK && s->streaming) code = my_snap_look(s, &seen, err);
    if (code != WB_OK || !seen) return code;
    if (s->batch) wb_host_drop(s->host, s->batch);
    s->batch = NULL;
    s->txn = (my_txn){.active = false};
    s->slot_free = false;
    if (s->streaming) { /* all before it was handed over */
        wb_pos here = my_here(s);
        if (!here.len) return my_nomem(err);
        wb_out_reset(&n->point);
        wb_out_put(&n->point, here.ptr, here.len);
        if (n->point.failed) return my_nomem(err);
    }
    n->copy.place = n->to.offset;
    sql_copy_begin(&n->copy, s->streaming);
    return WB_OK;
}

wb_code my_snap_turns(my_source *s, int ms, wb_error *err)
{
    wb_code code = sql_copy_turns(&s->snap.copy, ms, err);
    if (code != WB_END) return code;
    my_view_close(s);
    code = sql_copy_over(&s->snap.copy, err);
    s->heard_us = wb_mono_us();
    if (code != WB_OK || s->streaming || s->snap.copy.only) return code;
    return my_stream_start(s, (wb_pos){s->start.p, s->start.len}, err);
}

void my_snap_close(my_source *s)
{
    my_view_close(s);
    wb_out_fini(&s->snap.point);
    my_snap_forget_shapes(s);
    sql_copy_fini(&s->snap.copy);
    memset(&s->snap, 0, sizeof s->snap);
}
