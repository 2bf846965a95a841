/* state.c: state.db. Every write is one durable SQLite transaction; nobody waits for it but settle and the source. */
#include "core/state.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"

struct wb_state {
    pthread_mutex_t mutex;
    sqlite3 *db;
    int lock_fd;
    uint64_t epoch;
    char *value; /* last kv_get */
    char path[4096];
    struct stat file; /* of a run's: what the path must go on naming; st_ino 0: in memory, or only looked at */
};

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE target(name TEXT PRIMARY KEY, type TEXT NOT NULL, destination TEXT NOT NULL,"
    " position BLOB NOT NULL, ordinal INTEGER NOT NULL, last_position BLOB NOT NULL, last_ordinal INTEGER NOT NULL,"
    " resetting INTEGER NOT NULL, before_position BLOB NOT NULL, before_ordinal INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE source(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

/* ---------------------------------------------------------------- small SQLite helpers */

static wb_code db_fail(wb_state *s, wb_error *err, const char *doing)
{
    int rc = sqlite3_errcode(s->db);
    if (rc == SQLITE_FULL) {
        wb_code code = wb_fail(err, WB_E_FULL, WB_RETRY, "state: the disk is full while %s (%s)", doing, s->path);
        wb_hint(err, "Free some space; nothing is lost, the checkpoint waits.");
        return code;
    }
    wb_code code = wb_fail(err, WB_E_STATE, rc == SQLITE_BUSY || rc == SQLITE_IOERR ? WB_RETRY : WB_NEVER,
                           "state: %s while %s (%s)", sqlite3_errmsg(s->db), doing, s->path);
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        wb_hint(err, "The state file is damaged. Restore it, or begin anew: remove the folder, `walbrook drop`, then "
                     "`walbrook run --resnapshot TARGET` for each target.");
    return code;
}

static wb_code exec(wb_state *s, const char *sql, const char *doing, wb_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? WB_OK : db_fail(s, err, doing);
}

static sqlite3_stmt *prepare(wb_state *s, const char *sql, wb_error *err)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) (void)db_fail(s, err, "preparing");
    return q;
}

static wb_code step_done(wb_state *s, sqlite3_stmt *q, const char *doing, wb_error *err)
{
    wb_code rc = sqlite3_step(q) == SQLITE_DONE ? WB_OK : db_fail(s, err, doing);
    sqlite3_finalize(q);
    return rc;
}

static wb_code meta_put(wb_state *s, const char *key, const char *text, wb_error *err)
{
    sqlite3_stmt *q =
        prepare(s, "INSERT INTO meta VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value", err);
    if (!q) return WB_E_STATE;
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, text, -1, SQLITE_STATIC);
    return step_done(s, q, "writing", err);
}

/* "" when absent. */
static wb_code meta_get(wb_state *s, const char *key, char *out, size_t cap, wb_error *err)
{
    out[0] = 0;
    sqlite3_stmt *q = prepare(s, "SELECT value FROM meta WHERE key=?", err);
    if (!q) return WB_E_STATE;
    sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) snprintf(out, cap, "%s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? WB_OK : db_fail(s, err, "reading");
}

/* ---------------------------------------------------------------- open, close */

static wb_code first_use(wb_state *s, const char *pipeline, const char *source_type, wb_error *err)
{
    char version[16];
    snprintf(version, sizeof version, "%d", WB_STATE_VERSION);
    wb_code rc = exec(s, "BEGIN IMMEDIATE", "creating", err);
    if (rc == WB_OK) rc = exec(s, schema, "creating", err);
    if (rc == WB_OK) rc = meta_put(s, "version", version, err);
    if (rc == WB_OK) rc = meta_put(s, "pipeline", pipeline, err);
    if (rc == WB_OK) rc = meta_put(s, "source", source_type, err);
    if (rc == WB_OK) rc = meta_put(s, "epoch", "0", err);
    if (rc == WB_OK) rc = exec(s, "COMMIT", "creating", err);
    return rc;
}

