/* compare.c: a mirror against a copy of the source's tables that was made a moment ago by the same target in another
 * file: so both hold what sq_bind makes of a value, and SQLite itself compares. Tables and columns are paired by the
 * source's own ids. Called by `verify`, without open; reads only. */
#include <stdio.h>

#include "targets/sqlite/sqlite_target.h"

enum { OR_GROUP = 64, SHOWN = 80, WIDE = 900, ROW_TEXT = 400 };

typedef struct pair { /* one column on both sides, quoted */
    const char *name, *copy, *mirror;
    bool key;
} pair;

typedef struct comparing {
    sqlite3 *db;
    wb_arena arena; /* of the table at hand */
    const wb_differences *out;
    const char *file, *schema, *table;
    const char *copy, *mirror; /* quoted, with their databases */
    pair *cols;
    size_t n, nkey;
    wb_out sql, text;
    wb_error *err;
} comparing;

static wb_code failed(comparing *c, const char *what)
{
    return wb_fail(c->err, WB_E_IO, WB_NEVER, "%s: %s while %s", c->file, sqlite3_errmsg(c->db), what);
}

static void tell(comparing *c, wb_differs what, const char *key, const char *detail, int64_t rows)
{
    wb_difference d = {
        .schema = c->schema, .table = c->table, .what = what, .key = key, .detail = detail, .rows = rows};
    c->out->each(c->out->arg, &d);
}

static const char *text_of(wb_arena *a, sqlite3_stmt *st, int i)
{
    const char *z = (const char *)sqlite3_column_text(st, i);
    return z ? wb_arena_strdup(a, z) : "";
}

static const char *cell(sqlite3_stmt *st, int i)
{
    const char *z = (const char *)sqlite3_column_text(st, i);
    return z ? z : "NULL";
}

static const char *z_of(wb_out *o)
{
    wb_out_byte(o, 0);
    return o->failed ? "?" : o->p;
}

static wb_code prepare(comparing *c, sqlite3_stmt **st)
{
    wb_out_byte(&c->sql, 0);
    if (c->sql.failed) return wb_fail(c->err, WB_E_NOMEM, WB_NEVER, "no memory to compare table %s", c->table);
    int rc = sqlite3_prepare_v2(c->db, c->sql.p, -1, st, NULL);
    wb_out_reset(&c->sql);
    return rc == SQLITE_OK ? WB_OK : failed(c, "comparing a table");
}

/* ---------------------------------------------------------------- columns */

static wb_code load_columns(comparing *c, int64_t copy_id, int64_t mirror_id, bool *all)
{
    sqlite3_stmt *st;
    wb_out_printf(
        &c->sql,
        "SELECT c.name, c.mirror_column, m.mirror_column, c.key_position, count(*) OVER ()"
        " FROM copy._walbrook_columns c LEFT JOIN main._walbrook_columns m ON m.table_id = %lld AND NOT m.dropped"
        " AND CASE WHEN c.source_id <> 0 THEN m.source_id = c.source_id ELSE m.name = c.name END"
        " WHERE c.table_id = %lld AND NOT c.dropped ORDER BY c.position",
        (long long)mirror_id, (long long)copy_id);
    wb_code code = prepare(c, &st);
    if (code != WB_OK) return code;
    int rc;
    *all = true;
    c->n = c->nkey = 0;
    c->cols = NULL;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (!c->cols) c->cols = wb_arena_zalloc(&c->arena, (size_t)sqlite3_column_int64(st, 4) * sizeof *c->cols);
        if (c->arena.failed) break;
        pair *p = &c->cols[c->n];
        p->name = text_of(&c->arena, st, 0);
        p->copy = sq_quote(&c->arena, text_of(&c->arena, st, 1));
        if (sqlite3_column_type(st, 2) == SQLITE_NULL) {
            *all = false;
            wb_out_reset(&c->text);
            wb_out_printf(&c->text, "column %s is not in the mirror", p->name);
            tell(c, WB_TABLE_DIFFERS, "", z_of(&c->text), 0);
            continue;
        }
        p->mirror = sq_quote(&c->arena, text_of(&c->arena, st, 2));
        p->key = sqlite3_column_int(st, 3) > 0;
        c->nkey += p->key;
        c->n++;
    }
    sqlite3_finalize(st);
    if (c->arena.failed) return wb_fail(c->err, WB_E_NOMEM, WB_NEVER, "no memory for the columns of %s", c->table);
    return rc == SQLITE_DONE ? WB_OK : failed(c, "reading the columns");
}

