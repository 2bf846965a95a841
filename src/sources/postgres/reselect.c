/* reselect.c: `reselect: true`: values that an UPDATE did not send because they are stored out of line and stayed are
 * read from the table, by key, before the batch is handed over: one query a table and batch. What is read is what the
 * table holds now, so it may be newer than the change; it is marked. A row that is gone by now keeps its gaps.
 * Source thread; message.c notes the rows, pg_batch_put fills them. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

enum { MOST_ROWS = 256, FIRST_ROWS = 16, QUERY_BYTES = 4 << 20, WAIT_US = 3000000, STEP_US = 2000 };

bool pg_reselect_note(pg_source *s)
{
    pg_reselect *r = &s->reselecting;
    const wb_change *c = wb_batch_last_change(s->batch);
    if (!c || c->op != WB_UPDATE || !c->after || !c->table->nkey) return true;
    uint32_t i = 0;
    while (i < c->table->ncols && c->after[i].kind != WB_UNCHANGED) i++;
    if (i == c->table->ncols) return true;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        pg_reselect_row *all = realloc(r->rows, cap * sizeof *all);
        if (!all) return false;
        r->rows = all;
        r->cap = cap;
    }
    r->rows[r->n++] = (pg_reselect_row){.change = wb_batch_count(s->batch) - 1, .xid = s->txn.xid};
    return true;
}

bool pg_reselect_due(const pg_source *s)
{
    return s->reselecting.n >= (s->reselecting.limit ? s->reselecting.limit : FIRST_ROWS);
}

/* ---------------------------------------------------------------- the transactions are seen by other sessions */

static bool same_xid_before(const pg_reselect *r, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (r->rows[k].xid == r->rows[i].xid) return true;
    return false;
}

/* A commit is in the log a moment before other sessions see it; a row read too early would be older than the change. */
static wb_code await_visible(pg_source *s, bool *seen, wb_error *err)
{
    wb_out sql = {0};
    wb_code code = WB_OK;
    wb_out_z(&sql, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock'"
                   " AND transactionid = ANY ('{");
    for (size_t i = 0, n = 0; i < s->reselecting.n; i++)
        if (!same_xid_before(&s->reselecting, i))
            wb_out_printf(&sql, "%s%u", n++ ? "," : "", s->reselecting.rows[i].xid);
    wb_out_z(&sql, "}'::xid[]))");
    *seen = false;
    for (int64_t since = wb_mono_us(); code == WB_OK && !*seen && wb_mono_us() - since < WAIT_US;) {
        PGresult *res;
        if (pg_stopped(s, s->host)) code = pg_fail_stopped(err);
        if (code == WB_OK) code = pg_query(&s->side, "whether transactions are over", wb_out_cstr(&sql), &res, err);
        if (code != WB_OK) break;
        *seen = PQgetvalue(res, 0, 0)[0] == 'f';
        PQclear(res);
        if (!*seen) wb_sleep_us(STEP_US);
    }
    wb_out_fini(&sql);
    return code;
}

/* ---------------------------------------------------------------- one query: the rows of one table */

typedef struct query {
    pg_source *s;
    const wb_table *t;
    wb_change **changes;
    size_t n;
    wb_out sql, keys[32]; /* an array literal a key column */
    uint32_t cols[1664];  /* what is asked for */
    uint32_t ncols;
} query;

/* The key after the change. */
static const wb_value *key_of(const wb_change *c, uint32_t col)
{
    const wb_value *v = &c->after[col];
    if (v->kind <= WB_UNCHANGED && c->before) v = &c->before[col];
    return (v->flags & WB_V_TEXT) && v->kind > WB_NULL ? v : NULL;
}

static bool key_known(const wb_change *c)
{
    for (uint32_t k = 0; k < c->table->nkey; k++)
        if (!key_of(c, c->table->key[k])) return false;
    return true;
}

