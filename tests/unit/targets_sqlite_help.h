/* targets_sqlite_help.h: a SQLite target without an engine: batches made by hand, answers counted, the file read back
 * through the sqlite3 C API. Included by tests. */
#ifndef WB_TEST_TARGETS_SQLITE_HELP_H
#define WB_TEST_TARGETS_SQLITE_HELP_H
#include "check.h"
#include <ftw.h>
#include <unistd.h>

#include "base/options.h"
#include "core/batch.h"
#include "core/engine.h"
#include "targets/sqlite/sqlite_target.h"

enum { MAX_TICKETS = 200000 };

typedef struct fix {
    char dir[64], file[128];
    wb_host *h;
    sq_target *ctx;
    wb_arena arena;
    wb_open o;
    wb_error err;
    uint64_t epoch;
    wb_batch *b;
    uint64_t pos, ordinal, ticket;
    bool snapshot;
    uint64_t turn_from; /* position before the turn; 0: none */
    size_t ndone, nfailed, nfreed;
    uint8_t answers[MAX_TICKETS];
    wb_error last;
} fix;

static inline int remove_one(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
    (void)sb, (void)flag, (void)ftw;
    return remove(path);
}

static inline void on_free(void *arg, wb_ticket t) { (void)t, ((fix *)arg)->nfreed++; }
static inline void on_done(void *arg, wb_ticket t, const wb_error *err)
{
    fix *f = arg;
    assert_true(t < MAX_TICKETS);
    assert_int_equal(f->answers[t], 0); /* once */
    f->answers[t] = err ? 2 : 1;
    if (err)
        f->last = *err, f->nfailed++;
    else
        f->ndone++;
}
static const wb_host_hooks hooks = {on_free, on_done, NULL, NULL};

/* pairs: "name", "value", ..., NULL */
static inline fix *fix_new(const char *const *pairs)
{
    fix *f = calloc(1, sizeof *f);
    wb_error err = {0};
    snprintf(f->dir, sizeof f->dir, "/tmp/wb-sqlite-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof f->file, "%s/t.db", f->dir);
    f->h = wb_host_loose(f->dir, &hooks, f);
    f->ctx = calloc(1, sizeof *f->ctx);
    wb_arena_init(&f->arena, 4096, 0);
    for (const wb_option *o = wb_target_sqlite.head.options; o->name; o++) {
        const char *value = strcmp(o->name, "path") == 0 ? "t.db" : o->def;
        for (const char *const *p = pairs; p && *p; p += 2) {
            if (strcmp(*p, o->name) == 0) value = p[1];
        }
        if (value) assert_int_equal(wb_option_set(o, f->ctx, value, &f->arena, &err), WB_OK);
    }
    f->epoch = 1;
    f->pos = 100;
    return f;
}

static inline wb_code try_open(fix *f)
{
    f->o = (wb_open){.epoch = f->epoch};
    wb_error_reset(&f->err);
    return wb_target_sqlite.open(f->ctx, f->h, &f->o, &f->err);
}

static inline void must(fix *f, wb_code code)
{
    if (code) print_error("%s | %s\n", f->err.message, f->err.hint);
    assert_int_equal(code, WB_OK);
}

static inline fix *fix_open(const char *const *pairs)
{
    fix *f = fix_new(pairs);
    must(f, try_open(f));
    return f;
}

static inline void fix_close(fix *f)
{
    wb_target_sqlite.close(f->ctx);
    wb_target_sqlite.close(f->ctx);
    wb_host_loose_free(f->h);
    wb_arena_fini(&f->arena);
    if (f->b) wb_batch_unref(f->b);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f->ctx);
    free(f);
}

static inline void reopen(fix *f)
{
    wb_target_sqlite.close(f->ctx);
    f->epoch++;
    must(f, try_open(f));
}

/* ---------------------------------------------------------------- tables */

typedef struct col {
    const char *name;
    wb_kind kind;
    const char *type, *missing; /* missing: text of the default; "" unknown; NULL: NULL */
    uint32_t type_id;
    int id; /* 0: its place, from 1; -1: not known */
} col;

