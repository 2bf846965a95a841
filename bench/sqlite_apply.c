/* sqlite_apply.c: batches of decoded values straight into the SQLite target, beside a bare loop of prepared statements
 * over the same rows in equal transactions.
 *   bench_sqlite_apply DIR insert ROWS         bare loop, then the target: rows/s, CPU ns a row, ratio
 *   bench_sqlite_apply DIR spread ROWS TABLES   the same, every row in another table than the row before
 *   bench_sqlite_apply DIR update ROWS UPDATES  random updates by key on a mirror of ROWS rows, three rounds
 *   bench_sqlite_apply DIR partial ROWS UPDATES the same with two columns sent */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/options.h"
#include "core/batch.h"
#include "core/engine.h"
#include "targets/sqlite/sqlite_target.h"

enum { VIEW = 4000, GROUP = 20000, COLS = 6, TABLES_MAX = 10000 };

typedef struct row { /* as wire text */
    char text[COLS][40];
    uint32_t len[COLS];
} row;
static row rows[VIEW];
static uint64_t seed = 42;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void make_row(row *r, uint64_t id)
{
    uint64_t x = rnd();
    r->len[0] = (uint32_t)snprintf(r->text[0], 40, "%llu", (unsigned long long)id);
    r->len[1] = (uint32_t)snprintf(r->text[1], 40, "%u", (unsigned)(x % 1000000));
    r->len[2] =
        (uint32_t)snprintf(r->text[2], 40, "%016llx%016llx", (unsigned long long)x, (unsigned long long)(x * 31));
    r->len[3] = (uint32_t)snprintf(r->text[3], 40, "%u.%02u", (unsigned)(x % 99999), (unsigned)(x % 100));
    r->len[4] = (uint32_t)snprintf(r->text[4], 40, "2026-01-%02u 10:%02u:00.%06u+00", (unsigned)(x % 28 + 1),
                                   (unsigned)(x % 60), (unsigned)(x % 1000000));
    r->len[5] = (uint32_t)snprintf(r->text[5], 40, "%c", x & 1 ? 't' : 'f');
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

typedef struct timer {
    double wall, cpu, wall0, cpu0;
} timer;
static void start(timer *t) { t->cpu0 = cpu(), t->wall0 = (double)wb_mono_us() / 1e6; }
static void stop(timer *t) { t->wall += (double)wb_mono_us() / 1e6 - t->wall0, t->cpu += cpu() - t->cpu0; }
static double say(const char *what, uint64_t n, const timer *t)
{
    printf("%-28s %8.0f rows/s  %6.0f CPU ns/row\n", what, (double)n / t->wall, t->cpu * 1e9 / (double)n);
    fflush(stdout);
    return (double)n / t->wall;
}

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---------------------------------------------------------------- the bare loop */

static sqlite3_stmt *bare_table(sqlite3 *db, unsigned i)
{
    char sql[200];
    sqlite3_stmt *st;
    snprintf(sql, sizeof sql,
             "create table t%u (id integer primary key, n integer, name text, amount text, at text, ok integer)", i);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL)) die(sqlite3_errmsg(db));
    snprintf(sql, sizeof sql, "insert into t%u values (?,?,?,?,?,?)", i);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL)) die(sqlite3_errmsg(db));
    return st;
}

static double bare_insert(const char *dir, uint64_t n, unsigned tables)
{
    char path[512];
    sqlite3 *db;
    static sqlite3_stmt *all[TABLES_MAX];
    timer t = {0};
    snprintf(path, sizeof path, "%s/bare.db", dir);
    unlink(path);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        die(sqlite3_errmsg(db));
    sqlite3_exec(db,
                 "pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=20000; pragma "
                 "cache_size=-16384; begin",
                 NULL, NULL, NULL);
    for (unsigned i = 0; i < tables; i++) all[i] = bare_table(db, i);
    sqlite3_exec(db, "commit", NULL, NULL, NULL);
    for (uint64_t id = 0; id < n;) {
        int k = 0;
        for (; k < VIEW && id < n; k++) make_row(&rows[k], ++id);
        start(&t);
        if ((id - (uint64_t)k) % GROUP == 0) sqlite3_exec(db, "begin immediate", NULL, NULL, NULL);
        for (int i = 0; i < k; i++) {
            const row *r = &rows[i];
            sqlite3_stmt *st = all[(id - (uint64_t)k + (uint64_t)i) % tables];
            sqlite3_bind_int64(st, 1, strtoll(r->text[0], NULL, 10));
            sqlite3_bind_int64(st, 2, strtoll(r->text[1], NULL, 10));
            for (int c = 2; c < 5; c++) sqlite3_bind_text(st, c + 1, r->text[c], (int)r->len[c], SQLITE_STATIC);
            sqlite3_bind_int64(st, 6, r->text[5][0] == 't');
            if (sqlite3_step(st) != SQLITE_DONE) die(sqlite3_errmsg(db));
            sqlite3_reset(st);
        }
        if (id % GROUP == 0 || id == n) sqlite3_exec(db, "commit", NULL, NULL, NULL);
        stop(&t);
    }
    for (unsigned i = 0; i < tables; i++) sqlite3_finalize(all[i]);
    sqlite3_close(db);
    unlink(path);
    return say("bare INSERT loop", n, &t);
}