static wb_code look_inside(wb_state *s, const char *pipeline, const char *source_type, bool may_create, wb_error *err)
{
    int tables = -1;
    sqlite3_stmt *q = prepare(s, "SELECT count(*) FROM sqlite_schema", err);
    if (!q) return WB_E_STATE;
    if (sqlite3_step(q) == SQLITE_ROW) tables = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    if (tables < 0) return db_fail(s, err, "opening");
    if (tables == 0) return may_create ? first_use(s, pipeline, source_type, err) : WB_AGAIN;
    char text[128];
    wb_code rc = meta_get(s, "version", text, sizeof text, err);
    if (rc != WB_OK) return rc;
    int version = (int)strtol(text, NULL, 10);
    if (version != WB_STATE_VERSION) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "state: %s is of version %s, this walbrook writes version %d", s->path,
                text[0] ? text : "(none)", WB_STATE_VERSION);
        wb_hint(err, "Run the walbrook that wrote it, or a newer one.");
        return WB_E_STATE;
    }
    rc = meta_get(s, "pipeline", text, sizeof text, err);
    if (rc == WB_OK && pipeline && strcmp(text, pipeline) != 0) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "state: %s belongs to the pipeline \"%s\", not to \"%s\"", s->path, text,
                pipeline);
        wb_hint(err, "Give every pipeline a state folder of its own (`state:`), or keep its `name:`.");
        return WB_E_STATE;
    }
    if (rc == WB_OK) rc = meta_get(s, "source", text, sizeof text, err);
    if (rc == WB_OK && strcmp(text, source_type) != 0)
        return wb_fail(err, WB_E_STATE, WB_NEVER, "state: %s is of a %s source, the pipeline file says %s", s->path,
                       text, source_type);
    if (rc == WB_OK) rc = meta_get(s, "epoch", text, sizeof text, err);
    s->epoch = strtoull(text, NULL, 10);
    return rc;
}

static wb_code open_db(wb_state *s, const char *dir, wb_state_mode mode, wb_error *err)
{
    struct stat st;
    if (dir && mode != WB_STATE_RUN && stat(s->path, &st) != 0) return WB_AGAIN;
    int flags = SQLITE_OPEN_NOMUTEX | (mode == WB_STATE_LOOK ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                (mode == WB_STATE_RUN ? SQLITE_OPEN_CREATE : 0);
    mode_t old = umask(0077);
    int rc = sqlite3_open_v2(dir ? s->path : ":memory:", &s->db, flags, NULL);
    if (rc == SQLITE_OK && mode == WB_STATE_RUN)
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=200",
                          NULL, NULL, NULL);
    umask(old);
    if (rc != SQLITE_OK) {
        (void)db_fail(s, err, "opening");
        if (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY)
            wb_hint(err, "The state folder and its files must be readable and writable for this user.");
        return WB_E_STATE;
    }
    sqlite3_busy_timeout(s->db, 5000);
    return WB_OK;
}

wb_code wb_state_open(const char *dir, const char *pipeline, const char *source_type, wb_state_mode mode,
                      wb_state **out, wb_error *err)
{
    *out = NULL;
    wb_state *s = calloc(1, sizeof *s);
    if (!s) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "state: out of memory");
    s->lock_fd = -1;
    pthread_mutex_init(&s->mutex, NULL);
    snprintf(s->path, sizeof s->path, "%s/state.db", dir ? dir : "(memory)");
    wb_code rc = WB_OK;
    if (dir && mode == WB_STATE_RUN) {
        rc = wb_io_mkdir(dir, 0700, err);
        if (rc == WB_OK) rc = wb_state_lock(dir, &s->lock_fd, err);
    }
    if (rc == WB_OK) rc = open_db(s, dir, mode, err);
    if (rc == WB_OK) rc = look_inside(s, pipeline, source_type, mode == WB_STATE_RUN, err);
    if (rc == WB_OK && dir && mode == WB_STATE_RUN && stat(s->path, &s->file) != 0)
        rc = wb_fail_errno(err, errno, "state: cannot look at %s", s->path);
    if (rc != WB_OK) {
        wb_state_close(s);
        return rc;
    }
    *out = s;
    return WB_OK;
}

void wb_state_close(wb_state *s)
{
    if (!s) return;
    sqlite3_close(s->db);
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_mutex_destroy(&s->mutex);
    free(s->value);
    free(s);
}

wb_code wb_state_remove(const char *dir, wb_error *err)
{
    static const char *const files[] = {"state.db", "state.db-wal", "state.db-shm", "status.json", "lock"};
    char path[4096];
    for (size_t i = 0; i < WB_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        if (unlink(path) != 0 && errno != ENOENT) return wb_fail_errno(err, errno, "state: cannot remove %s", path);
    }
    if (rmdir(dir) != 0 && errno != ENOENT && errno != ENOTEMPTY)
        return wb_fail_errno(err, errno, "state: cannot remove the folder %s", dir);
    return WB_OK;
}

