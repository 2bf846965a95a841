/* log_mode.c: mode log: one table that every change is appended to, whole rows as JSON in the format `row`. Called by
 * sqlite.c, inside its transaction. */
#include "targets/sqlite/sqlite_target.h"

enum { JSON_KEY, JSON_BEFORE, JSON_AFTER };

/* The table is one pipeline's own: it has a row in _walbrook_tables with the state `log`. */
static wb_code own_table(sq_target *s, wb_arena *a, wb_error *err)
{
    sq_known k;
    bool ours = false, exists = false;
    wb_code code = sq_known_by_mirror(s, a, s->log_table, &k, &ours, err);
    if (!code) code = sq_table_exists(s, s->log_table, &exists, err);
    if (code) return code;
    if (k.table_id ? !ours || strcmp(k.state, "log") != 0 : exists) {
        code = wb_fail(err, WB_E_SCHEMA, WB_NEVER, "table \"%s\" in %s is not this pipeline's change log", s->log_table,
                       s->file);
        wb_hint(err, "Set the target's `log_table:` to another name.");
        return code;
    }
    wb_out_reset(&s->sql);
    wb_out_printf(
        &s->sql,
        "CREATE TABLE IF NOT EXISTS %s (seq INTEGER PRIMARY KEY, txn TEXT, commit_time TEXT, commit_us INTEGER,"
        " op TEXT NOT NULL, schema_name TEXT, table_name TEXT, key TEXT, before TEXT, after TEXT,"
        " position INTEGER, ordinal INTEGER)",
        sq_quote(a, s->log_table));
    code = sq_exec_out(s, err);
    if (code || k.table_id) return code;
    k = (sq_known){.schema = "", .name = "", .mirror = s->log_table, .state = "log"};
    return sq_known_save(s, &k, err);
}

