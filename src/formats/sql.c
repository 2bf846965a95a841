/* sql.c: the format `sql`: changes of MySQL and MariaDB as statements that make them again, or, with `undo`, that take
 * them back. One statement a line (schema changes keep their own text), so that a file of undo statements can be
 * read backwards. What cannot be exact is refused, by the name of its place in the log. For `walbrook decode`. */
#include <stdio.h>
#include <strings.h>

#include "formats/formats.h"
#include "formats/sql.h"

typedef struct sql_format {
    bool undo; /* options */

    wb_out at;  /* log and place of the transaction that was written last */
    wb_out ddl; /* its last schema change: one statement on several tables is written once */
} sql_format;

#define AT(field) offsetof(sql_format, field)
static const wb_option options[] = {
    {"undo", WB_OPT_BOOL, AT(undo), 0, "false", 0, 0, NULL, "statements that take the changes back",
     "To be run from the last line to the first; `walbrook decode --undo` turns them round.", NULL},
    {.name = NULL}};

static wb_code refuse(const sql_format *f, const wb_txn *txn, const wb_change *c, const char *why, wb_error *err)
{
    const wb_table *t = c->table;
    wb_str none = {"", 0}, schema = t ? t->source_schema : none, name = t ? t->source_name : none;
    wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The %s of %s %.*s%s%.*s at %.*s:%llu has no exact SQL to %s it: %s.",
            wb_change_type(c), name.len ? "table" : "database", (int)schema.len, schema.ptr, name.len ? "." : "",
            (int)name.len, name.ptr, (int)txn->log.len, txn->log.ptr ? txn->log.ptr : "", (unsigned long long)c->place,
            f->undo ? "undo" : "repeat", why);
    wb_hint(err, "Leave the table out (--tables), or leave out this part of the log (--start, --stop).");
    return WB_E_UNSUPPORTED;
}

/* ---------------------------------------------------------------- pieces of statements */

/* The row that is in the table before the statement runs, and the one after it. */
typedef struct rows {
    const wb_value *old, *older; /* older: where `old` says "unchanged" */
    const wb_value *new;
} rows;

static bool sent(const wb_value *v) { return v->kind != WB_ABSENT && v->kind != WB_UNCHANGED; }

static const wb_value *old_value(const rows *r, uint32_t i)
{
    if (r->old && sent(&r->old[i])) return &r->old[i];
    return r->older && sent(&r->older[i]) ? &r->older[i] : NULL;
}

/* WB_E_DATA: the images do not say which row. */
static wb_code put_where(wb_out *o, const wb_table *t, const rows *r, wb_error *err)
{
    bool key = t->nkey > 0;
    for (uint32_t k = 0; k < t->nkey; k++) key = key && old_value(r, t->key[k]);
    uint32_t n = key ? t->nkey : t->ncols;
    wb_out_z(o, " WHERE ");
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = key ? t->key[k] : k;
        const wb_value *v = old_value(r, i);
        if (!v) return WB_E_DATA;
        if (k) wb_out_z(o, " AND ");
        wb_code code = wb_sql_condition(o, &t->cols[i], v, key, err);
        if (code != WB_OK) return code;
    }
    wb_out_z(o, " LIMIT 1;");
    return WB_OK;
}

/* A value that only a lenient sql_mode takes again: such a statement has one of its own. */
static bool lenient(const wb_table *t, const wb_value *row)
{
    for (uint32_t i = 0; row && i < t->ncols; i++)
        if (wb_sql_lenient(&t->cols[i], &row[i])) return true;
    return false;
}