/* SQLite would go on writing to a file that no folder names: the server would be told to forget what nobody knows to
 * have been delivered. */
static wb_code same_file(const wb_state *s, wb_error *err)
{
    struct stat now;
    if (!s->file.st_ino) return WB_OK;
    int rc = stat(s->path, &now);
    if (rc == 0 && now.st_dev == s->file.st_dev && now.st_ino == s->file.st_ino) return WB_OK;
    if (rc != 0 && errno != ENOENT && errno != ENOTDIR)
        return wb_fail(err, WB_E_STATE, WB_RETRY, "state: cannot look at %s: %s", s->path, strerror(errno));
    wb_fail(err, WB_E_STATE, WB_NEVER, "state: %s was %s while the pipeline ran", s->path, rc ? "deleted" : "replaced");
    wb_hint(err,
            "Put the folder back as it was, or begin anew: `walbrook drop`, then `walbrook run --resnapshot TARGET` "
            "for each target.");
    return WB_E_STATE;
}

/* The lock is there to keep a second run out; where it was lost (a shared folder whose server forgot it, a lock file
 * that somebody removed), the later start has written its epoch, and the earlier one must write nothing more. */
static wb_code look_at_epoch(wb_state *s, wb_error *err)
{
    char text[32];
    wb_code rc = same_file(s, err);
    if (rc == WB_OK) rc = meta_get(s, "epoch", text, sizeof text, err);
    if (rc != WB_OK) return rc;
    uint64_t now = strtoull(text, NULL, 10);
    if (now == s->epoch) return WB_OK;
    wb_fail(err, WB_E_FENCED, WB_NEVER,
            "state: another run of this pipeline has taken over %s (its epoch is %llu, ours %llu)", s->path,
            (unsigned long long)now, (unsigned long long)s->epoch);
    wb_hint(err, "The other one goes on from what this one had delivered; this one ends.");
    return WB_E_FENCED;
}