static void put_element(wb_out *o, const wb_value *v)
{
    wb_out_byte(o, o->len ? ',' : '{');
    wb_out_byte(o, '"');
    for (uint32_t i = 0; i < v->len; i++) {
        if (v->as.ptr[i] == '"' || v->as.ptr[i] == '\\') wb_out_byte(o, '\\');
        wb_out_byte(o, v->as.ptr[i]);
    }
    wb_out_byte(o, '"');
}

static void find_columns(query *q)
{
    q->ncols = 0;
    for (uint32_t i = 0; i < q->t->ncols && i < WB_COUNT(q->cols); i++) {
        bool wanted = false;
        for (size_t k = 0; k < q->n && !wanted; k++) wanted = q->changes[k]->after[i].kind == WB_UNCHANGED;
        if (wanted) q->cols[q->ncols++] = i;
    }
}

/* Names as they were in the log; by now the table may have others, then nothing is found. */
static void write_query(query *q)
{
    const wb_table *t = q->t;
    wb_out *o = &q->sql;
    wb_out_z(o, "SELECT u.n");
    for (uint32_t i = 0; i < q->ncols; i++) {
        wb_out_z(o, ", t.");
        pg_put_ident(o, t->cols[q->cols[i]].name);
    }
    wb_out_z(o, " FROM unnest(");
    for (uint32_t k = 0; k < t->nkey; k++) wb_out_printf(o, "%s$%u::text[]", k ? ", " : "", k + 1);
    wb_out_z(o, ") WITH ORDINALITY AS u(");
    for (uint32_t k = 0; k < t->nkey; k++) wb_out_printf(o, "k%u, ", k);
    wb_out_z(o, t->flags & WB_TABLE_PARTITIONED ? "n) JOIN " : "n) JOIN ONLY ");
    pg_put_ident(o, t->schema);
    wb_out_byte(o, '.');
    pg_put_ident(o, t->name);
    wb_out_z(o, " AS t ON ");
    for (uint32_t k = 0; k < t->nkey; k++) {
        const wb_column *c = &t->cols[t->key[k]];
        wb_out_z(o, k ? " AND t." : "t.");
        pg_put_ident(o, c->name);
        wb_out_printf(o, " = u.k%u::", k);
        wb_out_str(o, c->type);
    }
    for (size_t i = 0; i < q->n; i++)
        for (uint32_t k = 0; k < t->nkey; k++) put_element(&q->keys[k], key_of(q->changes[i], t->key[k]));
    for (uint32_t k = 0; k < t->nkey; k++) wb_out_byte(&q->keys[k], '}');
}

static wb_value *mutable(const wb_value *v)
{
    union {
        const wb_value *in;
        wb_value *out;
    } u = {v};
    return u.out;
}

static wb_code fill(query *q, const PGresult *res, size_t *bytes, wb_error *err)
{
    for (int row = 0; row < PQntuples(res); row++) {
        unsigned long at = strtoul(PQgetvalue(res, row, 0), NULL, 10);
        if (at < 1 || at > q->n) continue;
        wb_change *c = q->changes[at - 1];
        for (uint32_t i = 0; i < q->ncols; i++) {
            wb_value *v = mutable(&c->after[q->cols[i]]);
            if (v->kind != WB_UNCHANGED) continue;
            size_t len = (size_t)PQgetlength(res, row, (int)i + 1);
            const char *copy = wb_batch_copy(q->s->batch, PQgetvalue(res, row, (int)i + 1), len);
            if (wb_batch_failed(q->s->batch)) return pg_nomem(err);
            *v = PQgetisnull(res, row, (int)i + 1)
                     ? (wb_value){.kind = WB_NULL}
                     : pg_value_of_text((wb_kind)q->t->cols[q->cols[i]].kind, copy, (uint32_t)len);
            v->flags |= WB_V_RESELECTED;
            c->flags |= WB_C_RESELECTED;
            *bytes += len;
        }
    }
    return WB_OK;
}