static inline wb_table *table_of(const char *schema, const char *name, uint64_t id, const col *cols, uint32_t n,
                                 const uint16_t *key, uint32_t nkey, uint32_t flags)
{
    wb_column c[64] = {0};
    for (uint32_t i = 0; i < n; i++) {
        c[i].name = c[i].source_name = wb_str_of(cols[i].name);
        c[i].type = wb_str_of(cols[i].type ? cols[i].type : "some type");
        c[i].kind = (uint8_t)cols[i].kind;
        c[i].type_id = cols[i].type_id;
        c[i].type_mod = -1;
        c[i].id = cols[i].id ? WB_MAX(cols[i].id, 0) : (int)i + 1;
        if (!cols[i].missing || cols[i].missing[0]) c[i].flags |= WB_COL_DEFAULT_KNOWN;
        c[i].missing.kind = WB_NULL;
        if (cols[i].missing && cols[i].missing[0])
            c[i].missing = (wb_value){.kind = c[i].kind,
                                      .flags = WB_V_TEXT,
                                      .len = (uint32_t)strlen(cols[i].missing),
                                      .as.ptr = cols[i].missing};
    }
    for (uint32_t j = 0; j < nkey; j++) c[key[j]].flags |= WB_COL_KEY | WB_COL_NOT_NULL;
    wb_table t = {.id = id,
                  .schema = wb_str_of(schema),
                  .name = wb_str_of(name),
                  .source_schema = wb_str_of(schema),
                  .source_name = wb_str_of(name),
                  .ncols = n,
                  .nkey = nkey,
                  .flags = flags,
                  .cols = c,
                  .key = key};
    wb_table *made = wb_table_new(&t);
    assert_non_null(made);
    return made;
}
#define TABLE(name, id, cols, key, flags) table_of("public", name, id, cols, WB_COUNT(cols), key, WB_COUNT(key), flags)
#define TABLE0(name, id, cols, flags) table_of("public", name, id, cols, WB_COUNT(cols), NULL, 0, flags)

/* ---------------------------------------------------------------- batches */

static const char ABSENT[] = "(absent)", UNCHANGED[] = "(unchanged)";

static inline wb_value value_of(wb_kind kind, const char *text)
{
    if (!text) return (wb_value){.kind = WB_NULL};
    if (text == ABSENT) return (wb_value){.kind = WB_ABSENT};
    if (text == UNCHANGED) return (wb_value){.kind = WB_UNCHANGED};
    return (wb_value){.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)strlen(text), .as.ptr = text};
}

static inline wb_batch *batch(fix *f)
{
    if (!f->b) f->b = wb_batch_loose();
    return f->b;
}

static inline void txn_begin(fix *f)
{
    wb_txn *t = wb_batch_txn(batch(f));
    char id[24];
    int n = snprintf(id, sizeof id, "%llu", (unsigned long long)f->pos);
    f->pos++;
    f->ordinal = 0;
    t->id = (wb_str){wb_batch_copy(f->b, id, (size_t)n), (size_t)n};
    t->commit_us = 1700000000000000 + (int64_t)f->pos;
    t->flags = f->snapshot ? WB_TXN_SNAPSHOT : 0;
}

