/* The SQLite target against a model: random changes on random tables, cut into views anywhere, with restarts from the
 * target's own stand; at every commit the file equals the model at a transaction's end. A failure prints its seed. */
#include "targets_sqlite_help.h"

enum { TABLES = 4, KEYS = 12, MAX_COLS = 6, EVENTS = 4000 };

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* A row: its values as text; NULL: no such row. Keyed tables: one row a key. Keyless: KEYS places for rows. */
typedef struct model_row {
    bool there;
    char v[MAX_COLS][40];
    bool null[MAX_COLS];
} model_row;

typedef struct model_table {
    wb_table *t;
    uint32_t ncols;
    bool keyless, composite;
    model_row rows[KEYS * 2];
} model_table;

/* One event of the source, kept so that a restart can bring it again. */
typedef struct event {
    wb_op op;
    int table;
    bool begins, ends, has_before, moves;
    model_row before, after;
    bool unchanged[MAX_COLS];
} event;

static model_table tables[TABLES];
static event *events;

static void make_tables(void)
{
    static const char *const names[] = {"one", "pair", "words", "bare"};
    static const uint16_t keys[][2] = {{0, 0}, {0, 1}, {1, 0}, {0, 0}};
    static const uint32_t nkeys[] = {1, 2, 1, 0};
    for (int i = 0; i < TABLES; i++) {
        model_table *m = &tables[i];
        col c[MAX_COLS] = {
            {"a", WB_INT, "integer", NULL, 23, 0},       {"b", WB_TEXT, "text", NULL, 25, 0},
            {"c", WB_DECIMAL, "numeric", NULL, 1700, 0}, {"d", WB_FLOAT, "double precision", NULL, 701, 0},
            {"e", WB_BYTES, "bytea", NULL, 17, 0},       {"f", WB_TIMESTAMPTZ, "timestamptz", NULL, 1184, 0}};
        memset(m, 0, sizeof *m);
        m->ncols = 3 + rnd(MAX_COLS - 2);
        m->keyless = i == 3;
        uint32_t full = m->keyless || rnd(2) ? WB_TABLE_FULL_BEFORE : 0;
        m->t = table_of("public", names[i], 100 + (uint64_t)i, c, m->ncols, keys[i], nkeys[i], full);
    }
}

static bool is_key(const model_table *m, uint32_t c) { return (m->t->cols[c].flags & WB_COL_KEY) != 0; }

/* The key of place k, or any values elsewhere. */
static void fill_value(const model_table *m, model_row *r, uint32_t c, uint32_t place)
{
    static const char *const times[] = {"2024-02-29 10:00:00+00", "1999-12-31 23:59:59.999999+00"};
    char *v = r->v[c];
    uint32_t x = rnd(1000);
    r->null[c] = !is_key(m, c) && rnd(6) == 0;
    if (is_key(m, c)) x = place;
    switch (m->t->cols[c].kind) {
    case WB_INT: snprintf(v, 40, "%d", (int)x - (is_key(m, c) ? 0 : 500)); break;
    case WB_DECIMAL: snprintf(v, 40, "%u.%03u0", x, x); break;
    case WB_FLOAT: snprintf(v, 40, "%s", x % 10 == 0 ? "NaN" : x % 3 ? "0.1" : "-2.5e+20"); break;
    case WB_BYTES: snprintf(v, 40, "\\x%02x%02x", x % 256, (x * 7) % 256); break;
    case WB_TIMESTAMPTZ: snprintf(v, 40, "%s", times[x % 2]); break;
    default: snprintf(v, 40, "w%u", x); break;
    }
}

static void fill_row(const model_table *m, model_row *r, uint32_t place)
{
    r->there = true;
    for (uint32_t c = 0; c < m->ncols; c++) fill_value(m, r, c, place);
}

/* One random change that the source could make now; false: try again. */
static bool make_event(event *e)
{
    uint32_t k = rnd(KEYS), to = rnd(KEYS), what = rnd(100);
    memset(e, 0, sizeof *e);
    e->table = (int)rnd(TABLES);
    model_table *m = &tables[e->table];
    model_row *r = &m->rows[k];
    if (what == 0) {
        e->op = WB_TRUNCATE;
        for (int i = 0; i < KEYS; i++) m->rows[i].there = false;
        return true;
    }
    if (!r->there) {
        e->op = WB_INSERT;
        fill_row(m, r, k);
        e->after = *r;
        return true;
    }
    e->before = *r;
    e->has_before = (m->t->flags & WB_TABLE_FULL_BEFORE) != 0;
    if (what < 25) {
        e->op = WB_DELETE;
        e->has_before = true;
        r->there = false;
        return true;
    }
    e->op = WB_UPDATE;
    e->moves = !m->keyless && what < 45 && to != k && !m->rows[to].there;
    for (uint32_t c = 0; c < m->ncols; c++) {
        if (is_key(m, c) ? e->moves : rnd(2) == 0)
            fill_value(m, r, c, to);
        else if (!is_key(m, c) && rnd(2) && !r->null[c])
            e->unchanged[c] = true;
    }
    e->after = *r;
    if (e->moves) {
        e->has_before = true;
        m->rows[to] = *r;
        r->there = false;
    }
    return true;
}