static wb_code put_insert(wb_out *o, const wb_table *t, const wb_value *row, wb_error *err)
{
    wb_out_z(o, "INSERT INTO ");
    wb_sql_table(o, t->source_schema, t->source_name);
    for (int values = 0; values < 2; values++) {
        wb_out_z(o, values ? ") VALUES (" : " (");
        bool first = true;
        for (uint32_t i = 0; i < t->ncols; i++) {
            if (t->cols[i].flags & WB_COL_GENERATED) continue;
            if (!sent(&row[i])) return WB_E_DATA;
            if (!first) wb_out_z(o, ", ");
            first = false;
            wb_code code = WB_OK;
            if (values)
                code = wb_sql_value(o, &t->cols[i], &row[i], err);
            else
                wb_sql_name(o, t->cols[i].source_name);
            if (code != WB_OK) return code;
        }
    }
    wb_out_z(o, ");");
    return WB_OK;
}

/* Columns that set themselves when a row is updated must be told not to. */
static bool may_set_itself(const wb_column *c) { return c->kind == WB_TIMESTAMP || c->kind == WB_TIMESTAMPTZ; }

static wb_code put_update(wb_out *o, const sql_format *f, const wb_table *t, const rows *r, wb_error *err)
{
    bool first = true;
    wb_out_z(o, "UPDATE ");
    wb_sql_table(o, t->source_schema, t->source_name);
    for (uint32_t i = 0; i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        bool known = sent(&r->new[i]);
        if (c->flags & WB_COL_GENERATED) continue;
        if (f->undo && !known && sent(&r->old[i])) return WB_E_DATA; /* changed, and nobody says from what */
        if (!known && !may_set_itself(c)) continue;
        wb_out_z(o, first ? " SET " : ", ");
        first = false;
        wb_sql_name(o, c->source_name);
        wb_out_z(o, " = ");
        wb_code code = WB_OK;
        if (known)
            code = wb_sql_value(o, c, &r->new[i], err);
        else
            wb_sql_name(o, c->source_name);
        if (code != WB_OK) return code;
    }
    return first ? WB_E_DATA : put_where(o, t, r, err);
}

static wb_code put_delete(wb_out *o, const wb_table *t, const rows *r, wb_error *err)
{
    wb_out_z(o, "DELETE FROM ");
    wb_sql_table(o, t->source_schema, t->source_name);
    return put_where(o, t, r, err);
}

/* ---------------------------------------------------------------- statements */

static const char strict[] = "SET sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';";
static const char loose[] = "SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'; ";

static wb_code put_row(const sql_format *f, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    wb_error why = {0};
    const wb_table *t = c->table;
    const wb_value *from = f->undo ? c->after : c->before, *to = f->undo ? c->before : c->after;
    rows r = {from, f->undo && c->op == WB_UPDATE ? c->before : NULL, to};
    wb_code code = WB_E_DATA;
    bool own_mode = lenient(t, to);
    if (own_mode) wb_out_z(o, loose);
    bool insert = c->op == (f->undo ? WB_DELETE : WB_INSERT), delete = c->op == (f->undo ? WB_INSERT : WB_DELETE);
    if (insert && to)
        code = put_insert(o, t, to, &why);
    else if (delete &&from)
        code = put_delete(o, t, &r, &why);
    else if (c->op == WB_UPDATE && from && to)
        code = put_update(o, f, t, &r, &why);
    if (own_mode) {
        wb_out_byte(o, ' ');
        wb_out_z(o, strict);
    }
    if (code == WB_E_NOMEM) {
        *err = why;
        return code;
    }
    if (code == WB_OK) return code;
    return refuse(f, txn, c,
                  why.code ? why.message : "the log does not hold the whole row (binlog_row_image is not FULL)", err);
}

/* MySQL logs CREATE TABLE ... SELECT as a CREATE TABLE that only its own replication may run. */
static wb_str without_tail(wb_str sql)
{
    static const char tail[] = "START TRANSACTION";
    size_t n = sizeof tail - 1;
    if (sql.len > n && strncasecmp(sql.ptr + sql.len - n, tail, n) == 0) sql.len -= n;
    return sql;
}

