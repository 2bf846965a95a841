/* The copy that sources of SQL databases share, over a database and an engine that are made up here: crashes at random
 * moments, targets that lose what came last. In the end every target has every row once. proves G-06 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/node.h"
#include "core/batch.h"
#include "sources/sql/copy.h"

/* ---------------------------------------------------------------- the engine */

enum { ROWS = 60, TABLES = 3, TARGETS = 2, KEYS = 64, KEY = 64, BARE = 2 /* the table without a key */ };

typedef struct kept {
    char key[KEY];
    uint8_t *value;
    size_t len;
} kept;
static kept state[KEYS];

typedef struct target {
    uint8_t pos[8];
    bool any, deaf; /* deaf: what it gets now is lost with the crash */
    unsigned rows[TABLES][ROWS], open[TABLES][ROWS];
    bool emptied[TABLES];
} target;
static target targets[TARGETS];
static uint64_t budget, rnd, put_turns;

static unsigned draw(unsigned n)
{
    rnd = rnd * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(rnd >> 33) % n;
}

static uint64_t number(wb_pos p)
{
    uint64_t v = 0;
    if (p.len == 8) memcpy(&v, p.ptr, 8);
    return v;
}

static kept *find(const char *key)
{
    for (size_t i = 0; i < KEYS; i++)
        if (state[i].value && strcmp(state[i].key, key) == 0) return &state[i];
    return NULL;
}

static void set(const char *key, wb_str value)
{
    kept *k = find(key);
    if (k) {
        free(k->value);
        k->value = NULL;
    }
    for (size_t i = 0; !k && i < KEYS; i++)
        if (!state[i].value) k = &state[i];
    assert_non_null(k);
    if (!value.ptr) return;
    (void)snprintf(k->key, KEY, "%s", key);
    k->value = malloc(value.len + 1);
    memcpy(k->value, value.ptr, value.len);
    k->len = value.len;
}

wb_code wb_host_state_put(wb_host *h, const char *key, wb_str value, wb_error *err)
{
    WB_UNUSED(h);
    WB_UNUSED(err);
    set(key, value);
    return WB_OK;
}
wb_code wb_host_state_put_all(wb_host *h, const wb_kv *kv, size_t n, wb_error *err)
{
    WB_UNUSED(h);
    WB_UNUSED(err);
    for (size_t i = 0; i < n; i++) set(kv[i].key, kv[i].value);
    return WB_OK;
}
wb_code wb_host_state_get(wb_host *h, const char *key, wb_str *value, wb_error *err)
{
    const kept *k = find(key);
    WB_UNUSED(h);
    WB_UNUSED(err);
    *value = k ? (wb_str){(const char *)k->value, k->len} : (wb_str){NULL, 0};
    return WB_OK;
}
wb_code wb_host_state_del(wb_host *h, const char *key, wb_error *err)
{
    return wb_host_state_put(h, key, (wb_str){NULL, 0}, err);
}
wb_code wb_host_state_list(wb_host *h, const char *prefix, void (*each)(void *arg, const char *key, wb_str value),
                           void *arg, wb_error *err)
{
    WB_UNUSED(h);
    WB_UNUSED(err);
    for (size_t i = 0; i < KEYS; i++)
        if (state[i].value && strncmp(state[i].key, prefix, strlen(prefix)) == 0)
            each(arg, state[i].key, (wb_str){(const char *)state[i].value, state[i].len});
    return WB_OK;
}
const char *wb_host_state_dir(wb_host *h)
{
    WB_UNUSED(h);
    return "/";
}
wb_batch *wb_host_take(wb_host *h, size_t need)
{
    WB_UNUSED(h);
    WB_UNUSED(need);
    return draw(4) ? wb_batch_loose() : NULL; /* often there is no budget */
}
void wb_host_drop(wb_host *h, wb_batch *b)
{
    WB_UNUSED(h);
    wb_batch_unref(b);
}
void wb_host_log(wb_host *h, wb_log_level level, const char *fmt, ...)
{
    WB_UNUSED(h);
    WB_UNUSED(level);
    WB_UNUSED(fmt);
}
void wb_host_progress(wb_host *h, const wb_table *table, int64_t rows, int64_t total)
{
    WB_UNUSED(h);
    WB_UNUSED(table);
    WB_UNUSED(rows);
    WB_UNUSED(total);
}
void wb_host_copying(wb_host *h, bool on)
{
    WB_UNUSED(h);
    WB_UNUSED(on);
}
int64_t wb_host_max_row(wb_host *h)
{
    WB_UNUSED(h);
    return 1 << 20;
}
int wb_host_fd(wb_host *h)
{
    WB_UNUSED(h);
    return -1;
}
void wb_host_fd_clear(wb_host *h) { WB_UNUSED(h); }