static void keep_connected(void *arg, int64_t waited_us)
{
    wb_error ignored;
    wb_error_reset(&ignored);
    WB_UNUSED(waited_us);
    (void)!pg_status_send(arg, false, &ignored);
}

static wb_code run_query(query *q, size_t *bytes, wb_error *err)
{
    const char *values[WB_COUNT(q->keys)];
    bool failed = false;
    for (uint32_t k = 0; k < q->t->nkey; k++) {
        values[k] = wb_out_cstr(&q->keys[k]);
        failed |= !values[k];
    }
    if (failed) return pg_nomem(err);
    wb_error own;
    wb_error_reset(&own);
    PGresult *res = NULL;
    pg_call call = {.why = "to read values that did not change",
                    .n = (int)q->t->nkey,
                    .values = values,
                    .tick = keep_connected,
                    .arg = q->s};
    wb_code code = pg_run(&q->s->side, &call, wb_out_cstr(&q->sql), &res, &own);
    if (code == WB_OK) code = fill(q, res, bytes, &own);
    PQclear(res);
    if (code == WB_E_SERVER && strncmp(own.native, "42", 2) == 0) { /* the table or the column is another by now */
        wb_host_log(q->s->host, WB_LOG_DEBUG, "unchanged values of %s.%s stay unknown: %s", q->t->schema.ptr,
                    q->t->name.ptr, own.message);
        return WB_OK;
    }
    if (code != WB_OK && err) *err = own;
    return code;
}

static wb_code read_table(query *q, size_t *bytes, wb_error *err)
{
    if (q->t->nkey > WB_COUNT(q->keys)) return WB_OK; /* PostgreSQL's limit */
    find_columns(q);
    write_query(q);
    wb_code code = run_query(q, bytes, err);
    wb_out_fini(&q->sql);
    for (size_t k = 0; k < WB_COUNT(q->keys); k++) wb_out_fini(&q->keys[k]);
    return code;
}

/* ---------------------------------------------------------------- the batch */

static wb_code read_all(pg_source *s, query *q, size_t *bytes, wb_error *err)
{
    pg_reselect *r = &s->reselecting;
    wb_code code = WB_OK;
    for (size_t i = 0; i < r->n && code == WB_OK; i++) {
        wb_change *first = wb_batch_at(s->batch, r->rows[i].change);
        if (!first || r->rows[i].done) continue;
        q->t = first->table;
        q->n = 0;
        for (size_t k = i; k < r->n; k++) {
            wb_change *c = wb_batch_at(s->batch, r->rows[k].change);
            if (!c || c->table != q->t) continue;
            r->rows[k].done = true;
            if (key_known(c)) q->changes[q->n++] = c;
        }
        if (q->n) code = read_table(q, bytes, err);
    }
    return code;
}

wb_code pg_reselect_batch(pg_source *s, wb_error *err)
{
    pg_reselect *r = &s->reselecting;
    if (!r->n) return WB_OK;
    query *q = calloc(1, sizeof *q);
    size_t bytes = 0;
    bool seen = false;
    if (q) q->changes = calloc(r->n, sizeof(wb_change *));
    wb_code code = q && q->changes ? pg_side(s, err) : pg_nomem(err);
    if (code == WB_OK) code = await_visible(s, &seen, err);
    if (code == WB_OK && !seen)
        wb_host_log(s->host, WB_LOG_WARN,
                    "values that did not change stay unknown: other sessions cannot see the transaction yet (a "
                    "synchronous standby that does not answer?)");
    if (code == WB_OK && seen) {
        q->s = s;
        code = read_all(s, q, &bytes, err);
        size_t each = bytes / r->n + 1; /* so many that the next query brings some MB */
        r->limit = WB_MIN(WB_MAX(QUERY_BYTES / each, (size_t)1), (size_t)MOST_ROWS);
    }
    r->n = 0;
    if (q) free(q->changes);
    free(q);
    return code;
}
