/* sqlite.c: the target `sqlite`: options, opening, transactions, tickets. Each SQLite transaction takes many source
 * transactions and the stand after them, so the file always shows whole source transactions and knows which (G-02,
 * G-05). It commits when nothing more waits, or at `commit_rows`: while one commit syncs the next rows gather, so the
 * groups grow with the load and no timer adds latency. Called by the engine, on the target's thread. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "targets/sqlite/sqlite_target.h"

/* ---------------------------------------------------------------- errors */

static const struct {
    int rc;
    wb_code code;
    wb_next next;
    const char *name, *hint;
} classes[] = {
    {SQLITE_BUSY, WB_E_IO, WB_RETRY, "BUSY", "Another program holds the file locked; end its transaction."},
    {SQLITE_LOCKED, WB_E_IO, WB_RETRY, "LOCKED", "Another program holds the file locked; end its transaction."},
    {SQLITE_FULL, WB_E_FULL, WB_RECONNECT, "FULL", "Make room on the file's disk."},
    {SQLITE_IOERR, WB_E_IO, WB_RECONNECT, "IOERR", ""},
    {SQLITE_NOMEM, WB_E_NOMEM, WB_RECONNECT, "NOMEM", ""},
    {SQLITE_INTERRUPT, WB_E_STOPPED, WB_RECONNECT, "INTERRUPT", ""},
    {SQLITE_CORRUPT, WB_E_IO, WB_NEVER, "CORRUPT",
     "The file is damaged: put back a copy, or move it away and take a new snapshot."},
    {SQLITE_NOTADB, WB_E_IO, WB_NEVER, "NOTADB", "The file is not a SQLite database: name another `path`."},
    {SQLITE_READONLY, WB_E_IO, WB_NEVER, "READONLY", "Give this user the right to write the file and its folder."},
    {SQLITE_PERM, WB_E_IO, WB_NEVER, "PERM", "Give this user the right to write the file and its folder."},
    {SQLITE_CANTOPEN, WB_E_IO, WB_NEVER, "CANTOPEN",
     "The folder must exist, and this user must be allowed to write in it."},
    {SQLITE_TOOBIG, WB_E_DATA, WB_POISON, "TOOBIG", "SQLite holds at most 1 GB a row."},
    {SQLITE_CONSTRAINT, WB_E_DATA, WB_NEVER, "CONSTRAINT",
     "A UNIQUE index, a CHECK or a trigger that was added to the mirror refuses the row: drop it."},
    {SQLITE_ERROR, WB_E_SERVER, WB_NEVER, "ERROR",
     "If the mirror's tables were altered by hand, undo that, or take a new snapshot."},
};

wb_code sq_fail(sq_target *s, int rc, wb_error *err, const char *fmt, ...)
{
    char what[256];
    size_t i = 0;
    int sys = s->db ? sqlite3_system_errno(s->db) : 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    while (i < WB_COUNT(classes) && classes[i].rc != (rc & 0xff)) i++;
    if (i == WB_COUNT(classes)) {
        return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "%s: %s (SQLite code %d)", what,
                       s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc), rc);
    }
    wb_code code = classes[i].code;
    if (classes[i].rc == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT)) code = WB_E_FULL;
    if (code == WB_E_STOPPED)
        wb_fail(err, code, classes[i].next, "%s: interrupted", what);
    else
        wb_fail(err, code, classes[i].next, "%s: %s", what, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    if (err && !err->native[0]) {
        snprintf(err->native, sizeof err->native, "%s", classes[i].name);
        err->sys = code == WB_E_IO || code == WB_E_FULL ? sys : 0;
    }
    if (classes[i].hint[0]) wb_hint(err, "%s", classes[i].hint);
    return code;
}

wb_code sq_exec(sq_target *s, wb_error *err, const char *sql)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? WB_OK : sq_fail(s, rc, err, "%.60s in %s", sql, s->file);
}

