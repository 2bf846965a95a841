/* snap_row.c: the rows of one chunk off its connection. The server's COPY writes a line a row; PQgetlineAsync is
 * libpq's one way to them that does not cost a malloc and a free each. Source thread. */
#include "pg.h"

enum { ROW_FIRST = 8 * 1024, ROW_KEEP = 1 << 20 }; /* memory of a larger one is given back */

wb_code pg_fail_rewritten(const PGresult *res, wb_error *err)
{
    wb_fail(err, WB_E_SCHEMA, WB_RECONNECT, "Table %s was truncated or rewritten while the snapshot began.",
            PQgetvalue(res, 0, 0));
    wb_hint(err, "The snapshot begins again by itself.");
    return WB_E_SCHEMA;
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
            code = pg_fail_rewritten(res, err);
        else if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK)
            code = pg_fail_result(&w->link, res, "to copy a table", err);
        PQclear(res);
        if (code != WB_OK || w->copying) return code;
    }
    *dry = true;
    return WB_OK;
}

/* All rows are read when the server says so, and of how many. */
static wb_code end_copy(pg_worker *w, wb_error *err)
{
    bool said = false;
    for (PGresult *res; (res = PQgetResult(w->link.pg));) {
        wb_code code = WB_OK;
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            code = pg_fail_result(&w->link, res, "to copy a table", err);
        else if (!said && strtoull(PQcmdTuples(res), NULL, 10) != w->rows)
            code = wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "PostgreSQL copied %s rows, but %llu of them came.",
                           PQcmdTuples(res), (unsigned long long)w->rows);
        said = true;
        PQclear(res);
        if (code != WB_OK) return code;
    }
    return said ? WB_OK : pg_fail_result(&w->link, NULL, "to copy a table", err);
}

static wb_code grow(pg_row *r, wb_error *err)
{
    size_t cap = r->cap ? r->cap * 2 : ROW_FIRST;
    char *bigger = realloc(r->p, cap);
    if (!bigger) return pg_nomem(err);
    r->p = bigger;
    r->cap = cap;
    return WB_OK;
}

/* 1: a row. 0: not all of it is there. -1: no more comes, or an error, which the result tells. -2: no memory. What does
 * not fit comes piece by piece; a raw newline is nowhere but at a row's end. */
static int get_line(pg_worker *w, pg_row *r, wb_error *err)
{
    for (r->len = 0;;) {
        if (r->len == r->cap && grow(r, err) != WB_OK) return -2;
        int n = PQgetlineAsync(w->link.pg, r->p + r->len, (int)WB_MIN(r->cap - r->len, (size_t)INT32_MAX));
        if (n <= 0) return n;
        r->len += (size_t)n;
        if (WB_LIKELY(r->len < r->cap || r->p[r->len - 1] == '\n')) return 1;
    }
}

wb_code pg_row_read(void *ctx, sql_worker *w, bool *dry, wb_error *err)
{
    pg_worker *own = w->own;
    pg_row *r = &own->held[w->row && w->row == own->held[0].p];
    WB_UNUSED(ctx);
    if (!own->copying) {
        if (!PQconsumeInput(own->link.pg)) return pg_fail_result(&own->link, NULL, "to copy a table", err);
        wb_code code = enter_copy(own, dry, err);
        if (code != WB_OK || !own->copying) return code;
    }
    int n = get_line(own, r, err);
    if (n == 0) {
        if (!PQconsumeInput(own->link.pg)) return pg_fail_result(&own->link, NULL, "to copy a table", err);
        n = get_line(own, r, err);
    }
    if (WB_LIKELY(n > 0)) {
        w->next = r->p;
        w->next_len = r->len;
        own->rows++;
        return WB_OK;
    }
    *dry = n == 0;
    if (n != -1) return n == 0 ? WB_OK : WB_E_NOMEM;
    wb_code code = end_copy(own, err);
    w->ended = code == WB_OK;
    return code;
}

void pg_row_release(sql_worker *w, char *row)
{
    pg_worker *own = w->own;
    pg_row *r = &own->held[row != own->held[0].p];
    if (WB_LIKELY(r->cap <= ROW_KEEP)) return;
    free(r->p);
    *r = (pg_row){0};
}

void pg_row_free(pg_worker *w)
{
    for (size_t i = 0; i < 2; i++) free(w->held[i].p);
}
