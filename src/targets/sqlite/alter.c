/* alter.c: the DDL behind schema.c: make, alter, rebuild and rename mirror tables. SQLite's DDL is transactional: it
 * happens together with the rows that need it, or not at all. */
#include <stdio.h>
#include <strings.h>

#include "targets/sqlite/sqlite_target.h"

const char *sq_class_name(sq_class c)
{
    static const char *const names[] = {"INTEGER", "REAL", "TEXT", "BLOB"};
    return names[c];
}

/* Only int2, int4 and int8 keys become the rowid itself. */
static bool is_rowid(const sq_diff *d)
{
    const wb_column *c;
    if (d->table->nkey != 1) return false;
    c = d->pairs[d->table->key[0]].col;
    return c->kind == WB_INT && d->pairs[d->table->key[0]].cls == SQ_INTEGER;
}

static bool is_kept(const sq_known_column *o) { return !o->matched && o->mirror; }

static void put_create(wb_out *o, const char *q, const sq_diff *d)
{
    bool rowid = is_rowid(d);
    wb_out_printf(o, "CREATE TABLE %s (", q);
    for (size_t i = 0; i < d->n; i++) {
        const sq_pair *p = &d->pairs[i];
        wb_out_printf(o, "%s%s %s", i ? ", " : "", sq_quote(d->arena, p->final), sq_class_name(p->cls));
        if (p->key_position) wb_out_z(o, rowid ? " PRIMARY KEY" : " NOT NULL");
    }
    for (size_t i = 0; i < d->known->n; i++) {
        const sq_known_column *k = &d->known->cols[i];
        if (is_kept(k)) wb_out_printf(o, ", %s %s", sq_quote(d->arena, k->mirror), sq_class_name(k->cls));
    }
    if (d->table->nkey && !rowid) {
        wb_out_z(o, ", PRIMARY KEY (");
        for (uint32_t j = 0; j < d->table->nkey; j++)
            wb_out_printf(o, "%s%s", j ? ", " : "", sq_quote(d->arena, d->pairs[d->table->key[j]].final));
        wb_out_z(o, ")) WITHOUT ROWID");
    } else {
        wb_out_byte(o, ')');
    }
}

static wb_code no_columns(const sq_diff *d, wb_error *err)
{
    wb_code code = wb_fail(err, WB_E_SCHEMA, WB_NEVER, "table %s.%s has no columns; SQLite has no such tables",
                           d->table->schema.ptr, d->table->name.ptr);
    wb_hint(err, "Leave it out with `tables:`.");
    return code;
}

wb_code sq_create(sq_target *s, const char *mirror, const sq_diff *d, wb_error *err)
{
    if (!d->n) return no_columns(d, err);
    wb_out_reset(&s->sql);
    put_create(&s->sql, sq_quote(d->arena, mirror), d);
    return sq_exec_out(s, err);
}

/* As old versions of SQLite did it: without looking at views and triggers. */
static void look_away(sq_target *s, bool yes)
{
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, yes, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, yes, NULL);
}

/* An ALTER fails when a view of the user's is broken anywhere in the file: then it is done without looking at views,
 * and without what SQLite checks otherwise: for no other reason. */
static wb_code exec_alter(sq_target *s, wb_error *err)
{
    wb_error first = {0};
    wb_code code;
    wb_out_byte(&s->sql, 0);
    code = sq_exec(s, &first, s->sql.failed ? "" : s->sql.p);
    bool user = strstr(first.message, "error in view ") || strstr(first.message, "error in trigger ");
    if (code == WB_E_SERVER && user && !sqlite3_get_autocommit(s->db)) {
        look_away(s, true);
        code = sq_exec(s, NULL, s->sql.p);
        look_away(s, false);
    }
    if (code && err) *err = first;
    return code ? first.code : WB_OK;
}

wb_code sq_rename_table(sq_target *s, const char *from, const char *to, wb_error *err)
{
    wb_arena a;
    wb_code code;
    wb_arena_init(&a, 512, 0);
    wb_out_reset(&s->sql);
    if (strcasecmp(from, to) == 0) {
        wb_out_printf(&s->sql, "ALTER TABLE %s RENAME TO _walbrook_rename;ALTER TABLE _walbrook_rename RENAME TO %s",
                      sq_quote(&a, from), sq_quote(&a, to));
    } else {
        wb_out_printf(&s->sql, "ALTER TABLE %s RENAME TO %s", sq_quote(&a, from), sq_quote(&a, to));
    }
    code = exec_alter(s, err);
    wb_arena_fini(&a);
    return code;
}