wb_code sq_exec_out(sq_target *s, wb_error *err)
{
    wb_out_byte(&s->sql, 0);
    if (s->sql.failed) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for a statement");
    return sq_exec(s, err, s->sql.p);
}

wb_code sq_prepare(sq_target *s, const char *sql, sqlite3_stmt **out, wb_error *err)
{
    int rc = sqlite3_prepare_v2(s->db, sql, -1, out, NULL);
    return rc == SQLITE_OK ? WB_OK : sq_fail(s, rc, err, "%.60s in %s", sql, s->file);
}

wb_code sq_run(sq_target *s, sqlite3_stmt *st, wb_error *err, const char *what)
{
    int rc = sqlite3_step(st);
    wb_code code = rc == SQLITE_DONE || rc == SQLITE_ROW ? WB_OK : sq_fail(s, rc, err, "%s in %s", what, s->file);
    sqlite3_reset(st);
    return code;
}

/* ---------------------------------------------------------------- transactions */

/* Nothing of the open transaction stays: its tickets are answered as failed, the engine brings them again. */
static wb_code roll_back(sq_target *s, const wb_error *why, wb_code code)
{
    wb_error each = *why;
    if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    sq_plans_drop(s); /* tables made in it are gone again */
    s->in_txn = s->open = false;
    s->rows = 0;
    if (each.next != WB_NEVER) each.next = WB_RECONNECT;
    for (size_t i = 0; i < s->ntickets; i++) wb_host_done(s->host, s->tickets[i], &each);
    s->ntickets = 0;
    return code;
}

/* The turn of a snapshot that is open does not end. Its tickets say nothing that was not safe before it. */
static void abandon(sq_target *s)
{
    if (!s->open) return;
    if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    sq_plans_drop(s);
    s->in_txn = s->open = false;
    s->rows = 0;
    for (size_t i = 0; i < s->ntickets; i++) wb_host_done(s->host, s->tickets[i], NULL);
    s->ntickets = 0;
}

static wb_code begin(sq_target *s, wb_error *err)
{
    wb_code code = sq_run(s, s->begin, err, "beginning a transaction");
    if (code) return code;
    s->in_txn = true;
    s->first_us = s->commit_every_ms ? wb_mono_us() : 0;
    return WB_OK;
}

static wb_code fault(const char *name, int sys, wb_error *err)
{
    WB_UNUSED(name);
    return sys ? wb_fail_errno(err, sys, "fault point %s", name) : WB_OK;
}

static void checkpoint(sq_target *s)
{
    int left = 0, done = 0;
    if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &left, &done) == SQLITE_OK && left == done)
        s->wal_pages = 0;
    s->idle_us = wb_mono_us();
}

static wb_code commit_steps(sq_target *s, wb_error *err)
{
    wb_code code = sq_same_file(s, err);
    if (!code && s->parked) code = sq_park_settle(s, err);
    if (!code) code = sq_meta_stand(s, err);
    if (!code) code = fault("sqlite.before_commit", WB_FAULT("sqlite.before_commit"), err);
    if (!code) code = sq_run(s, s->commit, err, "committing");
    return code;
}

/* Commit and answer. On an error the transaction is rolled back and every ticket answered as failed, except the last
 * one with `keep_last`: its write returns the error itself. */
static wb_code commit(sq_target *s, bool keep_last, wb_error *err)
{
    wb_code code = commit_steps(s, err);
    if (code) {
        if (err->next == WB_RETRY || err->next == WB_POISON) err->next = WB_RECONNECT;
        if (keep_last) s->ntickets--;
        return roll_back(s, err, code);
    }
    (void)WB_FAULT("sqlite.after_commit");
    s->in_txn = false;
    s->rows = 0;
    for (size_t i = 0; i < s->ntickets; i++) wb_host_done(s->host, s->tickets[i], NULL);
    s->ntickets = 0;
    (void)WB_FAULT("sqlite.after_done");
    if (s->pos.len && !s->copying) s->snapshot_done = true;
    if (s->wal_pages >= SQ_WAL_PAGES)
        checkpoint(s);
    else
        s->idle_us = wb_mono_us();
    if (s->indexes_due && s->snapshot_done) sq_secondary_indexes(s);
    return WB_OK;
}