static void take_change(target *t, const wb_change *c)
{
    if (c->op == WB_TRUNCATE) {
        t->emptied[c->table->id] = true;
        memset(t->open[c->table->id], 0, sizeof t->open[c->table->id]);
    } else if (c->after) {
        t->open[c->table->id][c->after[0].as.i]++;
    }
}

static void end_turn(target *t, wb_pos end)
{
    for (size_t i = 0; i < TABLES; i++) {
        if (t->emptied[i]) memset(t->rows[i], 0, sizeof t->rows[i]);
        for (size_t r = 0; r < ROWS; r++) t->rows[i][r] += t->open[i][r];
    }
    memset(t->open, 0, sizeof t->open);
    memset(t->emptied, 0, sizeof t->emptied);
    memcpy(t->pos, end.ptr, 8);
    t->any = true;
}

wb_code wb_host_put(wb_host *h, wb_batch *b, wb_error *err)
{
    WB_UNUSED(h);
    WB_UNUSED(err);
    assert_int_equal(b->ntxns, 1);
    assert_true(b->txns[0].flags & WB_TXN_SNAPSHOT);
    for (size_t i = 0; i < TARGETS; i++) {
        if (!(b->targets >> i & 1) || targets[i].deaf) continue;
        for (size_t k = 0; k < b->nchanges; k++) take_change(&targets[i], &b->changes[k]);
        if (b->txns[0].flags & WB_TXN_END) end_turn(&targets[i], b->txns[0].end);
    }
    put_turns += (b->txns[0].flags & WB_TXN_END) != 0;
    wb_batch_unref(b);
    return WB_OK;
}

/* ---------------------------------------------------------------- the database */

typedef struct reader {
    unsigned at, end;
} reader;
static reader readers[4];
static size_t nreaders; /* in use */
static wb_table *tables[TABLES];

static wb_code begin_piece(void *s, wb_batch *b, wb_txn *t, wb_error *err)
{
    WB_UNUSED(s);
    WB_UNUSED(b);
    WB_UNUSED(t);
    WB_UNUSED(err);
    return WB_OK;
}
static wb_code position(void *s, uint64_t seq, wb_batch *b, wb_pos *out, wb_error *err)
{
    WB_UNUSED(s);
    WB_UNUSED(err);
    *out = (wb_pos){wb_batch_copy(b, &seq, 8), 8};
    return WB_OK;
}
static unsigned bound(wb_str tuple, unsigned none)
{
    wb_rd r = wb_rd_of(tuple.ptr, tuple.len);
    wb_str v;
    char text[16];
    if (!sql_tuple_next(&r, &v)) return none;
    (void)snprintf(text, sizeof text, "%.*s", (int)v.len, v.ptr);
    return (unsigned)strtoul(text, NULL, 10);
}
/* Every other table is read on one connection only. */
static bool ready(void *s, const sql_job *j, const sql_worker *w)
{
    WB_UNUSED(s);
    return !w || j->table % 2 == 0 || w->own == &readers[j->table % nreaders];
}
static wb_code start(void *s, sql_worker *w, sql_job *j, size_t chunk, wb_error *err)
{
    WB_UNUSED(err);
    reader *r = w->own;
    assert_true(ready(s, j, w));
    const sql_chunk *c = &j->chunks[chunk];
    r->at = bound(c->low, 0);
    r->end = c->kind == SQL_CHUNK_ROW ? r->at + 1 : bound(c->high, ROWS);
    return WB_OK;
}
static wb_code read_row(void *s, sql_worker *w, bool *dry, wb_error *err)
{
    WB_UNUSED(s);
    WB_UNUSED(err);
    reader *r = w->own;
    if (draw(2) == 0) {
        *dry = true;
        return WB_OK;
    }
    if (r->at == r->end) {
        w->ended = true;
        return WB_OK;
    }
    w->next = malloc(8);
    w->next_len = (size_t)snprintf(w->next, 8, "%u", r->at++);
    return WB_OK;
}
static void release(sql_worker *w, char *row)
{
    WB_UNUSED(w);
    free(row);
}
static int fd(const sql_worker *w)
{
    WB_UNUSED(w);
    return 0; /* poll() finds it ready, or broken: both wake */
}
static wb_code row(void *s, const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err)
{
    WB_UNUSED(s);
    WB_UNUSED(n);
    WB_UNUSED(err);
    wb_value *v = wb_batch_values(b, 1);
    v[0] = (wb_value){.kind = WB_INT, .as.i = (int64_t)strtol(p, NULL, 10)};
    wb_batch_table(b, t);
    wb_change *c = wb_batch_change(b);
    c->op = WB_READ;
    c->table = t;
    c->after = v;
    return WB_OK;
}
static size_t room(const wb_table *t, size_t len)
{
    WB_UNUSED(t);
    WB_UNUSED(len);
    return 0;
}
/* The budget of steps is used up: as if the process had been killed. */
static wb_code alive(void *s, wb_error *err)
{
    WB_UNUSED(s);
    return budget && --budget == 0 ? wb_fail(err, WB_E_INTERNAL, WB_NEVER, "killed") : WB_OK;
}
static bool stopped(void *s)
{
    WB_UNUSED(s);
    return false;
}
static uint64_t id(const wb_table *t) { return t->id; }
static bool key(const wb_change *c, wb_out *out)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", (int)c->after[0].as.i);
    sql_tuple_put(out, (wb_str){text, (size_t)n});
    return true;
}