static wb_code has_rows(sq_target *s, const char *q, bool *yes, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code;
    int rc;
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "SELECT 1 FROM %s LIMIT 1", q);
    wb_out_byte(&s->sql, 0);
    code = sq_prepare(s, s->sql.p, &st, err);
    if (code) return code;
    rc = sqlite3_step(st);
    *yes = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) code = sq_fail(s, rc, err, "reading %s", q);
    sqlite3_finalize(st);
    return code;
}

static bool default_unknown(const sq_pair *p)
{
    return !p->old && !(p->col->flags & (WB_COL_DEFAULT_KNOWN | WB_COL_ADDED));
}
static bool default_value(const sq_pair *p)
{
    return !p->old && (p->col->flags & WB_COL_DEFAULT_KNOWN) && p->col->missing.kind >= WB_BOOL;
}

static void note_unknown_default(sq_diff *d, const sq_pair *p)
{
    wb_out_printf(&d->reason, "%scolumn %s was added, and what older rows have in it is not known",
                  d->reason.len ? "; " : "", p->col->name.ptr);
}

/* ---------------------------------------------------------------- alter in place */

/* The default as a literal of SQL, exactly; for REAL there is none: SQLite's own parser may be off by one bit. */
static wb_code put_default(sq_target *s, const sq_pair *p, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(s, "SELECT quote(?1)", &st, err);
    int rc;
    if (code) return code;
    rc = sq_bind(s, st, 1, &p->col->missing, p->cls);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        wb_out_printf(&s->sql, " DEFAULT %s", (const char *)sqlite3_column_text(st, 0));
    else
        code = sq_fail(s, rc, err, "reading the default of column %s", p->col->name.ptr);
    sqlite3_finalize(st);
    return code;
}

static wb_code fill_column(sq_target *s, const sq_pair *p, const char *q, wb_arena *a, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code;
    int rc;
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "UPDATE %s SET %s = ?1", q, sq_quote(a, p->final));
    wb_out_byte(&s->sql, 0);
    code = sq_prepare(s, s->sql.p, &st, err);
    if (code) return code;
    rc = sq_bind(s, st, 1, &p->col->missing, p->cls);
    code = rc == SQLITE_OK ? sq_run(s, st, err, "filling a new column")
                           : sq_fail(s, rc, err, "filling column %s", p->final);
    sqlite3_finalize(st);
    return code;
}

static wb_code add_column(sq_target *s, sq_diff *d, const sq_pair *p, const char *q, bool rows, wb_error *err)
{
    bool literal = default_value(p) && p->cls != SQ_REAL;
    wb_code code = WB_OK;
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "ALTER TABLE %s ADD COLUMN %s %s", q, sq_quote(d->arena, p->final), sq_class_name(p->cls));
    if (literal) code = put_default(s, p, err);
    if (!code) code = exec_alter(s, err);
    if (!code && default_value(p) && !literal && rows) code = fill_column(s, p, q, d->arena, err);
    if (!code && rows && default_unknown(p)) note_unknown_default(d, p);
    return code;
}

static wb_code drop_column(sq_target *s, sq_diff *d, sq_known_column *o, const char *q, wb_error *err)
{
    wb_error why = {0};
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "ALTER TABLE %s DROP COLUMN %s", q, sq_quote(d->arena, o->mirror));
    if (exec_alter(s, &why) == WB_OK) {
        o->mirror = NULL;
        return WB_OK;
    }
    if (sqlite3_get_autocommit(s->db)) {
        if (err) *err = why;
        return why.code;
    }
    wb_host_log(s->host, WB_LOG_WARN, "column %s of table %s stays although the source dropped it: %s", o->mirror,
                d->known->mirror, why.message);
    return WB_OK;
}

typedef struct rename_step {
    const char *from, *to;
} rename_step;

static bool in_use(const sq_diff *d, const char *name, const rename_step *r, size_t n)
{
    for (size_t i = 0; i < d->known->n; i++) {
        if (d->known->cols[i].mirror && strcasecmp(d->known->cols[i].mirror, name) == 0) return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(r[i].to, name) == 0) return true;
    }
    return false;
}

static wb_code rename_column(sq_target *s, sq_diff *d, const char *q, const char *from, const char *to, wb_error *err)
{
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "ALTER TABLE %s RENAME COLUMN %s TO %s", q, sq_quote(d->arena, from),
                  sq_quote(d->arena, to));
    return exec_alter(s, err);
}

/* A dropped column that is kept gives its name to a column that wants it. One that is dropped and made again more than
 * once leaves several. */
