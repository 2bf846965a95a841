/* meta.c: the target's own tables in the user's file. _walbrook_stand has a row for each pipeline and mode, written in
 * the same transaction as the rows; _walbrook_tables and _walbrook_columns keep what SQLite's own schema cannot: the
 * source's ids, names and types. Called by sqlite.c at open and commit, by schema.c for every new table version. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "targets/sqlite/sqlite_target.h"

static const char layout_sql[] =
    "CREATE TABLE IF NOT EXISTS _walbrook_stand (pipeline TEXT NOT NULL, mode TEXT NOT NULL, layout INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, pos BLOB, ordinal INTEGER NOT NULL, snapshot_from INTEGER, updated TEXT,"
    " PRIMARY KEY (pipeline, mode)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS _walbrook_tables (id INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, source_id INTEGER NOT"
    " NULL, schema_name TEXT NOT NULL, table_name TEXT NOT NULL, mirror_table TEXT NOT NULL COLLATE NOCASE UNIQUE,"
    " state TEXT NOT NULL, reason TEXT);"
    "CREATE TABLE IF NOT EXISTS _walbrook_columns (table_id INTEGER NOT NULL, position INTEGER NOT NULL, source_id"
    " INTEGER NOT NULL, name TEXT NOT NULL, mirror_column TEXT NOT NULL, source_type TEXT NOT NULL, class TEXT NOT"
    " NULL, key_position INTEGER NOT NULL, dropped INTEGER NOT NULL, PRIMARY KEY (table_id, position)) WITHOUT ROWID;";

const char *sq_key_mode(const sq_target *s) { return s->mode == SQ_LOG ? "log" : "mirror"; }

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static sq_target *open_targets;

static bool same_place(const sq_target *a, const sq_target *b)
{
    struct stat x, y;
    return a->mode == b->mode && a->epoch == b->epoch &&
           strcmp(wb_host_pipeline(a->host), wb_host_pipeline(b->host)) == 0 && stat(a->file, &x) == 0 &&
           stat(b->file, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* SQLite itself does not look: it goes on writing to a file that no folder names any more. */
wb_code sq_same_file(const sq_target *s, wb_error *err)
{
    struct stat st;
    int rc = stat(s->file, &st);
    if (rc == 0 && st.st_dev == s->file_dev && st.st_ino == s->file_ino) return WB_OK;
    if (rc != 0 && errno != ENOENT)
        return wb_fail(err, WB_E_IO, WB_RECONNECT, "%s cannot be looked at: %s", s->file, strerror(errno));
    wb_fail(err, WB_E_STATE, WB_NEVER, "%s was %s while it was being written", s->file, rc ? "deleted" : "replaced");
    wb_hint(err, "Put the file back as it was, or run with --resnapshot and the target's name.");
    return WB_E_STATE;
}

wb_code sq_claim(sq_target *s, wb_error *err)
{
    wb_code code = WB_OK;
    struct stat st;
    if (stat(s->file, &st) != 0)
        return wb_fail(err, WB_E_IO, WB_RETRY, "%s cannot be looked at: %s", s->file, strerror(errno));
    s->file_dev = st.st_dev;
    s->file_ino = st.st_ino;
    pthread_mutex_lock(&open_mutex);
    for (const sq_target *o = open_targets; o && !code; o = o->next_open) {
        if (same_place(o, s))
            code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "two targets of pipeline %s write to %s in mode %s",
                           wb_host_pipeline(s->host), s->file, sq_key_mode(s));
    }
    if (!code) {
        s->next_open = open_targets;
        open_targets = s;
    }
    pthread_mutex_unlock(&open_mutex);
    if (code) wb_hint(err, "Give each its own `path`.");
    return code;
}

void sq_release(sq_target *s)
{
    pthread_mutex_lock(&open_mutex);
    for (sq_target **at = &open_targets; *at; at = &(*at)->next_open) {
        if (*at != s) continue;
        *at = s->next_open;
        break;
    }
    pthread_mutex_unlock(&open_mutex);
}

static void bind_owner(sq_target *s, sqlite3_stmt *st)
{
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, sq_key_mode(s), -1, SQLITE_STATIC);
}

