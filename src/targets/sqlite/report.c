/* report.c: what check, status and the state know of the target, without opening it: the file is read, never written.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "targets/sqlite/sqlite_target.h"

wb_code sq_destination(void *ctx, char *out, size_t cap)
{
    const sq_target *s = ctx;
    int n = s->mode == SQ_LOG ? snprintf(out, cap, "%s#%s", s->path, s->log_table) : snprintf(out, cap, "%s", s->path);
    return n >= 0 && (size_t)n < cap ? WB_OK : WB_E_CONFIG;
}

/* *db NULL: there is no file yet. */
static wb_code open_read(wb_host *h, const char *path, char *file, sqlite3 **db, wb_error *err)
{
    wb_code code = wb_host_path(h, path, file, PATH_MAX, err);
    int rc;
    *db = NULL;
    if (code || access(file, F_OK) != 0) return code;
    rc = sqlite3_open_v2(file, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(*db, 500);
        rc = sqlite3_exec(*db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) return WB_OK;
    code =
        wb_fail(err, WB_E_IO, WB_NEVER, "%s cannot be read: %s", file, *db ? sqlite3_errmsg(*db) : sqlite3_errstr(rc));
    sqlite3_close_v2(*db);
    *db = NULL;
    return code;
}

static int64_t query_number(sqlite3 *db, const char *sql, const char *arg, int64_t otherwise)
{
    sqlite3_stmt *st;
    int64_t n = otherwise;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) return otherwise;
    if (arg) sqlite3_bind_text(st, 1, arg, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL) n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* "orders: column x …; items: …" of the tables in a state. */
static int64_t list_tables(sqlite3 *db, const char *pipeline, const char *state, wb_out *o)
{
    sqlite3_stmt *st;
    int64_t n = 0;
    wb_out_reset(o);
    if (sqlite3_prepare_v2(
            db, "SELECT mirror_table, reason FROM _walbrook_tables WHERE pipeline = ?1 AND state = ?2 ORDER BY 1", -1,
            &st, NULL) != SQLITE_OK) {
        wb_out_byte(o, 0);
        return 0;
    }
    sqlite3_bind_text(st, 1, pipeline, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, state, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *reason = (const char *)sqlite3_column_text(st, 1);
        wb_out_printf(o, "%s%s%s%s", n++ ? "; " : "", (const char *)sqlite3_column_text(st, 0), reason ? ": " : "",
                      reason ? reason : "");
    }
    sqlite3_finalize(st);
    wb_out_byte(o, 0);
    return n;
}

static void check_folder(const char *file, wb_report *r)
{
    char dir[PATH_MAX];
    char *slash;
    snprintf(dir, sizeof dir, "%s", file);
    slash = strrchr(dir, '/');
    if (slash == dir)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    else
        snprintf(dir, sizeof dir, ".");
    if (access(dir, W_OK | X_OK) == 0) return;
    if (errno == ENOENT)
        wb_report_add(r, WB_BAD, NULL, "the folder %s does not exist: make it", dir);
    else
        wb_report_add(r, WB_BAD, NULL, "the folder %s cannot be written: %s", dir, strerror(errno));
}

static void check_tables(const sq_target *s, sqlite3 *db, const char *pipeline, const char *file, wb_report *r)
{
    wb_out o = {0};
    if (list_tables(db, pipeline, "stale", &o) && !o.failed)
        wb_report_add(r, WB_WARN, NULL, "tables in %s are stale, until a new snapshot: %s", file, o.p);
    if (list_tables(db, pipeline, "aside", &o) && !o.failed)
        wb_report_add(r, WB_WARN, NULL,
                      "%s has tables whose source tables were renamed, dropped or replaced; drop them when they are "
                      "not needed: %s",
                      file, o.p);
    wb_out_fini(&o);
    if (s->mode == SQ_MIRROR &&
        query_number(db,
                     "SELECT count(*) FROM _walbrook_tables t WHERE pipeline = ?1 AND state IN ('ok', 'stale') AND NOT "
                     "EXISTS (SELECT 1 FROM _walbrook_columns c WHERE c.table_id = t.id AND c.key_position > 0)",
                     pipeline, 0) > 0)
        wb_report_add(r, WB_WARN, NULL,
                      "%s has tables without a key: each update and delete looks through the whole table; a primary "
                      "key at the source, or `indexes:`, helps",
                      file);
}

wb_code sq_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    const sq_target *s = ctx;
    char file[PATH_MAX];
    sqlite3 *db = NULL;
    wb_error mine = {0};
    wb_code code = wb_host_path(h, s->path, file, sizeof file, err);
    if (code) return code;
    check_folder(file, r);
    if (s->synchronous)
        wb_report_add(
            r, WB_WARN, "synchronous: full",
            "synchronous is normal: a power cut may take the last commits back after they were confirmed, and "
            "the target may then stop at the next start");
    for (size_t i = 0; i < s->indexes.n; i++) {
        const char *z = s->indexes.items[i], *open = strchr(z, '(');
        if (!open || open == z || z[strlen(z) - 1] != ')')
            wb_report_add(r, WB_BAD, NULL, "indexes: \"%s\" is not of the form table(column, column)", z);
    }
    if (open_read(h, s->path, file, &db, &mine)) {
        wb_report_add(r, WB_BAD, NULL, "%s", mine.message);
        return WB_OK;
    }
    if (!db) {
        wb_report_add(r, WB_FINE, NULL, "%s will be made", file);
        return WB_OK;
    }
    if (access(file, W_OK) != 0) wb_report_add(r, WB_BAD, NULL, "%s cannot be written: %s", file, strerror(errno));
    check_tables(s, db, wb_host_pipeline(h), file, r);
    if (!r->bad) wb_report_add(r, WB_FINE, NULL, "%s is a SQLite file that can be written", file);
    sqlite3_close_v2(db);
    return WB_OK;
}