static const char *kept_name(const sq_diff *d, const sq_known_column *o, size_t at)
{
    bool wanted = false;
    for (size_t i = 0; i < d->n && !wanted; i++) wanted = strcasecmp(d->pairs[i].final, o->mirror) == 0;
    if (!wanted) return o->mirror;
    for (size_t k = at + 1;; k++) {
        const char *name = wb_arena_printf(d->arena, "%s_dropped_%zu", o->mirror, k);
        bool taken = in_use(d, name, NULL, 0);
        for (size_t i = 0; i < d->n && !taken; i++) taken = strcasecmp(d->pairs[i].final, name) == 0;
        if (!taken) return name;
    }
}

/* Through names that nobody has when one wants what another still has (a and b swapped, Id to id). */
static wb_code rename_columns(sq_target *s, sq_diff *d, const char *q, wb_error *err)
{
    sq_known *k = d->known;
    size_t n = 0;
    bool clash = false;
    wb_code code = WB_OK;
    rename_step *r = wb_arena_zalloc(d->arena, (k->n + d->n + 1) * sizeof *r);
    if (!r || d->arena->failed) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory to alter table %s", k->mirror);
    for (size_t i = 0; i < d->n; i++) {
        sq_pair *p = &d->pairs[i];
        if (p->old && strcmp(p->old->mirror, p->final) != 0) r[n++] = (rename_step){p->old->mirror, p->final};
    }
    for (size_t i = 0; i < k->n; i++) {
        const char *to;
        if (!is_kept(&k->cols[i])) continue;
        to = kept_name(d, &k->cols[i], i);
        if (to != k->cols[i].mirror) r[n++] = (rename_step){k->cols[i].mirror, to};
        k->cols[i].mirror = to;
    }
    for (size_t i = 0; i < n; i++) clash = clash || in_use(d, r[i].to, NULL, 0) || n > 1;
    for (size_t i = 0; i < n && clash && !code; i++) {
        const char *via = wb_arena_printf(d->arena, "_walbrook_rename_%zu", i);
        code = rename_column(s, d, q, r[i].from, via, err);
        r[i].from = via;
    }
    for (size_t i = 0; i < n && !code; i++) code = rename_column(s, d, q, r[i].from, r[i].to, err);
    return code;
}

wb_code sq_alter(sq_target *s, sq_diff *d, wb_error *err)
{
    sq_known *k = d->known;
    const char *q = sq_quote(d->arena, k->mirror);
    bool rows = false;
    wb_code code = has_rows(s, q, &rows, err);
    for (size_t i = 0; i < k->n && !code && s->on_drop == SQ_DROP; i++) {
        if (is_kept(&k->cols[i]) && !k->cols[i].dropped) code = drop_column(s, d, &k->cols[i], q, err);
    }
    if (!code) code = rename_columns(s, d, q, err);
    for (size_t i = 0; i < d->n && !code; i++) {
        if (!d->pairs[i].old) code = add_column(s, d, &d->pairs[i], q, rows, err);
    }
    return code;
}

/* ---------------------------------------------------------------- rebuild */

/* What the user hung on the table: kept as text, made again afterwards. */
static wb_code save_extras(sq_target *s, sq_diff *d, wb_out *sql, wb_error *err)
{
    sqlite3_stmt *st;
    int rc;
    wb_code code = sq_prepare(s,
                              "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('index', "
                              "'trigger') AND sql IS NOT NULL",
                              &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, d->known->mirror, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        wb_out_put(sql, sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0));
        wb_out_byte(sql, 0);
    }
    if (rc != SQLITE_DONE) code = sq_fail(s, rc, err, "reading the indexes of table %s", d->known->mirror);
    sqlite3_finalize(st);
    return code;
}

static void restore_extras(sq_target *s, sq_diff *d, const wb_out *sql)
{
    for (size_t at = 0; at < sql->len; at += strlen(sql->p + at) + 1) {
        wb_error why = {0};
        if (sq_exec(s, &why, sql->p + at))
            wb_host_log(s->host, WB_LOG_WARN, "table %s was rebuilt without this: %s: %s", d->known->mirror,
                        sql->p + at, why.message);
    }
}