wb_code sq_log_open(sq_target *s, wb_error *err)
{
    wb_arena a;
    wb_code code;
    code = sq_exec(s, err, "BEGIN IMMEDIATE");
    if (code) return code;
    wb_arena_init(&a, 1024, 0);
    code = own_table(s, &a, err);
    if (!code) code = sq_exec(s, err, "COMMIT");
    if (code && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    if (!code) {
        wb_out_reset(&s->sql);
        wb_out_printf(&s->sql,
                      "INSERT INTO %s VALUES (NULL, ?1, strftime('%%Y-%%m-%%dT%%H:%%M:%%S', ?3 / 1000000, 'unixepoch')"
                      " || printf('.%%06dZ', ?3 %% 1000000), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?2)",
                      sq_quote(&a, s->log_table));
        wb_out_byte(&s->sql, 0);
        code = sq_prepare(s, s->sql.failed ? "" : s->sql.p, &s->log_insert, err);
    }
    wb_arena_fini(&a);
    if (!code) code = wb_formatter_open(&s->formatter, "row", NULL, s->host, err);
    s->formatting = !code;
    return code;
}

void sq_log_close(sq_target *s)
{
    sqlite3_finalize(s->log_insert);
    s->log_insert = NULL;
    if (s->formatting) wb_formatter_close(&s->formatter);
    s->formatting = false;
    for (size_t i = 0; i < WB_COUNT(s->json); i++) wb_out_fini(&s->json[i]);
    free(s->image);
    s->image = NULL;
    s->cap_image = 0;
}

/* `again`: delete what the unfinished snapshot before brought. Remember where this one begins. */
wb_code sq_log_reset(sq_target *s, bool again, wb_error *err)
{
    wb_arena a;
    sqlite3_stmt *st;
    wb_code code;
    wb_arena_init(&a, 512, 0);
    const char *q = sq_quote(&a, s->log_table);
    wb_out_reset(&s->sql);
    if (!again) wb_out_z(&s->sql, "SELECT ?1");
    if (again)
        wb_out_printf(
            &s->sql,
            "DELETE FROM %s WHERE op = 'READ' AND seq >= (SELECT snapshot_from FROM _walbrook_stand WHERE pipeline ="
            " ?1 AND mode = 'log')",
            q);
    wb_out_byte(&s->sql, 0);
    code = sq_prepare(s, s->sql.failed ? "" : s->sql.p, &st, err);
    if (!code) {
        sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
        code = sq_run(s, st, err, "deleting an unfinished snapshot");
        sqlite3_finalize(st);
    }
    if (!code) {
        wb_out_reset(&s->sql);
        wb_out_printf(&s->sql,
                      "UPDATE _walbrook_stand SET snapshot_from = (SELECT coalesce(max(seq), 0) + 1 FROM %s) WHERE"
                      " pipeline = ?1 AND mode = 'log'",
                      q);
        wb_out_byte(&s->sql, 0);
        code = sq_prepare(s, s->sql.failed ? "" : s->sql.p, &st, err);
    }
    if (!code) {
        sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
        code = sq_run(s, st, err, "noting where the snapshot begins");
        sqlite3_finalize(st);
    }
    wb_arena_fini(&a);
    return code;
}

static wb_code bind_image(sq_target *s, int at, int which, const wb_txn *txn, const wb_change *c, const wb_value *row,
                          wb_error *err)
{
    wb_out *o = &s->json[which];
    wb_change one = *c;
    wb_code code;
    if (!row) {
        sqlite3_bind_null(s->log_insert, at);
        return WB_OK;
    }
    if (c->op != WB_MESSAGE) one.op = WB_INSERT;
    one.before = NULL;
    one.after = row;
    wb_out_reset(o);
    code = s->formatter.format->row(s->formatter.ctx, txn, &one, o, err);
    if (!code) sqlite3_bind_text64(s->log_insert, at, o->p ? o->p : "", o->len, SQLITE_STATIC, SQLITE_UTF8);
    return code;
}

/* A schema change as the format has it. */
static wb_code bind_ddl(sq_target *s, int at, int which, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    wb_out *o = &s->json[which];
    wb_out_reset(o);
    wb_code code = s->formatter.format->row(s->formatter.ctx, txn, c, o, err);
    if (!code) sqlite3_bind_text64(s->log_insert, at, o->p ? o->p : "", o->len, SQLITE_STATIC, SQLITE_UTF8);
    return code;
}

/* The key alone: of the old row where there is one, so that updates and deletes name the row that they change. */
static const wb_value *key_image(sq_target *s, const wb_change *c)
{
    const wb_table *t = c->table;
    if (!t || !t->nkey || (!c->before && !c->after)) return NULL;
    if (t->ncols > s->cap_image) {
        free(s->image);
        s->image = calloc(t->ncols, sizeof *s->image);
        s->cap_image = s->image ? t->ncols : 0;
        if (!s->image) return NULL;
    }
    memset(s->image, 0, t->ncols * sizeof *s->image);
    for (uint32_t j = 0; j < t->nkey; j++) {
        uint32_t i = t->key[j];
        bool old = c->before && c->before[i].kind >= WB_NULL;
        if (old || c->after) s->image[i] = old ? c->before[i] : c->after[i];
    }
    return s->image;
}

static void bind_text(sqlite3_stmt *st, int at, wb_str v)
{
    if (v.len)
        sqlite3_bind_text64(st, at, v.ptr, v.len, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(st, at);
}

wb_code sq_log_apply(sq_target *s, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    sqlite3_stmt *st = s->log_insert;
    bool rows = c->op != WB_TRUNCATE && c->op != WB_DDL;
    int rc;
    wb_code code;
    if (wb_is_empty_table(c)) return WB_OK;
    bind_text(st, 1, txn->id);
    sqlite3_bind_int64(st, 2, (int64_t)c->ordinal);
    sqlite3_bind_int64(st, 3, txn->commit_us);
    sqlite3_bind_text(st, 4, wb_change_type(c), -1, SQLITE_STATIC);
    bind_text(st, 5, c->table ? c->table->schema : (wb_str){NULL, 0});
    bind_text(st, 6, c->table ? c->table->name : (wb_str){NULL, 0});
    code = bind_image(s, 7, JSON_KEY, txn, c, rows ? key_image(s, c) : NULL, err);
    if (!code) code = bind_image(s, 8, JSON_BEFORE, txn, c, rows ? c->before : NULL, err);
    if (!code && c->op == WB_DDL)
        code = bind_ddl(s, 9, JSON_AFTER, txn, c, err);
    else if (!code)
        code = bind_image(s, 9, JSON_AFTER, txn, c, rows ? c->after : NULL, err);
    if (code) return code;
    sqlite3_bind_int64(st, 10, (int64_t)c->place);
    rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) code = sq_fail(s, rc, err, "appending to table %s", s->log_table);
    sqlite3_reset(st);
    return code;
}