/* Our row as it was left; *there false: there is none. */
static wb_code read_stand(sq_target *s, wb_open *o, bool *there, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(
        s, "SELECT layout, epoch, pos, ordinal FROM _walbrook_stand WHERE pipeline = ? AND mode = ?", &st, err);
    int rc;
    if (code) return code;
    bind_owner(s, st);
    rc = sqlite3_step(st);
    *there = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        if (sqlite3_column_int64(st, 0) > SQ_LAYOUT) {
            code = wb_fail(err, WB_E_STATE, WB_NEVER, "%s was written by a newer version of Walbrook", s->file);
            wb_hint(err, "Use that version, or another file.");
        } else if ((uint64_t)sqlite3_column_int64(st, 1) > s->epoch) {
            code = wb_fail(err, WB_E_FENCED, WB_NEVER,
                           "a later start of pipeline %s has taken over %s (epoch %llu, ours is %llu)",
                           wb_host_pipeline(s->host), s->file, (unsigned long long)sqlite3_column_int64(st, 1),
                           (unsigned long long)s->epoch);
            wb_hint(
                err,
                "Run only one Walbrook for this pipeline; if the state folder was restored, restore the file with it.");
        } else if (sqlite3_column_type(st, 2) != SQLITE_NULL) {
            wb_out_reset(&s->own_pos);
            wb_out_put(&s->own_pos, sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2));
            if (s->own_pos.failed)
                code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "no memory for the position in %s", s->file);
            o->own = true;
            o->stand = (wb_stand){{s->own_pos.p, s->own_pos.len}, (uint64_t)sqlite3_column_int64(st, 3)};
        }
    } else if (rc != SQLITE_DONE) {
        code = sq_fail(s, rc, err, "reading the stand in %s", s->file);
    }
    sqlite3_finalize(st);
    return code;
}

static wb_code write_epoch(sq_target *s, bool there, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(
        s,
        there ? "UPDATE _walbrook_stand SET epoch = ?3, layout = ?4 WHERE pipeline = ?1 AND mode = ?2"
              : "INSERT INTO _walbrook_stand (pipeline, mode, epoch, layout, ordinal) VALUES (?1, ?2, ?3, ?4, 0)",
        &st, err);
    if (code) return code;
    bind_owner(s, st);
    sqlite3_bind_int64(st, 3, (int64_t)s->epoch);
    sqlite3_bind_int64(st, 4, SQ_LAYOUT);
    code = sq_run(s, st, err, "writing the epoch");
    sqlite3_finalize(st);
    return code;
}

wb_code sq_meta_open(sq_target *s, wb_open *o, wb_error *err)
{
    bool there = false;
    wb_code code = sq_exec(s, err, "BEGIN IMMEDIATE");
    if (code) return code;
    code = sq_exec(s, err, layout_sql);
    if (!code) code = read_stand(s, o, &there, err);
    if (!code) code = write_epoch(s, there, err);
    if (!code) code = sq_exec(s, err, "COMMIT");
    if (code && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    if (code) return code;
    s->snapshot_done = o->own && o->stand.pos.len > 0;
    return sq_prepare(s,
                      "UPDATE _walbrook_stand SET pos = ?4, ordinal = ?5, updated = strftime('%Y-%m-%dT%H:%M:%fZ')"
                      " WHERE pipeline = ?1 AND mode = ?2 AND epoch = ?3",
                      &s->stand, err);
}

wb_code sq_meta_stand(sq_target *s, wb_error *err)
{
    wb_code code;
    bind_owner(s, s->stand);
    sqlite3_bind_int64(s->stand, 3, (int64_t)s->epoch);
    sqlite3_bind_blob64(s->stand, 4, s->pos.len ? s->pos.p : "", s->pos.len, SQLITE_STATIC);
    sqlite3_bind_int64(s->stand, 5, (int64_t)s->ordinal);
    code = sq_run(s, s->stand, err, "writing the stand");
    if (code) return code;
    if (sqlite3_changes(s->db) == 1) return WB_OK;
    code = wb_fail(err, WB_E_FENCED, WB_NEVER, "another run of pipeline %s has taken over %s; nothing more is written",
                   wb_host_pipeline(s->host), s->file);
    wb_hint(err, "Look for a second Walbrook with the same pipeline name and file.");
    return code;
}

/* ---------------------------------------------------------------- tables and columns */

static const char *copy_text(wb_arena *a, sqlite3_stmt *st, int col)
{
    const char *p = (const char *)sqlite3_column_text(st, col);
    return p ? wb_arena_strndup(a, p, (size_t)sqlite3_column_bytes(st, col)) : "";
}

static sq_class class_of_name(const char *z)
{
    for (int c = SQ_INTEGER; c <= SQ_BLOB; c++) {
        if (strcmp(z, sq_class_name((sq_class)c)) == 0) return (sq_class)c;
    }
    return SQ_BLOB;
}

static wb_code load_columns(sq_target *s, wb_arena *a, sq_known *k, wb_error *err)
{
    sqlite3_stmt *st;
    size_t cap = 0;
    int rc;
    wb_code code = sq_prepare(s,
                              "SELECT source_id, name, mirror_column, source_type, class, key_position, dropped,"
                              " count(*) OVER () FROM _walbrook_columns WHERE table_id = ? ORDER BY position",
                              &st, err);
    if (code) return code;
    sqlite3_bind_int64(st, 1, k->table_id);
    k->n = 0;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (!cap) {
            cap = (size_t)sqlite3_column_int64(st, 7);
            k->cols = wb_arena_zalloc(a, cap * sizeof *k->cols);
            if (a->failed) break;
        }
        sq_known_column *c = &k->cols[k->n++];
        c->id = sqlite3_column_int(st, 0);
        c->name = copy_text(a, st, 1);
        c->mirror = copy_text(a, st, 2);
        c->type = copy_text(a, st, 3);
        c->cls = class_of_name(copy_text(a, st, 4));
        c->key_position = sqlite3_column_int(st, 5);
        c->dropped = sqlite3_column_int(st, 6) != 0;
        if (a->failed) break;
    }
    if (a->failed)
        code = wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the columns of table %s", k->mirror);
    else if (rc != SQLITE_DONE)
        code = sq_fail(s, rc, err, "reading the columns of table %s", k->mirror);
    sqlite3_finalize(st);
    return code;
}