/* ---------------------------------------------------------------- open, close */

static int when_busy(void *arg, int count)
{
    sq_target *s = arg;
    if ((int64_t)count * 5 >= s->busy_ms || atomic_load(&s->interrupted)) return 0;
    wb_sleep_us(5000);
    return 1;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    WB_UNUSED(db);
    WB_UNUSED(name);
    ((sq_target *)arg)->wal_pages = pages;
    return SQLITE_OK;
}

/* Guards `db` between interrupt (any thread) and open and close. */
static pthread_mutex_t db_mutex = PTHREAD_MUTEX_INITIALIZER;

static void publish(sq_target *s, sqlite3 *db)
{
    pthread_mutex_lock(&db_mutex);
    s->db = db;
    pthread_mutex_unlock(&db_mutex);
}

static void interrupt(void *ctx)
{
    sq_target *s = ctx;
    pthread_mutex_lock(&db_mutex);
    bool leave = s->db && atomic_load(&s->building) && !wb_host_stopping(s->host);
    if (!leave) atomic_store(&s->interrupted, true);
    if (!leave && s->db) sqlite3_interrupt(s->db);
    pthread_mutex_unlock(&db_mutex);
}

static wb_code wal_mode(sq_target *s, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(s, "PRAGMA journal_mode = WAL", &st, err);
    int rc;
    if (code) return code;
    rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        code = sq_fail(s, rc, err, "opening %s", s->file);
    } else if (strcmp((const char *)sqlite3_column_text(st, 0), "wal") != 0) {
        code = wb_fail(err, WB_E_IO, WB_NEVER, "%s cannot have a write-ahead log", s->file);
        wb_hint(err, "Put the file on a local disk: SQLite's WAL does not work over a network.");
    }
    sqlite3_finalize(st);
    return code;
}

static wb_code pragmas(sq_target *s, wb_error *err)
{
    int64_t cache = WB_MAX(wb_host_memory(s->host) / 1024, (int64_t)2048);
    wb_code code = wal_mode(s, err);
    if (code) return code;
    sqlite3_wal_hook(s->db, on_wal, s); /* instead of wal_autocheckpoint: after the answers, not before */
    wb_out_reset(&s->sql);
    wb_out_printf(&s->sql,
                  "PRAGMA synchronous = %s; PRAGMA cache_size = -%lld; PRAGMA journal_size_limit = 134217728; PRAGMA "
                  "secure_delete = FAST",
                  s->synchronous ? "NORMAL" : "FULL", (long long)WB_MIN(cache, (int64_t)16384));
    code = sq_exec_out(s, err);
    if (!code) code = sq_prepare(s, "BEGIN IMMEDIATE", &s->begin, err);
    if (!code) code = sq_prepare(s, "COMMIT", &s->commit, err);
    return code;
}