/* The same updates on the target's own file while it is closed. */
static double bare_update(const char *dir, uint64_t n, uint64_t updates, unsigned sent)
{
    char path[512];
    sqlite3 *db;
    sqlite3_stmt *st;
    timer t = {0};
    bool all = sent == 63;
    snprintf(path, sizeof path, "%s/target.db", dir);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)) die(sqlite3_errmsg(db));
    sqlite3_exec(db, "pragma synchronous=full; pragma wal_autocheckpoint=20000", NULL, NULL, NULL);
    if (sqlite3_prepare_v2(db,
                           all ? "update t set n=?2, name=?3, amount=?4, at=?5, ok=?6 where id=?1"
                               : "update t set n=?2, amount=?4 where id=?1",
                           -1, &st, NULL))
        die(sqlite3_errmsg(db));
    for (uint64_t done = 0; done < updates; done += VIEW) {
        for (int k = 0; k < VIEW; k++) make_row(&rows[k], rnd() % n + 1);
        start(&t);
        if (done % GROUP == 0) sqlite3_exec(db, "begin immediate", NULL, NULL, NULL);
        for (int i = 0; i < VIEW; i++) {
            const row *r = &rows[i];
            sqlite3_bind_int64(st, 1, strtoll(r->text[0], NULL, 10));
            sqlite3_bind_int64(st, 2, strtoll(r->text[1], NULL, 10));
            for (int c = 2; c < 5; c++) {
                if (sent >> c & 1) sqlite3_bind_text(st, c + 1, r->text[c], (int)r->len[c], SQLITE_STATIC);
            }
            if (all) sqlite3_bind_int64(st, 6, r->text[5][0] == 't');
            if (sqlite3_step(st) != SQLITE_DONE) die(sqlite3_errmsg(db));
            sqlite3_reset(st);
        }
        if ((done + VIEW) % GROUP == 0 || done + VIEW >= updates) sqlite3_exec(db, "commit", NULL, NULL, NULL);
        stop(&t);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return say("bare UPDATE loop", updates, &t);
}

/* ---------------------------------------------------------------- the target */

static const wb_host_hooks hooks = {0};
static wb_table *table(unsigned number)
{
    static const uint16_t key[] = {0};
    char name[24];
    int len = snprintf(name, sizeof name, number ? "t%u" : "t", number);
    wb_column c[COLS] = {
        {.name = WB_STR("id"), .kind = WB_INT, .type_id = 20, .type = WB_STR("bigint"), .id = 1},
        {.name = WB_STR("n"), .kind = WB_INT, .type_id = 23, .type = WB_STR("integer"), .id = 2},
        {.name = WB_STR("name"), .kind = WB_TEXT, .type_id = 25, .type = WB_STR("text"), .id = 3},
        {.name = WB_STR("amount"), .kind = WB_DECIMAL, .type_id = 1700, .type = WB_STR("numeric(12,2)"), .id = 4},
        {.name = WB_STR("at"),
         .kind = WB_TIMESTAMPTZ,
         .type_id = 1184,
         .type = WB_STR("timestamp with time zone"),
         .id = 5},
        {.name = WB_STR("ok"), .kind = WB_BOOL, .type_id = 16, .type = WB_STR("boolean"), .id = 6}};
    wb_table t = {.id = 7 + number,
                  .schema = WB_STR("public"),
                  .name = {name, (size_t)len},
                  .source_schema = WB_STR("public"),
                  .source_name = {name, (size_t)len},
                  .ncols = COLS,
                  .nkey = 1,
                  .cols = c,
                  .key = key};
    for (int i = 0; i < COLS; i++) c[i].source_name = c[i].name;
    return wb_table_new(&t);
}

typedef struct run {
    sq_target ctx;
    wb_host *h;
    wb_arena arena;
    wb_table *t[TABLES_MAX];
    unsigned tables;
    uint64_t pos, ticket, epoch, given;
    wb_error err;
} run;

static void reopen(run *r)
{
    wb_open o = {.epoch = ++r->epoch};
    if (wb_target_sqlite.open(&r->ctx, r->h, &o, &r->err)) die(r->err.message);
}