static const sql_copy_ops ops = {.piece = begin_piece,
                                 .position = position,
                                 .seq = number,
                                 .start = start,
                                 .read = read_row,
                                 .release = release,
                                 .fd = fd,
                                 .row = row,
                                 .room = room,
                                 .alive = alive,
                                 .stopped = stopped,
                                 .ready = ready,
                                 .key = key,
                                 .id = id};

static wb_table *make_table(uint64_t n)
{
    static const uint16_t keys[] = {0};
    wb_column col = {.name = WB_STR("id"), .type = WB_STR("int"), .kind = WB_INT, .flags = WB_COL_KEY};
    wb_table t = {
        .id = n, .schema = WB_STR("s"), .name = WB_STR("t"), .ncols = 1, .nkey = 1, .cols = &col, .key = keys};
    return wb_table_new(&t);
}

/* ---------------------------------------------------------------- a process, from its start to its death */

static const wb_str none = {NULL, 0};

static void plan(sql_copy *c, uint64_t table, uint64_t mask)
{
    sql_job *j = sql_ledger_plan(&c->ledger, table, WB_STR("id"), mask);
    wb_out low = {0}, high = {0};
    assert_non_null(j);
    j->flags = table == BARE ? 0 : SQL_JOB_KEYED;
    for (unsigned at = 0; at < ROWS; at += 7) {
        char text[16];
        (void)snprintf(text, sizeof text, "%u", at + 7);
        wb_out_reset(&high);
        if (at + 7 < ROWS) sql_tuple_put(&high, wb_str_of(text));
        assert_non_null(
            sql_job_add(&c->ledger, j, SQL_CHUNK_RANGE, (wb_str){low.p, low.len}, (wb_str){high.p, high.len}));
        wb_out_reset(&low);
        wb_out_put(&low, high.p, high.len);
    }
    wb_out_fini(&low);
    wb_out_fini(&high);
}

static void begin(sql_copy *c)
{
    static const char *const names[] = {"a", "b"};
    wb_member members[TARGETS];
    wb_resume r = {.members = members, .nmembers = TARGETS};
    wb_error err = {0};
    memset(c, 0, sizeof *c);
    c->ops = &ops;
    c->turn_ms = 0;
    for (size_t i = 0; i < TARGETS; i++) {
        targets[i].deaf = false;
        memset(targets[i].open, 0, sizeof targets[i].open);
        memset(targets[i].emptied, 0, sizeof targets[i].emptied);
        members[i] = (wb_member){.name = names[i], .bit = 1u << i, .running = true};
        if (targets[i].any) members[i].pos = (wb_pos){targets[i].pos, 8};
        if (!targets[i].any) r.fresh |= 1u << i;
    }
    assert_int_equal(sql_copy_load(c, &r, r.fresh == 3, &err), WB_OK);
    c->fresh = r.fresh;
    for (uint64_t t = 0; t < TABLES && r.fresh; t++) {
        sql_job *j = sql_ledger_find(&c->ledger, t);
        if (j)
            j->targets |= r.fresh;
        else
            plan(c, t, r.fresh);
    }
    assert_int_equal(sql_copy_save(c, &err), WB_OK);
    for (size_t i = 0; i < c->ledger.n; i++) {
        sql_copy_table *ct = wb_arena_zalloc(&c->arena, sizeof *ct);
        ct->table = make_table(c->ledger.jobs[i]->table);
        c->ledger.jobs[i]->own = ct;
    }
    c->nworkers = sql_copy_workers_wanted(c, WB_COUNT(readers));
    nreaders = c->nworkers;
    c->workers = calloc(c->nworkers, sizeof *c->workers);
    for (size_t i = 0; i < c->nworkers; i++) c->workers[i].own = &readers[i];
    sql_copy_begin(c, false);
}