wb_code wb_state_check(wb_state *s, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = look_at_epoch(s, err);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* The mutex is held. */
static wb_code begin(wb_state *s, wb_error *err)
{
    wb_code rc = exec(s, "BEGIN IMMEDIATE", "writing", err);
    return rc == WB_OK ? look_at_epoch(s, err) : rc;
}

/* Commit, or undo what `rc` says has failed. */
static wb_code end(wb_state *s, wb_code rc, const char *doing, wb_error *err)
{
    if (rc == WB_OK) rc = exec(s, "COMMIT", doing, err);
    if (rc != WB_OK && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* The clock keeps a later start ahead of an earlier one even when the state folder was restored from a copy. */
wb_code wb_state_next_epoch(wb_state *s, uint64_t *epoch, wb_error *err)
{
    char text[32];
    pthread_mutex_lock(&s->mutex);
    uint64_t now = (uint64_t)wb_now_us() / 1000, next = WB_MAX(s->epoch + 1, now);
    snprintf(text, sizeof text, "%llu", (unsigned long long)next);
    wb_code rc = meta_put(s, "epoch", text, err);
    if (rc == WB_OK) *epoch = s->epoch = next;
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

uint64_t wb_state_epoch(wb_state *s) { return s->epoch; }

/* ---------------------------------------------------------------- targets */

void wb_target_state_fini(wb_target_state *t)
{
    free(t->destination);
    wb_kept_fini(&t->checkpoint);
    wb_kept_fini(&t->last);
    wb_kept_fini(&t->before);
}

static void bind_stand(sqlite3_stmt *q, int at, const wb_kept *k)
{
    wb_stand s = wb_kept_stand(k);
    sqlite3_bind_blob(q, at, s.pos.len ? s.pos.ptr : "", (int)s.pos.len, SQLITE_STATIC);
    sqlite3_bind_int64(q, at + 1, (sqlite3_int64)s.ordinal);
}

static wb_code save_one(wb_state *s, const wb_target_state *t, wb_error *err)
{
    sqlite3_stmt *q = prepare(
        s,
        "INSERT INTO target VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT(name) DO UPDATE SET "
        "type=?2,destination=?3,"
        "position=?4,ordinal=?5,last_position=?6,last_ordinal=?7,resetting=?8,before_position=?9,before_ordinal=?10",
        err);
    if (!q) return WB_E_STATE;
    sqlite3_bind_text(q, 1, t->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 2, t->type, -1, SQLITE_STATIC);
    sqlite3_bind_text(q, 3, t->destination ? t->destination : "", -1, SQLITE_STATIC);
    bind_stand(q, 4, &t->checkpoint);
    bind_stand(q, 6, &t->last);
    sqlite3_bind_int(q, 8, t->resetting);
    bind_stand(q, 9, &t->before);
    return step_done(s, q, "writing the checkpoint", err);
}

wb_code wb_state_save_targets(wb_state *s, const wb_target_state *const *t, size_t n, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    int fault = WB_FAULT("checkpoint.before_commit");
    wb_code rc = fault ? wb_fail_errno(err, fault, "state: checkpoint") : begin(s, err);
    for (size_t i = 0; rc == WB_OK && i < n; i++) rc = save_one(s, t[i], err);
    rc = end(s, rc, "writing the checkpoint", err);
    if (rc == WB_OK) (void)WB_FAULT("checkpoint.after_commit");
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static bool read_stand(sqlite3_stmt *q, int at, wb_kept *k)
{
    wb_stand s = {{sqlite3_column_blob(q, at), (size_t)sqlite3_column_bytes(q, at)},
                  (uint64_t)sqlite3_column_int64(q, at + 1)};
    return wb_keep(k, s);
}

wb_code wb_state_load_targets(wb_state *s, void (*each)(void *arg, const wb_target_state *t), void *arg, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = WB_OK;
    sqlite3_stmt *q = prepare(s,
                              "SELECT name,type,destination,position,ordinal,last_position,last_ordinal,resetting,"
                              "before_position,before_ordinal FROM target ORDER BY name",
                              err);
    if (!q) rc = WB_E_STATE;
    int step = SQLITE_DONE;
    while (q && (step = sqlite3_step(q)) == SQLITE_ROW) {
        wb_target_state t = {0};
        snprintf(t.name, sizeof t.name, "%s", (const char *)sqlite3_column_text(q, 0));
        snprintf(t.type, sizeof t.type, "%s", (const char *)sqlite3_column_text(q, 1));
        t.destination = strdup((const char *)sqlite3_column_text(q, 2));
        t.resetting = sqlite3_column_int(q, 7) != 0;
        if (t.destination && read_stand(q, 3, &t.checkpoint) && read_stand(q, 5, &t.last) &&
            read_stand(q, 8, &t.before))
            each(arg, &t);
        else
            rc = wb_fail(err, WB_E_NOMEM, WB_NEVER, "state: out of memory");
        wb_target_state_fini(&t);
    }
    if (rc == WB_OK && step != SQLITE_DONE) rc = db_fail(s, err, "reading the checkpoints");
    sqlite3_finalize(q);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

wb_code wb_state_forget_target(wb_state *s, const char *name, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = begin(s, err);
    sqlite3_stmt *q = rc == WB_OK ? prepare(s, "DELETE FROM target WHERE name=?", err) : NULL;
    if (rc == WB_OK && !q) rc = WB_E_STATE;
    if (q) {
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        rc = step_done(s, q, "forgetting a target", err);
    }
    if (rc == WB_OK && sqlite3_changes(s->db) == 0)
        rc = wb_fail(err, WB_E_CONFIG, WB_NEVER, "--forget %s: the state knows no target of that name", name);
    rc = end(s, rc, "forgetting a target", err);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* ---------------------------------------------------------------- what the source remembers */

static wb_code kv_put(wb_state *s, sqlite3_stmt *q, const wb_kv *kv, wb_error *err)
{
    sqlite3_bind_text(q, 1, kv->key, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(q, 2, kv->value.len ? kv->value.ptr : "", kv->value.len, SQLITE_STATIC);
    int step = sqlite3_step(q);
    sqlite3_reset(q);
    return step == SQLITE_DONE ? WB_OK : db_fail(s, err, "writing what the source remembers");
}

/* The mutex is held. */
static wb_code kv_put_all(wb_state *s, const wb_kv *kv, size_t n, wb_error *err)
{
    wb_code rc = begin(s, err);
    sqlite3_stmt *put = NULL, *del = NULL;
    if (rc == WB_OK)
        put = prepare(s, "INSERT INTO source VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value", err);
    if (put) del = prepare(s, "DELETE FROM source WHERE key=?1 AND ?2 IS NOT NULL", err);
    if (rc == WB_OK && (!put || !del)) rc = WB_E_STATE;
    for (size_t i = 0; rc == WB_OK && i < n; i++) rc = kv_put(s, kv[i].value.ptr ? put : del, &kv[i], err);
    sqlite3_finalize(put);
    sqlite3_finalize(del);
    return end(s, rc, "writing what the source remembers", err);
}

wb_code wb_state_kv_put_all(wb_state *s, const wb_kv *kv, size_t n, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = kv_put_all(s, kv, n, err);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

/* The commit is not synced, but the next one is, and with it everything before: SQLite's log is one file. */
wb_code wb_state_kv_note(wb_state *s, const wb_kv *kv, size_t n, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = exec(s, "PRAGMA synchronous=NORMAL", "writing", err);
    if (rc == WB_OK) rc = kv_put_all(s, kv, n, err);
    wb_error ignored;
    wb_error_reset(&ignored);
    wb_code full = exec(s, "PRAGMA synchronous=FULL", "writing", rc == WB_OK ? err : &ignored);
    pthread_mutex_unlock(&s->mutex);
    return rc == WB_OK ? full : rc;
}

wb_code wb_state_kv_put(wb_state *s, const char *key, wb_str value, wb_error *err)
{
    return wb_state_kv_put_all(s, &(wb_kv){key, value.ptr ? value : (wb_str){"", 0}}, 1, err);
}

wb_code wb_state_kv_get(wb_state *s, const char *key, wb_str *value, wb_error *err)
{
    *value = (wb_str){NULL, 0};
    pthread_mutex_lock(&s->mutex);
    wb_code rc = WB_E_STATE;
    sqlite3_stmt *q = prepare(s, "SELECT value FROM source WHERE key=?", err);
    if (q) {
        sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
        int step = sqlite3_step(q);
        rc = step == SQLITE_ROW || step == SQLITE_DONE ? WB_OK : db_fail(s, err, "reading what the source remembers");
        if (step == SQLITE_ROW) {
            size_t n = (size_t)sqlite3_column_bytes(q, 0);
            char *copy = malloc(n + 1);
            if (!copy) {
                rc = wb_fail(err, WB_E_NOMEM, WB_NEVER, "state: out of memory");
            } else {
                if (n) memcpy(copy, sqlite3_column_blob(q, 0), n);
                copy[n] = 0;
                free(s->value);
                s->value = copy;
                *value = (wb_str){copy, n};
            }
        }
        sqlite3_finalize(q);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

wb_code wb_state_kv_del(wb_state *s, const char *key, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = begin(s, err);
    sqlite3_stmt *q = rc == WB_OK ? prepare(s, "DELETE FROM source WHERE key=?", err) : NULL;
    if (rc == WB_OK && !q) rc = WB_E_STATE;
    if (q) {
        sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
        rc = step_done(s, q, "forgetting what the source remembered", err);
    }
    rc = end(s, rc, "forgetting what the source remembered", err);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

wb_code wb_state_kv_list(wb_state *s, const char *prefix, void (*each)(void *arg, const char *key, wb_str value),
                         void *arg, wb_error *err)
{
    pthread_mutex_lock(&s->mutex);
    wb_code rc = WB_E_STATE;
    sqlite3_stmt *q = prepare(s, "SELECT key,value FROM source WHERE substr(key,1,length(?1))=?1 ORDER BY key", err);
    if (q) {
        sqlite3_bind_text(q, 1, prefix, -1, SQLITE_STATIC);
        int step;
        while ((step = sqlite3_step(q)) == SQLITE_ROW)
            each(arg, (const char *)sqlite3_column_text(q, 0),
                 (wb_str){sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1)});
        rc = step == SQLITE_DONE ? WB_OK : db_fail(s, err, "reading what the source remembers");
        sqlite3_finalize(q);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

wb_code wb_state_peek(const char *dir, const char *source_type, const char *prefix,
                      void (*each)(void *arg, const char *key, wb_str value), void *arg, wb_error *err)
{
    wb_state *s;
    wb_code rc = wb_state_open(dir, NULL, source_type, WB_STATE_LOOK, &s, err);
    if (rc == WB_AGAIN) {
        rc = wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s is no state folder of a pipeline: it has no state.db.", dir);
        wb_hint(err, "A pipeline keeps its state beside its file, in NAME.state, unless `state:` says otherwise.");
    }
    if (rc != WB_OK) return rc;
    rc = wb_state_kv_list(s, prefix, each, arg, err);
    wb_state_close(s);
    return rc;
}