static wb_code put_ddl(sql_format *f, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    wb_str sql = c->ddl ? c->ddl->sql : (wb_str){NULL, 0}, schema = c->ddl ? c->ddl->schema : (wb_str){NULL, 0};
    uint8_t flags = c->ddl ? c->ddl->flags : 0;
    if (flags & WB_DDL_PART) return WB_OK;
    if (f->undo) return refuse(f, txn, c, "a schema change cannot be taken back from the log", err);
    if (flags & WB_DDL_WIDER) return refuse(f, txn, c, "it drops tables, too, that were not asked for", err);
    if (!sql.len) return refuse(f, txn, c, "the log does not hold its text", err);
    if (f->ddl.len == sql.len && memcmp(f->ddl.p, sql.ptr, sql.len) == 0) return WB_OK; /* its next table */
    wb_out_reset(&f->ddl);
    wb_out_str(&f->ddl, sql);
    if (schema.len) {
        wb_out_z(o, "USE ");
        wb_sql_name(o, schema);
        wb_out_z(o, ";\n");
    }
    wb_out_str(o, without_tail(sql));
    wb_out_z(o, "\n;"); /* on a line of its own: the text may end with a comment */
    return WB_OK;
}

/* "COMMIT; BEGIN; -- binlog.000002:1234 …" where another transaction begins. Read backwards it ends the same one. */
static void put_boundary(sql_format *f, const wb_txn *txn, wb_out *o)
{
    bool first = f->at.len == 0;
    wb_str at = {txn->at.ptr, txn->at.len};
    if (!first && f->at.len == at.len + 1 && (!at.len || memcmp(f->at.p, at.ptr, at.len) == 0)) return;
    wb_out_reset(&f->at);
    wb_out_str(&f->at, at);
    wb_out_byte(&f->at, 0);
    wb_out_reset(&f->ddl);
    wb_out_z(o, !first ? "COMMIT; BEGIN; -- " : f->undo ? "COMMIT; -- " : "BEGIN; -- ");
    wb_out_str(o, txn->log);
    if (txn->global_id.len) {
        wb_out_byte(o, ' ');
        wb_out_str(o, txn->global_id);
    }
    wb_value when = {.kind = WB_TIMESTAMPTZ, .as.i = txn->commit_us};
    char text[48];
    size_t n = (size_t)(wb_json_put_time(text, &when) - text);
    wb_out_byte(o, ' ');
    wb_out_put(o, text + 1, n - 2);
    wb_out_byte(o, '\n');
}

static wb_code sql_row(void *ctx, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    sql_format *f = ctx;
    size_t start = o->len;
    wb_code code = WB_OK;
    put_boundary(f, txn, o);
    if (c->op == WB_INSERT || c->op == WB_UPDATE || c->op == WB_DELETE) {
        code = put_row(f, txn, c, o, err);
    } else if (c->op == WB_DDL) {
        code = put_ddl(f, txn, c, o, err);
    } else if (c->op == WB_TRUNCATE && !f->undo) {
        wb_out_z(o, "TRUNCATE TABLE ");
        wb_sql_table(o, c->table->source_schema, c->table->source_name);
        wb_out_byte(o, ';');
    } else {
        code =
            refuse(f, txn, c, c->op == WB_TRUNCATE ? "the rows are not in the log" : "it is no change of a row", err);
    }
    if (code == WB_OK && (o->failed || f->at.failed || f->ddl.failed))
        code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a change in the format sql.");
    if (code != WB_OK) o->len = start;
    while (o->len > start && o->p[o->len - 1] == '\n') o->len--; /* whoever writes lines ends them */
    return code;
}

static void sql_close(void *ctx)
{
    sql_format *f = ctx;
    wb_out_fini(&f->at);
    wb_out_fini(&f->ddl);
}

const wb_format wb_format_sql = {
    .head = {.kind = WB_FORMAT,
             .name = "sql",
             .brief = "statements that repeat, or undo, changes of MySQL and MariaDB",
             .options = options,
             .ctx_size = sizeof(sql_format)},
    .row = sql_row,
    .close = sql_close,
};