/* true: the copy is over. */
static bool run(uint64_t steps)
{
    sql_copy c;
    wb_error err = {0};
    begin(&c);
    budget = steps;
    wb_code code = WB_OK;
    while (code == WB_OK || code == WB_AGAIN) {
        if (draw(50) == 0) targets[draw(TARGETS)].deaf = true;
        if (targets[0].deaf && targets[1].deaf) break;
        code = sql_copy_turns(&c, 0, &err);
    }
    bool heard = !targets[0].deaf && !targets[1].deaf;
    sql_copy_free_workers(&c);
    if (code == WB_END) assert_int_equal(sql_copy_over(&c, &err), WB_OK);
    if (code == WB_END && heard) {
        assert_false(c.wanted);
        uint64_t last = c.ledger.seq;
        assert_int_equal(sql_copy_settled(&c, (wb_pos){&last, 8}, &err), WB_OK);
        assert_null(find("copy/plan"));
    }
    sql_copy_fini(&c);
    return code == WB_END && heard;
}

static void test_every_row_once_whatever_happens(void **unused)
{
    WB_UNUSED(unused);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        for (size_t i = 0; i < KEYS; i++) set(state[i].value ? state[i].key : "", none);
        memset(targets, 0, sizeof targets);
        rnd = seed;
        unsigned runs = 0;
        while (!run(runs < 40 ? 1 + draw(120) : 0)) assert_true(++runs < 200);
        for (size_t i = 0; i < TARGETS; i++)
            for (size_t t = 0; t < TABLES; t++)
                for (size_t r = 0; r < ROWS; r++) assert_int_equal(targets[i].rows[t][r], 1);
    }
    assert_true(put_turns > 500); /* it was interrupted, and went on */
}

/* An update that moves a row without bringing all of it makes the row a chunk of its own; too little known of it, and
 * the table is copied again. */
static void test_marks(void **unused)
{
    WB_UNUSED(unused);
    sql_copy c;
    wb_error err = {0};
    memset(targets, 0, sizeof targets);
    for (size_t i = 0; i < KEYS; i++) set(state[i].value ? state[i].key : "", none);
    begin(&c);
    wb_table *t = make_table(1), *other = make_table(77);
    wb_value after = {.kind = WB_INT, .as.i = 5};
    wb_change change = {.op = WB_UPDATE, .table = t, .after = &after, .flags = WB_C_KEY_CHANGED};
    sql_job *j = sql_ledger_find(&c.ledger, 1);
    size_t before = j->n;
    assert_int_equal(sql_copy_mark(&c, &change, &err), WB_OK);
    assert_true(change.flags & WB_C_COPYING);
    assert_int_equal(j->n, before); /* all of it is there */
    wb_column cols[2] = {{.name = WB_STR("id"), .kind = WB_INT}, {.name = WB_STR("v"), .kind = WB_INT}};
    static const uint16_t keys[] = {0};
    wb_table proto = {
        .id = 1, .schema = WB_STR("s"), .name = WB_STR("t"), .ncols = 2, .nkey = 1, .cols = cols, .key = keys};
    wb_table *two = wb_table_new(&proto);
    wb_value half[2] = {{.kind = WB_INT, .as.i = 5}, {.kind = WB_ABSENT}};
    wb_change part = {.op = WB_UPDATE, .table = two, .after = half, .flags = WB_C_KEY_CHANGED};
    for (int i = 0; i < 2; i++) assert_int_equal(sql_copy_mark(&c, &part, &err), WB_OK);
    assert_int_equal(j->n, before + 1); /* once */
    assert_int_equal(j->chunks[before].kind, SQL_CHUNK_ROW);
    assert_true(c.changed);
    wb_value fourth[2] = {{.kind = WB_INT, .as.i = 6}, {.kind = WB_ABSENT}};
    wb_change stays = {.op = WB_UPDATE, .table = two, .after = fourth};
    assert_int_equal(sql_copy_mark(&c, &stays, &err), WB_OK);
    assert_int_equal(j->n, before + 1);
    j->flags |= SQL_JOB_PLACES; /* where every update moves its row */
    assert_int_equal(sql_copy_mark(&c, &stays, &err), WB_OK);
    assert_int_equal(j->n, before + 2);
    j->flags &= ~(uint32_t)SQL_JOB_PLACES;
    wb_table third = *two;
    third.id = BARE;
    third.serial = UINT64_MAX;
    part.table = &third;
    assert_int_equal(sql_copy_mark(&c, &part, &err), WB_OK);
    assert_int_equal(sql_ledger_find(&c.ledger, BARE)->chunks[0].kind, SQL_CHUNK_TRUNCATE);
    wb_change far = {.op = WB_UPDATE, .table = other, .after = &after};
    assert_int_equal(sql_copy_mark(&c, &far, &err), WB_OK);
    assert_false(far.flags & WB_C_COPYING);
    wb_table_unref(t);
    wb_table_unref(two);
    wb_table_unref(other);
    sql_copy_free_workers(&c);
    sql_copy_fini(&c);
}