static void stand_facts(const sq_target *s, sqlite3 *db, const char *pipeline, const wb_facts *facts)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT epoch, ordinal, updated FROM _walbrook_stand WHERE pipeline = ?1 AND mode = ?2",
                           -1, &st, NULL) != SQLITE_OK)
        return;
    sqlite3_bind_text(st, 1, pipeline, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, sq_key_mode(s), -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW) {
        facts->number(facts->arg, "epoch", sqlite3_column_int64(st, 0));
        facts->number(facts->arg, "ordinal", sqlite3_column_int64(st, 1));
        if (sqlite3_column_text(st, 2))
            facts->text(facts->arg, "last_commit", (const char *)sqlite3_column_text(st, 2));
    }
    sqlite3_finalize(st);
}

wb_code sq_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err)
{
    const sq_target *s = ctx;
    const char *pipeline = wb_host_pipeline(h);
    char file[PATH_MAX], wal[PATH_MAX + 8];
    struct stat sb;
    sqlite3 *db = NULL;
    wb_out o = {0};
    wb_code code = open_read(h, s->path, file, &db, err);
    if (code) return code;
    facts->text(facts->arg, "path", file);
    facts->text(facts->arg, "mode", sq_key_mode(s));
    if (s->synchronous)
        facts->text(facts->arg, "warning", "synchronous is normal: a power cut may lose confirmed changes");
    if (stat(file, &sb) == 0) facts->number(facts->arg, "bytes", (int64_t)sb.st_size);
    snprintf(wal, sizeof wal, "%s-wal", file);
    if (stat(wal, &sb) == 0) facts->number(facts->arg, "wal_bytes", (int64_t)sb.st_size);
    if (!db) return WB_OK;
    stand_facts(s, db, pipeline, facts);
    if (s->mode == SQ_MIRROR) {
        facts->number(
            facts->arg, "tables",
            query_number(db, "SELECT count(*) FROM _walbrook_tables WHERE pipeline = ?1 AND state IN ('ok', 'stale')",
                         pipeline, 0));
        facts->number(
            facts->arg, "tables_without_key",
            query_number(
                db,
                "SELECT count(*) FROM _walbrook_tables t WHERE pipeline = ?1 AND state IN ('ok', 'stale') AND NOT "
                "EXISTS (SELECT 1 FROM _walbrook_columns c WHERE c.table_id = t.id AND c.key_position > 0)",
                pipeline, 0));
        if (list_tables(db, pipeline, "stale", &o) && !o.failed) facts->text(facts->arg, "stale", o.p);
        if (list_tables(db, pipeline, "aside", &o) && !o.failed) facts->text(facts->arg, "set_aside", o.p);
    }
    wb_out_fini(&o);
    sqlite3_close_v2(db);
    return WB_OK;
}