#define TABLE_COLUMNS "id, source_id, schema_name, table_name, mirror_table, state, reason, pipeline"

static wb_code load_table(sq_target *s, wb_arena *a, sqlite3_stmt *st, sq_known *k, bool *ours, wb_error *err)
{
    int rc = sqlite3_step(st);
    *k = (sq_known){0};
    if (rc == SQLITE_DONE) return WB_OK;
    if (rc != SQLITE_ROW) return sq_fail(s, rc, err, "reading _walbrook_tables in %s", s->file);
    k->table_id = sqlite3_column_int64(st, 0);
    k->source_id = (uint64_t)sqlite3_column_int64(st, 1);
    k->schema = copy_text(a, st, 2);
    k->name = copy_text(a, st, 3);
    k->mirror = copy_text(a, st, 4);
    k->state = copy_text(a, st, 5);
    k->reason = copy_text(a, st, 6);
    *ours = strcmp(copy_text(a, st, 7), wb_host_pipeline(s->host)) == 0;
    if (a->failed) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the tables of %s", s->file);
    return load_columns(s, a, k, err);
}

wb_code sq_known_load(sq_target *s, wb_arena *a, uint64_t source_id, wb_str schema, wb_str name, sq_known *k,
                      wb_error *err)
{
    sqlite3_stmt *st;
    bool ours = false;
    wb_code code =
        sq_prepare(s,
                   source_id ? "SELECT " TABLE_COLUMNS " FROM _walbrook_tables WHERE pipeline = ?1 AND source_id = ?2"
                             : "SELECT " TABLE_COLUMNS " FROM _walbrook_tables WHERE pipeline = ?1 AND"
                               " schema_name = ?3 AND table_name = ?4 AND state <> 'aside'",
                   &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    if (source_id) {
        sqlite3_bind_int64(st, 2, (int64_t)source_id);
    } else {
        sqlite3_bind_text(st, 3, schema.ptr, (int)schema.len, SQLITE_STATIC);
        sqlite3_bind_text(st, 4, name.ptr, (int)name.len, SQLITE_STATIC);
    }
    code = load_table(s, a, st, k, &ours, err);
    sqlite3_finalize(st);
    return code;
}

wb_code sq_known_by_mirror(sq_target *s, wb_arena *a, const char *mirror, sq_known *k, bool *ours, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(s, "SELECT " TABLE_COLUMNS " FROM _walbrook_tables WHERE mirror_table = ?1", &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, mirror, -1, SQLITE_STATIC);
    code = load_table(s, a, st, k, ours, err);
    sqlite3_finalize(st);
    return code;
}

static wb_code save_columns(sq_target *s, const sq_known *k, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(s, "DELETE FROM _walbrook_columns WHERE table_id = ?1", &st, err);
    if (code) return code;
    sqlite3_bind_int64(st, 1, k->table_id);
    code = sq_run(s, st, err, "writing _walbrook_columns");
    sqlite3_finalize(st);
    if (!code)
        code = sq_prepare(s, "INSERT INTO _walbrook_columns VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", &st, err);
    if (code) return code;
    for (size_t i = 0; i < k->n && !code; i++) {
        const sq_known_column *c = &k->cols[i];
        if (!c->mirror) continue; /* dropped in the mirror too */
        sqlite3_bind_int64(st, 1, k->table_id);
        sqlite3_bind_int64(st, 2, (int64_t)i + 1);
        sqlite3_bind_int(st, 3, c->id);
        sqlite3_bind_text(st, 4, c->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 5, c->mirror, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 6, c->type, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 7, sq_class_name(c->cls), -1, SQLITE_STATIC);
        sqlite3_bind_int(st, 8, c->key_position);
        sqlite3_bind_int(st, 9, c->dropped);
        code = sq_run(s, st, err, "writing _walbrook_columns");
    }
    sqlite3_finalize(st);
    return code;
}

wb_code sq_known_save(sq_target *s, sq_known *k, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code =
        sq_prepare(s,
                   "INSERT INTO _walbrook_tables VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO"
                   " UPDATE SET source_id = excluded.source_id, schema_name = excluded.schema_name, table_name"
                   " = excluded.table_name, mirror_table = excluded.mirror_table, state = excluded.state,"
                   " reason = excluded.reason",
                   &st, err);
    if (code) return code;
    if (k->table_id) sqlite3_bind_int64(st, 1, k->table_id);
    sqlite3_bind_text(st, 2, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, (int64_t)k->source_id);
    sqlite3_bind_text(st, 4, k->schema, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, k->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, k->mirror, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 7, k->state, -1, SQLITE_STATIC);
    if (k->reason && k->reason[0]) sqlite3_bind_text(st, 8, k->reason, -1, SQLITE_STATIC);
    code = sq_run(s, st, err, "writing _walbrook_tables");
    sqlite3_finalize(st);
    if (code) return code;
    if (!k->table_id) k->table_id = sqlite3_last_insert_rowid(s->db);
    return save_columns(s, k, err);
}

wb_code sq_table_exists(sq_target *s, const char *name, bool *yes, wb_error *err)
{
    sqlite3_stmt *st;
    int rc;
    wb_code code = sq_prepare(s, "SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE", &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    *yes = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) code = sq_fail(s, rc, err, "reading the schema of %s", s->file);
    sqlite3_finalize(st);
    return code;
}

/* ---------------------------------------------------------------- a snapshot begins */

static wb_code forget_tables(sq_target *s, wb_error *err)
{
    sqlite3_stmt *st;
    wb_arena a;
    int rc;
    wb_code code =
        sq_prepare(s, "SELECT mirror_table FROM _walbrook_tables WHERE pipeline = ?1 AND state <> 'log'", &st, err);
    if (code) return code;
    wb_arena_init(&a, 4096, 0);
    wb_out_reset(&s->sql);
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        wb_out_printf(&s->sql, "DROP TABLE IF EXISTS %s;", sq_quote(&a, (const char *)sqlite3_column_text(st, 0)));
    if (rc != SQLITE_DONE) code = sq_fail(s, rc, err, "reading _walbrook_tables in %s", s->file);
    sqlite3_finalize(st);
    wb_arena_fini(&a);
    if (!code) code = sq_exec_out(s, err);
    if (code) return code;
    code = sq_prepare(s,
                      "DELETE FROM _walbrook_columns WHERE table_id IN (SELECT id FROM _walbrook_tables WHERE pipeline "
                      "= ?1 AND state <> 'log')",
                      &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    code = sq_run(s, st, err, "emptying _walbrook_columns");
    sqlite3_finalize(st);
    if (!code) code = sq_prepare(s, "DELETE FROM _walbrook_tables WHERE pipeline = ?1 AND state <> 'log'", &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    code = sq_run(s, st, err, "emptying _walbrook_tables");
    sqlite3_finalize(st);
    return code;
}

/* Mirror tables are made anew from the snapshot's own table versions: dropped, not emptied. */
wb_code sq_meta_reset(sq_target *s, bool again, wb_error *err)
{
    wb_code code;
    s->snapshot_done = false;
    sq_plans_drop(s);
    if (s->mode == SQ_LOG) return sq_log_reset(s, again, err);
    atomic_store(&s->building, true);
    code = forget_tables(s, err);
    atomic_store(&s->building, false);
    return code;
}