static void put_event(fix *f, const event *e)
{
    const model_table *m = &tables[e->table];
    const char *before[MAX_COLS], *after[MAX_COLS];
    bool full = (m->t->flags & WB_TABLE_FULL_BEFORE) != 0;
    wb_change *c;
    if (e->begins) txn_begin(f);
    for (uint32_t i = 0; i < m->ncols; i++) {
        before[i] = !full && !is_key(m, i) ? ABSENT : e->before.null[i] ? NULL : e->before.v[i];
        after[i] = e->unchanged[i] ? UNCHANGED : e->after.null[i] ? NULL : e->after.v[i];
    }
    c = change(f, e->op, m->t, e->has_before ? before : NULL, e->op == WB_INSERT || e->op == WB_UPDATE ? after : NULL);
    if (e->moves) c->flags |= WB_C_KEY_CHANGED;
}

/* ---------------------------------------------------------------- comparing */

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static void expected_rows(const model_table *m, char *out, size_t cap)
{
    static char lines[KEYS][256];
    size_t n = 0, at = 0;
    for (int k = 0; k < KEYS; k++) {
        const model_row *r = &m->rows[k];
        size_t len = 0;
        if (!r->there) continue;
        for (uint32_t c = 0; c < m->ncols; c++) {
            const char *v = r->v[c];
            char text[64];
            snprintf(text, sizeof text, "%s%s", v, m->t->cols[c].kind == WB_TIMESTAMPTZ ? ":00" : "");
            len += (size_t)snprintf(lines[n] + len, 256 - len, "%s%s", c ? "|" : "", r->null[c] ? "NULL" : text);
        }
        n++;
    }
    qsort(lines, n, sizeof lines[0], by_text);
    out[0] = 0;
    for (size_t i = 0; i < n; i++) at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? "\n" : "", lines[i]);
}

static void actual_rows(fix *f, const model_table *m, char *out, size_t cap)
{
    static char lines[64][256];
    char query[400];
    size_t n = 0, at = 0, len = 0;
    char *save = NULL;
    len = (size_t)snprintf(query, sizeof query, "select ");
    for (uint32_t c = 0; c < m->ncols; c++) {
        const char *name = m->t->cols[c].name.ptr;
        len +=
            (size_t)snprintf(query + len, sizeof query - len,
                             m->t->cols[c].kind == WB_BYTES ? "%s'\\x' || lower(hex(%s)) || substr(e, 1, 0)" : "%s%s",
                             c ? "," : "", name);
    }
    snprintf(query + len, sizeof query - len, " from %s", m->t->name.ptr);
    for (char *line = strtok_r(sql(f, query), "\n", &save); line && n < 64; line = strtok_r(NULL, "\n", &save))
        snprintf(lines[n++], 256, "%s", line);
    qsort(lines, n, sizeof lines[0], by_text);
    out[0] = 0;
    for (size_t i = 0; i < n; i++) at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? "\n" : "", lines[i]);
}

static void compare(fix *f)
{
    static char want[8192], got[8192];
    for (int i = 0; i < TABLES; i++) {
        expected_rows(&tables[i], want, sizeof want);
        actual_rows(f, &tables[i], got, sizeof got);
        if (strncmp(got, "error: no such table", 20) == 0 && !want[0]) continue;
        assert_string_equal(got, want);
    }
}

/* ---------------------------------------------------------------- one run */

static void close_target(fix *f)
{
    if (f->b) wb_batch_unref(f->b);
    f->b = NULL;
    reopen(f);
}

/* Play events [from, to), which end a transaction, cut anywhere. */
static void play(fix *f, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!f->b && !events[i].begins) wb_batch_txn(batch(f))->id = WB_STR("same");
        put_event(f, &events[i]);
        if (rnd(4) == 0 || i + 1 == to) {
            must(f, give(f, events[i].ends, 0));
            if (rnd(4) == 0) assert_int_equal(flush(f), events[i].ends ? WB_OK : WB_AGAIN);
        }
    }
}

static void run(uint64_t with)
{
    fix *f = fix_open(ROW("commit_rows", "7", "synchronous", "normal", NULL));
    size_t made = 0, done = 0;
    seed = with;
    make_tables();
    events = calloc(EVENTS + 64, sizeof *events);
    while (made < EVENTS) {
        size_t n = 1 + rnd(9);
        for (size_t i = 0; i < n;) {
            if (!make_event(&events[made + i])) continue;
            events[made + i].begins = i == 0;
            events[made + i].ends = i + 1 == n;
            i++;
        }
        made += n;
        if (rnd(12) == 0) { /* stopped somewhere: what was not committed comes again */
            uint64_t before = f->pos;
            if (n > 1) {
                put_event(f, &events[made - n]);
                must(f, give(f, false, 0));
                if (rnd(2)) assert_int_equal(wb_target_sqlite.flush(f->ctx, -1, &f->err), WB_OK);
                f->pos = before;
            }
            if (rnd(2)) (void)flush(f);
            close_target(f);
            /* the own stand says how many transactions are in: go back to there */
            f->pos = f->o.own ? own_pos(f) : 100;
            size_t txns = (size_t)(f->pos - 100);
            for (done = 0; txns; done++) txns -= events[done].ends;
            play(f, done, made);
        } else {
            play(f, made - n, made);
        }
        if (rnd(8) == 0) {
            must(f, flush(f));
            compare(f);
        }
    }
    must(f, flush(f));
    compare(f);
    for (int i = 0; i < TABLES; i++) wb_table_unref(tables[i].t);
    free(events);
    fix_close(f);
}

static void test_random_changes_and_restarts(void **state)
{
    (void)state;
    const char *one = getenv("WB_SEED");
    for (uint64_t s = 1; s <= 6; s++) {
        uint64_t with = one ? strtoull(one, NULL, 10) : s;
        print_message("WB_SEED=%llu\n", (unsigned long long)with);
        run(with);
        if (one) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_changes_and_restarts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