/* ---------------------------------------------------------------- with a key */

/* quote(a."x"), … of the key (or of all columns), shortened. */
static void put_shown(comparing *c, const char *alias, bool mirror, bool key)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (key && !c->cols[i].key) continue;
        wb_out_printf(&c->sql, "%ssubstr(quote(%s.%s), 1, %d)", n++ ? ", " : "", alias,
                      mirror ? c->cols[i].mirror : c->cols[i].copy, SHOWN);
    }
}

static void put_same_key(comparing *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->cols[i].key)
            wb_out_printf(&c->sql, "%sm.%s = c.%s", n++ ? " AND " : "", c->cols[i].mirror, c->cols[i].copy);
}

/* "id = 5, place = 'x'", from the first columns of the row. */
static const char *key_text(comparing *c, sqlite3_stmt *st)
{
    int at = 0;
    wb_out_reset(&c->text);
    for (size_t i = 0; i < c->n && c->text.len < ROW_TEXT; i++) {
        if (c->nkey && !c->cols[i].key) continue;
        wb_out_printf(&c->text, "%s%s = %s", at ? ", " : "", c->cols[i].name, cell(st, at));
        at++;
    }
    return z_of(&c->text);
}

/* Rows of one side whose key the other side lacks. */
static wb_code one_sided(comparing *c, bool missing)
{
    sqlite3_stmt *st;
    wb_out_z(&c->sql, "SELECT ");
    put_shown(c, missing ? "c" : "m", !missing, true);
    wb_out_printf(&c->sql, " FROM %s %s WHERE NOT EXISTS (SELECT 1 FROM %s %s WHERE ", missing ? c->copy : c->mirror,
                  missing ? "c" : "m", missing ? c->mirror : c->copy, missing ? "m" : "c");
    put_same_key(c);
    wb_out_byte(&c->sql, ')');
    wb_code code = prepare(c, &st);
    if (code != WB_OK) return code;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        tell(c, missing ? WB_ROW_MISSING : WB_ROW_EXTRA, key_text(c, st), "", 0);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? WB_OK : failed(c, "looking for rows that one side lacks");
}

static const char *detail_text(comparing *c, sqlite3_stmt *st, wb_out *o)
{
    int at = (int)c->nkey;
    wb_out_reset(o);
    for (size_t i = 0; i < c->n && c->n <= WIDE && o->len < ROW_TEXT; i++) {
        if (c->cols[i].key) continue;
        if (sqlite3_column_int(st, at + 2))
            wb_out_printf(o, "%s%s: %s at the source, %s here", o->len ? "; " : "", c->cols[i].name, cell(st, at),
                          cell(st, at + 1));
        at += 3;
    }
    return z_of(o);
}