static wb_code open_file(sq_target *s, wb_error *err)
{
    sqlite3 *db = NULL;
    int rc;
    wb_code code = wb_host_path(s->host, s->path, s->file, sizeof s->file, err);
    if (code) return code;
    rc = sqlite3_open_v2(s->file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    publish(s, db);
    if (rc != SQLITE_OK) return sq_fail(s, rc, err, "opening %s", s->file);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_handler(db, when_busy, s);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return pragmas(s, err);
}

static wb_code target_open(void *ctx, wb_host *h, wb_open *o, wb_error *err)
{
    sq_target *s = ctx;
    wb_code code;
    s->host = h;
    s->epoch = o->epoch;
    atomic_store(&s->interrupted, false);
    atomic_store(&s->building, false);
    wb_arena_init(&s->scratch, 4096, 0);
    s->idle_us = wb_mono_us();
    o->keeps = true;
    code = open_file(s, err);
    if (!code) code = sq_claim(s, err);
    if (!code) code = sq_meta_open(s, o, err);
    if (!code && s->mode == SQ_LOG) code = sq_log_open(s, err);
    if (code) return code;
    s->indexes_due = s->indexes.n > 0;
    if (s->snapshot_done && s->indexes_due) sq_secondary_indexes(s);
    return WB_OK;
}

static void target_close(void *ctx)
{
    sq_target *s = ctx;
    sqlite3 *db = s->db;
    if (!s->host) return;
    sq_release(s);
    if (db) {
        if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        sq_plans_drop(s);
        sq_log_close(s);
        sqlite3_finalize(s->begin);
        sqlite3_finalize(s->commit);
        sqlite3_finalize(s->stand);
        publish(s, NULL);
        sqlite3_close_v2(db); /* the last one to close moves the log into the file */
    }
    s->begin = s->commit = s->stand = NULL;
    free(s->tickets);
    s->tickets = NULL;
    s->ntickets = s->cap_tickets = 0;
    wb_out_fini(&s->pos);
    wb_out_fini(&s->own_pos);
    wb_out_fini(&s->sql);
    wb_arena_fini(&s->scratch);
    s->in_txn = s->open = s->copying = s->snapshot_done = s->wide = false;
    s->rows = 0;
    s->wal_pages = 0;
    s->host = NULL;
}

/* ---------------------------------------------------------------- write, flush */

static bool has_new_table(sq_target *s, const wb_view *v)
{
    const wb_table *last = NULL;
    const wb_change *c;
    for (size_t i = 0; (c = wb_view_next(v, &i));) {
        if (c->table == last || !c->table) continue;
        last = c->table;
        if (!sq_plan_find(s, last->serial)) return true;
    }
    return false;
}

static wb_code keep_ticket(sq_target *s, wb_ticket t, wb_error *err)
{
    if (s->ntickets == s->cap_tickets) {
        size_t cap = s->cap_tickets ? 2 * s->cap_tickets : 256;
        wb_ticket *p = realloc(s->tickets, cap * sizeof *p);
        if (!p) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for %zu open tickets", cap);
        s->tickets = p;
        s->cap_tickets = cap;
    }
    s->tickets[s->ntickets++] = t;
    return WB_OK;
}

static wb_code apply_view(sq_target *s, const wb_view *v, wb_ticket t, wb_error *err)
{
    const wb_change *c;
    uint32_t txn = UINT32_MAX;
    bool reset = (v->flags & WB_BATCH_RESET) != 0, again = (v->flags & WB_BATCH_AGAIN) != 0;
    wb_code code = reset ? sq_meta_reset(s, again, err) : WB_OK;
    for (size_t i = 0; !code && (c = wb_view_next(v, &i));) {
        if (WB_UNLIKELY(s->parked) && c->txn != txn && txn != UINT32_MAX) {
            code = sq_park_settle(s, err);
            if (code) break;
        }
        txn = c->txn;
        s->copying = (v->txns[txn].flags & WB_TXN_SNAPSHOT) && !(c->flags & WB_C_LAST_OF_SNAPSHOT);
        code = s->mode == SQ_LOG ? sq_log_apply(s, wb_view_txn(v, c), c, err) : sq_mirror_apply(s, c, err);
        if (WB_UNLIKELY(code) && err->next == WB_POISON && !sqlite3_get_autocommit(s->db)) {
            wb_error why = *err;
            wb_error_reset(err);
            code = wb_host_poison(s->host, t, v, c, &why, err);
        }
        s->rows++;
    }
    s->open = (v->flags & WB_VIEW_OPEN) != 0;
    s->boundary = v->ends_txn;
    return code;
}

static bool is_empty(const wb_view *v)
{
    size_t i = 0;
    return !(v->flags & WB_BATCH_RESET) && !wb_view_next(v, &i);
}

static wb_code take_stand(sq_target *s, const wb_view *v, wb_error *err)
{
    wb_out_reset(&s->pos);
    wb_out_put(&s->pos, v->stand.pos.ptr, v->stand.pos.len);
    s->ordinal = v->stand.ordinal;
    return s->pos.failed ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for a position") : WB_OK;
}

static wb_code target_write(void *ctx, const wb_view *v, wb_ticket t, wb_error *err)
{
    sq_target *s = ctx;
    wb_code code = WB_OK;
    if (v->flags & WB_VIEW_ABANDON) abandon(s);
    bool new_table = s->mode == SQ_MIRROR && has_new_table(s, v);
    if (is_empty(v) && !s->in_txn) {
        wb_host_done(s->host, t, NULL);
        return WB_OK;
    }
    /* A change of schema may stop us, and a turn may be undone: what came before it is committed first. */
    bool begins = (v->flags & WB_VIEW_OPEN) && !s->open;
    if (s->in_txn && s->boundary && (new_table || begins)) code = commit(s, false, err);
    if (code) return code;
    if (!s->in_txn) {
        code = begin(s, err);
        if (code) return code; /* nothing was taken: the same view may come again */
    }
    code = apply_view(s, v, t, err);
    if (!code) code = take_stand(s, v, err);
    if (!code) code = keep_ticket(s, t, err);
    if (code) {
        if (err->next == WB_RETRY || (err->next == WB_POISON && s->ntickets)) err->next = WB_RECONNECT;
        return roll_back(s, err, code);
    }
    wb_host_free(s->host, t);
    s->grew_us = wb_mono_us();
    return s->boundary && s->rows >= (uint64_t)s->commit_rows ? commit(s, true, err) : WB_OK;
}

/* More is expected: `commit_every` is not over; or much came just now, and in a flood a source lets its server get
 * ahead for some milliseconds. */
static bool is_early(const sq_target *s)
{
    enum { MANY = 4096, LULL_US = 20000 };
    int64_t now = wb_mono_us();
    bool collects = s->commit_every_ms && now - s->first_us < s->commit_every_ms * 1000;
    bool flood = s->rows >= MANY && now - s->grew_us < LULL_US;
    return (collects || flood) && s->rows < (uint64_t)s->commit_rows;
}

static wb_code target_flush(void *ctx, int ms, wb_error *err)
{
    sq_target *s = ctx;
    if (!s->in_txn) {
        if (s->wal_pages > 0 && (ms < 0 || wb_mono_us() - s->idle_us > 1000000)) checkpoint(s);
        return WB_OK;
    }
    if (s->boundary) {
        if (ms >= 0 && is_early(s)) return WB_AGAIN;
        return commit(s, false, err);
    }
    if (ms >= 0) return WB_AGAIN; /* the rest of the transaction is still to come */
    abandon(s);
    if (!s->in_txn) return WB_OK;
    wb_error why = {0};
    wb_fail(&why, WB_E_STOPPED, WB_RECONNECT,
            "stopped in the middle of a transaction; the next start begins with it again");
    (void)roll_back(s, &why, why.code);
    return WB_OK;
}

/* ---------------------------------------------------------------- the plugin */

static const wb_choice modes[] = {{"mirror", SQ_MIRROR, "each source table as a table, row by row"},
                                  {"log", SQ_LOG, "one table that every change is appended to"},
                                  {NULL, 0, NULL}};
static const wb_choice on_change[] = {{"follow", SQ_FOLLOW, "alter the mirror table in the same transaction"},
                                      {"stop", SQ_STOP, "stop the target and say what changed"},
                                      {NULL, 0, NULL}};
static const wb_choice on_drop[] = {{"keep", SQ_KEEP, "keep the column; new rows have NULL in it"},
                                    {"drop", SQ_DROP, "drop it in the mirror too"},
                                    {NULL, 0, NULL}};
static const wb_choice syncs[] = {{"full", 0, "a commit survives a power cut"},
                                  {"normal", 1,
                                   "the last commits may be lost to a power cut; the file then stands further back and "
                                   "the source brings them again if it still has them"},
                                  {NULL, 0, NULL}};

#define AT(field) (uint32_t) offsetof(sq_target, field)
static const wb_option options[] = {
    {.name = "path",
     .type = WB_OPT_STRING,
     .offset = AT(path),
     .flags = WB_OPT_REQUIRED,
     .brief = "the SQLite file; made when missing",
     .example = "shop.db"},
    {.name = "mode",
     .type = WB_OPT_ENUM,
     .offset = AT(mode),
     .def = "mirror",
     .choices = modes,
     .brief = "what the file holds"},
    {.name = "table",
     .type = WB_OPT_STRING,
     .offset = AT(table_template),
     .brief = "name of a mirror table",
     .detail = "May hold ${schema}, ${table} and ${name} (the pipeline). Default: ${table} for the schemas public and "
               "main, ${schema}_${table} for others. SQLite's names do not tell upper from lower case.",
     .example = "\"${schema}_${table}\""},
    {.name = "log_table",
     .type = WB_OPT_STRING,
     .offset = AT(log_table),
     .flags = WB_OPT_ADVANCED,
     .def = "changes",
     .brief = "mode log: name of the table"},
    {.name = "on_schema_change",
     .type = WB_OPT_ENUM,
     .offset = AT(on_schema_change),
     .def = "follow",
     .choices = on_change,
     .brief = "when a source table was altered"},
    {.name = "on_drop",
     .type = WB_OPT_ENUM,
     .offset = AT(on_drop),
     .def = "keep",
     .choices = on_drop,
     .brief = "when a source column was dropped"},
    {.name = "indexes",
     .type = WB_OPT_LIST,
     .offset = AT(indexes),
     .brief = "secondary indexes, made after the snapshot; never UNIQUE",
     .example = "[\"orders(customer_id)\"]"},
    {.name = "commit_rows",
     .type = WB_OPT_INT,
     .offset = AT(commit_rows),
     .flags = WB_OPT_ADVANCED,
     .def = "20000",
     .min = 1,
     .max = 100000000,
     .brief = "commit at the latest after so many rows",
     .detail = "A source transaction is never split: one that is larger is committed whole."},
    {.name = "commit_every",
     .type = WB_OPT_MSEC,
     .offset = AT(commit_every_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "0ms",
     .min = 0,
     .max = 60000,
     .brief = "wait so long for more rows before a commit",
     .detail = "0ms: commit as soon as nothing more waits; what comes during a commit makes the next one. More saves "
               "syncs and costs as much latency."},
    {.name = "synchronous",
     .type = WB_OPT_ENUM,
     .offset = AT(synchronous),
     .flags = WB_OPT_ADVANCED,
     .def = "full",
     .choices = syncs,
     .brief = "what a commit waits for"},
    {.name = "busy_timeout",
     .type = WB_OPT_MSEC,
     .offset = AT(busy_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "500ms",
     .min = 0,
     .max = 60000,
     .brief = "wait so long for another program's lock before trying again later"},
    {0}};

static const char *version(void)
{
    static char text[32];
    snprintf(text, sizeof text, "SQLite %s", sqlite3_libversion());
    return text;
}

const wb_target wb_target_sqlite = {
    .head = {WB_TARGET, "sqlite", "a SQLite file: a live mirror of the tables, or a log of all changes", options,
             sizeof(sq_target), version},
    .caps = WB_TARGET_STANDS,
    .check = sq_check,
    .open = target_open,
    .write = target_write,
    .flush = target_flush,
    .status = sq_status,
    .destination = sq_destination,
    .stores = sq_stores,
    .compare = sq_compare,
    .copy_option = "path",
    .interrupt = interrupt,
    .close = target_close,
};