static void test_wishes(void **unused)
{
    WB_UNUSED(unused);
    wb_error err = {0};
    sql_wishes w;
    bool named = false;
    for (size_t i = 0; i < KEYS; i++) set(state[i].value ? state[i].key : "", none);
    sql_copy c = {.asked = false};
    assert_int_equal(sql_wish_new(&c, (const uint64_t[]){9, 3}, 2, &err), WB_OK);
    assert_true(c.asked);
    assert_int_equal(sql_wishes_read(NULL, &w, &named, &err), WB_OK);
    assert_int_equal(w.nadd, 2);
    assert_int_equal(w.add[0], 3); /* in order */
    assert_false(named);
    sql_wishes_free(&w);
    assert_int_equal(sql_wish(NULL, "resync", UINT64_MAX, "s.t", &err), WB_OK);
    assert_int_equal(sql_wishes_read(NULL, &w, &named, &err), WB_OK);
    assert_true(named && w.nresync == 1 && w.resync[0] == UINT64_MAX);
    assert_int_equal(sql_wishes_forget(NULL, &w, &err), WB_OK);
    sql_wishes_free(&w);
    assert_int_equal(sql_wishes_read(NULL, &w, NULL, &err), WB_OK);
    assert_int_equal(w.nkeys, 0);
    sql_wishes_free(&w);
}

static bool means(const char *text) { return sql_wish_means(text, WB_STR("s.x"), WB_STR("a.\"b"), "own"); }

static void test_names_that_are_meant(void **unused)
{
    WB_UNUSED(unused);
    assert_true(means("s.x.a.\"b"));
    assert_true(means("\"s.x\".\"a.\"\"b\""));
    const char *const others[] = {"",
                                  ".",
                                  "s.x",
                                  "s.x.",
                                  "s.x.a.\"",
                                  "\"",
                                  "\"s.x",
                                  "\"s.x\"",
                                  "\"s.x\".",
                                  "\"s.x\".\"a.\"b\"",
                                  "a.\"b",
                                  "s.x.a.\"bb",
                                  "\"s.x\".a.\"b",
                                  "s.x.\"a.\"\"b\"",
                                  "\"s.x\".\"a.\"\"b\"."};
    for (size_t i = 0; i < WB_COUNT(others); i++) assert_false(means(others[i]));
    assert_true(sql_wish_means("t", WB_STR("own"), WB_STR("t"), "own"));
    assert_false(sql_wish_means("t", WB_STR("other"), WB_STR("t"), "own"));
    assert_false(sql_wish_means("t", WB_STR("own"), WB_STR("t"), ""));
}

static void test_chosen_columns(void **unused)
{
    WB_UNUSED(unused);
    const wb_node a = {.kind = WB_NODE_SCALAR, .text = "a"}, b = {.kind = WB_NODE_SCALAR, .text = "b"};
    const wb_node *both[] = {&a, &b};
    const wb_node list = {.kind = WB_NODE_LIST, .n = 2, .items = both};
    assert_true(sql_copy_chosen(NULL, WB_STR("x")));
    assert_true(sql_copy_chosen(&list, WB_STR("b")));
    assert_false(sql_copy_chosen(&list, WB_STR("x")));
    assert_true(sql_copy_chosen(&a, WB_STR("a")));
    assert_false(sql_copy_chosen(&a, WB_STR("b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_once_whatever_happens),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_names_that_are_meant),
        cmocka_unit_test(test_chosen_columns),
    };
    WB_UNUSED(tables);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