static wb_code both_sided(comparing *c)
{
    sqlite3_stmt *st;
    size_t n = 0;
    if (c->nkey == c->n) return WB_OK;
    wb_out_z(&c->sql, "SELECT ");
    put_shown(c, "c", false, true);
    for (size_t i = 0; i < c->n && c->n <= WIDE / 2; i++) {
        const pair *p = &c->cols[i];
        if (!p->key)
            wb_out_printf(&c->sql, ", substr(quote(c.%s), 1, %d), substr(quote(m.%s), 1, %d), m.%s IS NOT c.%s",
                          p->copy, SHOWN, p->mirror, SHOWN, p->mirror, p->copy);
    }
    wb_out_printf(&c->sql, " FROM %s c JOIN %s m ON ", c->copy, c->mirror);
    put_same_key(c);
    wb_out_z(&c->sql, " WHERE ");
    for (size_t i = 0; i < c->n; i++) { /* in groups: a chain of ORs is as deep as it is long */
        if (c->cols[i].key) continue;
        wb_out_z(&c->sql, !n ? "(" : n % OR_GROUP == 0 ? ") OR (" : " OR ");
        wb_out_printf(&c->sql, "m.%s IS NOT c.%s", c->cols[i].mirror, c->cols[i].copy);
        n++;
    }
    wb_out_byte(&c->sql, ')');
    wb_code code = prepare(c, &st);
    if (code != WB_OK) return code;
    wb_out detail = {0};
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *in = c->n <= WIDE / 2 ? detail_text(c, st, &detail) : "";
        tell(c, WB_ROW_DIFFERS, key_text(c, st), in, 0);
    }
    wb_out_fini(&detail);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? WB_OK : failed(c, "comparing rows");
}

/* ---------------------------------------------------------------- without a key: as often on both sides */

static void put_counted(comparing *c, bool mirror)
{
    wb_out_z(&c->sql, "SELECT ");
    for (size_t i = 0; i < c->n; i++)
        wb_out_printf(&c->sql, "%s AS c%zu, ", mirror ? c->cols[i].mirror : c->cols[i].copy, i);
    wb_out_printf(&c->sql, "count(*) AS n FROM %s GROUP BY ", mirror ? c->mirror : c->copy);
    for (size_t i = 0; i < c->n; i++)
        wb_out_printf(&c->sql, "%s%s", i ? ", " : "", mirror ? c->cols[i].mirror : c->cols[i].copy);
}

static wb_code keyless(comparing *c, bool missing)
{
    sqlite3_stmt *st;
    wb_out_z(&c->sql, "SELECT ");
    for (size_t i = 0; i < c->n; i++) wb_out_printf(&c->sql, "%ssubstr(quote(c%zu), 1, %d)", i ? ", " : "", i, SHOWN);
    wb_out_z(&c->sql, ", n FROM (");
    put_counted(c, !missing);
    wb_out_z(&c->sql, " EXCEPT ");
    put_counted(c, missing);
    wb_out_byte(&c->sql, ')');
    wb_code code = prepare(c, &st);
    if (code != WB_OK) return code;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        char times[64];
        (void)snprintf(times, sizeof times, "%lld of them %s", (long long)sqlite3_column_int64(st, (int)c->n),
                       missing ? "at the source" : "here");
        tell(c, missing ? WB_ROW_MISSING : WB_ROW_EXTRA, key_text(c, st), times, 0);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? WB_OK : failed(c, "comparing rows");
}

/* ---------------------------------------------------------------- tables */

static wb_code count_rows(comparing *c, int64_t *rows)
{
    sqlite3_stmt *st;
    wb_out_printf(&c->sql, "SELECT count(*) FROM %s", c->copy);
    wb_code code = prepare(c, &st);
    if (code != WB_OK) return code;
    *rows = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return WB_OK;
}