/* INSERT INTO new (...) SELECT ...; parameters are the defaults of added columns, in order. */
static void put_copy(wb_out *o, const char *into, const char *from, const sq_diff *d)
{
    const sq_known *k = d->known;
    int at = 0;
    wb_out_printf(o, "INSERT INTO %s SELECT ", into);
    for (size_t i = 0; i < d->n; i++) {
        const sq_pair *p = &d->pairs[i];
        if (i) wb_out_byte(o, ',');
        if (p->old)
            wb_out_z(o, sq_quote(d->arena, p->old->mirror));
        else if (default_value(p))
            wb_out_printf(o, "?%d", ++at);
        else
            wb_out_z(o, "NULL");
    }
    for (size_t i = 0; i < k->n; i++) {
        if (is_kept(&k->cols[i])) wb_out_printf(o, ",%s", sq_quote(d->arena, k->cols[i].mirror));
    }
    wb_out_printf(o, " FROM %s", from);
    for (uint32_t j = 0; j < d->table->nkey; j++) {
        const sq_pair *p = &d->pairs[d->table->key[j]];
        if (p->old)
            wb_out_printf(o, "%s%s IS NOT NULL", j ? " AND " : " WHERE ", sq_quote(d->arena, p->old->mirror));
        else if (j == 0)
            wb_out_z(o, " WHERE true");
    }
    wb_out_byte(o, 0);
}

static wb_code count_rows(sq_target *s, const char *q, int64_t *n, wb_error *err)
{
    sqlite3_stmt *st;
    int rc;
    wb_code code;
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql, "SELECT count(*) FROM %s", q);
    wb_out_byte(&s->sql, 0);
    code = sq_prepare(s, s->sql.p, &st, err);
    if (code) return code;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *n = sqlite3_column_int64(st, 0);
    else
        code = sq_fail(s, rc, err, "counting the rows of %s", q);
    sqlite3_finalize(st);
    return code;
}

/* *fits false: a key column without a value, or two rows of one key. */
static wb_code copy_rows(sq_target *s, sq_diff *d, const char *into, const char *from, bool *fits, wb_error *err)
{
    sqlite3_stmt *st;
    int64_t before = 0, after = 0;
    int at = 0, rc = SQLITE_OK;
    wb_code code = count_rows(s, from, &before, err);
    if (code) return code;
    for (uint32_t j = 0; j < d->table->nkey && before; j++) {
        const sq_pair *p = &d->pairs[d->table->key[j]];
        if (!p->old && !default_value(p)) *fits = false;
    }
    if (!*fits) return WB_OK;
    wb_out_reset(&s->sql);
    put_copy(&s->sql, into, from, d);
    code = sq_prepare(s, s->sql.p, &st, err);
    if (code) return code;
    for (size_t i = 0; i < d->n && rc == SQLITE_OK; i++) {
        if (default_value(&d->pairs[i])) rc = sq_bind(s, st, ++at, &d->pairs[i].col->missing, d->pairs[i].cls);
    }
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    if ((rc & 0xff) == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH)
        *fits = false;
    else if (rc != SQLITE_DONE)
        code = sq_fail(s, rc, err, "copying table %s to its new form", d->known->mirror);
    sqlite3_finalize(st);
    if (code || !*fits) return code;
    code = count_rows(s, into, &after, err);
    *fits = after == before;
    for (size_t i = 0; i < d->n && before; i++) {
        if (default_unknown(&d->pairs[i])) note_unknown_default(d, &d->pairs[i]);
    }
    return code;
}

/* The table in its new form beside the old one, the rows copied, the names exchanged. */
wb_code sq_rebuild(sq_target *s, sq_diff *d, bool *fits, wb_error *err)
{
    sq_known *k = d->known;
    const char *from = sq_quote(d->arena, k->mirror);
    const char *into = wb_arena_printf(d->arena, "_walbrook_rebuild_%lld", (long long)k->table_id);
    wb_out extras = {0};
    wb_code code = save_extras(s, d, &extras, err);
    *fits = true;
    if (!d->n && !code) code = no_columns(d, err);
    for (size_t i = 0; i < k->n && s->on_drop == SQ_DROP; i++) {
        if (is_kept(&k->cols[i]) && !k->cols[i].dropped) k->cols[i].mirror = NULL;
    }
    wb_out_reset(&s->sql);
    for (size_t i = 0; i < k->n; i++) {
        if (is_kept(&k->cols[i]) && kept_name(d, &k->cols[i], i) != k->cols[i].mirror) {
            const char *to = kept_name(d, &k->cols[i], i);
            if (!code) code = rename_column(s, d, from, k->cols[i].mirror, to, err);
            k->cols[i].mirror = to;
        }
    }
    if (!code) code = sq_create(s, into, d, err);
    if (!code) code = copy_rows(s, d, into, from, fits, err);
    if (!code) {
        wb_out_reset(&s->sql);
        wb_out_printf(&s->sql, "DROP TABLE %s", *fits ? from : into);
        code = sq_exec_out(s, err);
    }
    if (!code && *fits) {
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
        code = sq_rename_table(s, into, k->mirror, err);
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0, NULL);
        if (!code) restore_extras(s, d, &extras);
    }
    wb_out_fini(&extras);
    return code;
}