/* Row changes: `before` and `after` are texts, one a column; NULL arrays: not sent. */
static inline wb_change *change(fix *f, wb_op op, const wb_table *t, const char *const *before,
                                const char *const *after)
{
    if (!wb_batch_last_txn(batch(f))) txn_begin(f);
    wb_change *c = wb_batch_change(f->b);
    wb_batch_table(f->b, t);
    c->op = (uint8_t)op;
    c->table = t;
    c->targets = 1;
    c->ordinal = f->ordinal++;
    c->place = f->pos * 1000 + c->ordinal;
    for (int side = 0; side < 2; side++) {
        const char *const *texts = side ? after : before;
        wb_value *v;
        if (!texts) continue;
        v = wb_batch_values(f->b, t->ncols);
        for (uint32_t i = 0; i < t->ncols; i++) {
            v[i] = value_of((wb_kind)t->cols[i].kind, texts[i]);
            if (v[i].flags & WB_V_TEXT) v[i].as.ptr = wb_batch_copy(f->b, texts[i], v[i].len);
        }
        if (side)
            c->after = v;
        else
            c->before = v;
    }
    return c;
}
#define ROW(...) ((const char *const[]){__VA_ARGS__})
#define INSERT(f, t, ...) change(f, WB_INSERT, t, NULL, ROW(__VA_ARGS__))
#define UPDATE(f, t, ...) change(f, WB_UPDATE, t, NULL, ROW(__VA_ARGS__))
#define DELETE(f, t, ...) change(f, WB_DELETE, t, ROW(__VA_ARGS__), NULL)
#define READ(f, t, ...) change(f, WB_READ, t, NULL, ROW(__VA_ARGS__))
static inline void move_row(fix *f, const wb_table *t, const char *const *before, const char *const *after)
{
    change(f, WB_UPDATE, t, before, after)->flags |= WB_C_KEY_CHANGED;
}

static inline wb_str pos_bytes(uint64_t n, uint8_t *b)
{
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(n >> (56 - 8 * i));
    return (wb_str){(const char *)b, 8};
}

/* Everything in the batch as one view. ends: its last transaction is whole. */
static inline wb_code give(fix *f, bool ends, uint32_t flags)
{
    uint8_t bytes[8];
    wb_str p = pos_bytes(f->pos - !ends, bytes);
    wb_view v;
    wb_code code;
    if (!wb_batch_last_txn(batch(f))) txn_begin(f);
    v = (wb_view){.batch = f->b,
                  .changes = f->b->changes,
                  .txns = f->b->txns,
                  .nchanges = f->b->nchanges,
                  .ntxns = f->b->ntxns,
                  .bit = 1,
                  .flags = flags,
                  .ends_txn = ends};
    v.stand = (wb_stand){{p.ptr, p.len}, ends ? 0 : f->ordinal};
    if (f->snapshot && !ends) { /* a piece of a turn: the stand is the one before it */
        v.stand = f->turn_from ? (wb_stand){{pos_bytes(f->turn_from, bytes).ptr, 8}, 0} : (wb_stand){{NULL, 0}, 0};
        v.flags |= WB_VIEW_OPEN;
    }
    if (ends) f->b->txns[f->b->ntxns - 1].flags |= WB_TXN_END;
    wb_error_reset(&f->err);
    code = wb_target_sqlite.write(f->ctx, &v, f->ticket, &f->err);
    if (!code) f->ticket++;
    wb_batch_unref(f->b);
    f->b = NULL;
    return code;
}

static inline wb_code flush(fix *f) { return wb_target_sqlite.flush(f->ctx, 100, &f->err); }
static inline void deliver(fix *f)
{
    must(f, give(f, true, 0));
    must(f, flush(f));
}

/* ---------------------------------------------------------------- reading back */

/* "a|b\nc|d": values as SQLite's quote() shows them. */
static inline char *sql(fix *f, const char *text)
{
    static char out[1 << 20];
    size_t n = 0;
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 1000);
    if (sqlite3_prepare_v2(db, text, -1, &st, NULL) != SQLITE_OK) {
        snprintf(out, sizeof out, "error: %s", sqlite3_errmsg(db));
        sqlite3_close(db);
        return out;
    }
    out[0] = 0;
    while (sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *z = (const char *)sqlite3_column_text(st, i);
            n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", i ? "|" : n ? "\n" : "", z ? z : "NULL");
            assert_true(n < sizeof out);
        }
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return out;
}
#define SQL(f, text, expected) assert_string_equal(sql(f, text), expected)

static inline uint64_t own_pos(const fix *f)
{
    uint64_t n = 0;
    for (size_t i = 0; i < f->o.stand.pos.len; i++) n = n << 8 | ((const uint8_t *)f->o.stand.pos.ptr)[i];
    return n;
}
#endif