static wb_code compare_table(comparing *c, sqlite3_stmt *t)
{
    int64_t rows = 0;
    bool all = true;
    wb_arena_reset(&c->arena);
    c->schema = text_of(&c->arena, t, 0);
    c->table = text_of(&c->arena, t, 1);
    c->copy = wb_arena_printf(&c->arena, "copy.%s", sq_quote(&c->arena, text_of(&c->arena, t, 3)));
    if (sqlite3_column_type(t, 4) == SQLITE_NULL) {
        tell(c, WB_TABLE_DIFFERS, "", "the mirror has no such table", 0);
        return WB_OK;
    }
    c->mirror = wb_arena_printf(&c->arena, "main.%s", sq_quote(&c->arena, text_of(&c->arena, t, 5)));
    if (c->arena.failed) return wb_fail(c->err, WB_E_NOMEM, WB_NEVER, "no memory to compare tables");
    wb_code code = load_columns(c, sqlite3_column_int64(t, 2), sqlite3_column_int64(t, 4), &all);
    if (code == WB_OK) code = count_rows(c, &rows);
    if (code == WB_OK && c->n && c->nkey) {
        code = one_sided(c, true);
        if (code == WB_OK) code = one_sided(c, false);
        if (code == WB_OK) code = both_sided(c);
    } else if (code == WB_OK && c->n && all) {
        code = keyless(c, true);
        if (code == WB_OK) code = keyless(c, false);
    }
    if (code == WB_OK) tell(c, WB_SAME_SO_FAR, "", "", rows);
    return code;
}

static wb_code compare_all(comparing *c, const char *pipeline)
{
    static const char sql[] =
        "SELECT t.schema_name, t.table_name, t.id, t.mirror_table, m.id, m.mirror_table FROM copy._walbrook_tables t"
        " LEFT JOIN main._walbrook_tables m ON m.pipeline = t.pipeline AND m.state NOT IN ('aside', 'dropped') AND "
        "CASE WHEN t.source_id"
        " <> 0 THEN m.source_id = t.source_id ELSE m.schema_name = t.schema_name AND m.table_name = t.table_name END"
        " WHERE t.pipeline = ?1 ORDER BY 1, 2";
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) return failed(c, "listing tables");
    sqlite3_bind_text(st, 1, pipeline, -1, SQLITE_STATIC);
    wb_code code = WB_OK;
    int rc = SQLITE_DONE;
    while (code == WB_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) code = compare_table(c, st);
    if (code == WB_OK && rc != SQLITE_DONE) code = failed(c, "listing tables");
    sqlite3_finalize(st);
    return code;
}

static wb_code open_both(comparing *c, const char *copy)
{
    sqlite3_stmt *st;
    if (sqlite3_open_v2(c->file, &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        failed(c, "opening it");
        wb_hint(c->err, "`verify` compares a mirror that there is: run the pipeline first.");
        return WB_E_IO;
    }
    sqlite3_busy_timeout(c->db, 5000);
    if (sqlite3_prepare_v2(c->db, "ATTACH ?1 AS copy", -1, &st, NULL) != SQLITE_OK)
        return failed(c, "attaching the copy");
    sqlite3_bind_text(st, 1, copy, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    sqlite3_finalize(st);
    /* One view of the mirror for all tables, whatever is written meanwhile. */
    if (rc == SQLITE_DONE) rc = sqlite3_exec(c->db, "PRAGMA temp_store = FILE; BEGIN", NULL, NULL, NULL);
    return rc == SQLITE_OK ? WB_OK : failed(c, "attaching the copy");
}

wb_code sq_compare(void *ctx, wb_host *h, const char *copy, const wb_differences *out, wb_error *err)
{
    const sq_target *s = ctx;
    char file[PATH_MAX];
    if (s->mode != SQ_MIRROR)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                       "%s is a log of changes, not a mirror: there is nothing to compare", s->path);
    wb_code code = wb_host_path(h, s->path, file, sizeof file, err);
    if (code != WB_OK || !copy) return code;
    comparing c = {.out = out, .file = file, .err = err, .schema = "", .table = ""};
    wb_arena_init(&c.arena, 16 * 1024, 0);
    code = open_both(&c, copy);
    if (code == WB_OK) code = compare_all(&c, wb_host_pipeline(h));
    sqlite3_close_v2(c.db);
    wb_out_fini(&c.sql);
    wb_out_fini(&c.text);
    wb_arena_fini(&c.arena);
    return code;
}