static run *open_target(const char *dir, unsigned tables)
{
    run *r = calloc(1, sizeof *r);
    wb_arena_init(&r->arena, 4096, 0);
    for (const wb_option *p = wb_target_sqlite.head.options; p->name; p++) {
        const char *v = strcmp(p->name, "path") == 0 ? "target.db" : p->def;
        if (v && wb_option_set(p, &r->ctx, v, &r->arena, &r->err)) die(r->err.message);
    }
    r->h = wb_host_loose(dir, &hooks, r);
    r->tables = tables;
    for (unsigned i = 0; i < tables; i++) r->t[i] = table(i);
    reopen(r);
    return r;
}

/* Some rows of `rows` as one view; every fifth one a thousand-row transaction ends. */
static void give(run *r, int n, wb_op op, unsigned sent, timer *t)
{
    wb_batch *b = wb_batch_loose();
    uint8_t pos[8];
    for (int i = 0; i < n; i++) {
        const wb_table *table = r->t[r->given++ % r->tables];
        if (i % 1000 == 0) {
            wb_txn *x = wb_batch_txn(b);
            x->flags = WB_TXN_BEGIN | WB_TXN_END;
            r->pos++;
        }
        wb_change *c = wb_batch_change(b);
        wb_value *v = wb_batch_values(b, COLS);
        for (int k = 0; k < COLS; k++) {
            if (!(sent >> k & 1)) continue;
            v[k] = (wb_value){.kind = table->cols[k].kind, .flags = WB_V_TEXT, .len = rows[i].len[k]};
            v[k].as.ptr = wb_batch_copy(b, rows[i].text[k], rows[i].len[k]);
        }
        wb_batch_table(b, table);
        c->op = (uint8_t)op;
        c->table = table;
        c->after = v;
        c->targets = 1;
    }
    for (int i = 0; i < 8; i++) pos[i] = (uint8_t)(r->pos >> (56 - 8 * i));
    wb_view v = {.batch = b,
                 .changes = b->changes,
                 .txns = b->txns,
                 .nchanges = b->nchanges,
                 .ntxns = b->ntxns,
                 .bit = 1,
                 .stand = {{pos, 8}, 0},
                 .ends_txn = true};
    start(t);
    if (wb_target_sqlite.write(&r->ctx, &v, r->ticket++, &r->err)) die(r->err.message);
    stop(t);
    wb_batch_unref(b);
}

static void finish(run *r, timer *t)
{
    start(t);
    if (wb_target_sqlite.flush(&r->ctx, -1, &r->err)) die(r->err.message);
    stop(t);
}

static double target_insert(run *r, uint64_t n)
{
    timer t = {0};
    for (uint64_t id = 0; id < n;) {
        int k = 0;
        for (; k < VIEW && id < n; k++) make_row(&rows[k], ++id);
        give(r, k, WB_INSERT, 63, &t);
    }
    finish(r, &t);
    return say("target sqlite, inserts", n, &t);
}

static void target_update(run *r, const char *dir, uint64_t n, uint64_t updates, unsigned sent)
{
    for (int round = 0; round < 3; round++) {
        timer t = {0};
        double bare;
        wb_target_sqlite.close(&r->ctx);
        bare = bare_update(dir, n, updates, sent);
        reopen(r);
        for (uint64_t done = 0; done < updates; done += VIEW) {
            for (int k = 0; k < VIEW; k++) make_row(&rows[k], rnd() % n + 1);
            give(r, VIEW, WB_UPDATE, sent, &t);
        }
        finish(r, &t);
        printf("%-28s %8.2f\n", "ratio", say("target sqlite, updates", updates, &t) / bare);
    }
}

int main(int argc, char **argv)
{
    char path[512];
    if (argc < 4)
        die("usage: bench_sqlite_apply DIR insert ROWS | spread ROWS TABLES | update ROWS UPDATES | partial ROWS "
            "UPDATES");
    uint64_t n = strtoull(argv[3], NULL, 10), updates = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    bool spread = strcmp(argv[2], "spread") == 0, insert = spread || strcmp(argv[2], "insert") == 0;
    unsigned tables = spread ? (unsigned)WB_MIN(WB_MAX(updates, (uint64_t)1), (uint64_t)TABLES_MAX) : 1;
    double bare = insert ? bare_insert(argv[1], n, tables) : 0, ours;
    snprintf(path, sizeof path, "%s/target.db", argv[1]);
    unlink(path);
    run *r = open_target(argv[1], tables);
    ours = target_insert(r, n);
    if (insert)
        printf("%-28s %8.2f\n", "ratio", ours / bare);
    else
        target_update(r, argv[1], n, updates, strcmp(argv[2], "partial") == 0 ? 1 | 2 | 8 : 63);
    wb_target_sqlite.close(&r->ctx);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%-28s %8ld kB\n", "peak RSS", u.ru_maxrss);
    unlink(path);
    return 0;
}
