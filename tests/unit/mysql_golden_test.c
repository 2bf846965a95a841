/* Real logs of MySQL 9.7, MariaDB 10.11 and 11.8, through the decoder: the changes, one after the other, must make what
 * SELECT showed in the end (tests/golden/binlog), and every old row must be the row that is there. The SELECT's text
 * goes through my_value_of_text, so this also says that a snapshot and the stream give the same. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "core/batch.h"
#include "formats/json.h"
#include "sources/mysql/event.h"

#define FOLDER "tests/golden/binlog"
enum { COLS = 400, TABLES = 80, ROWS = 4000 };

/* ---------------------------------------------------------------- what SELECT said */

typedef struct want {
    my_schema s;
    uint16_t key[COLS];
    my_schema_col cols[COLS];
    wb_str *rows; /* ncols cells each; ptr NULL: NULL */
    size_t nrows;
} want;

typedef struct fold {
    char schema[64], name[64];
    uint32_t ncols;
    char *names[COLS];
    char **rows[ROWS]; /* JSON text per column; NULL: never said */
    size_t nrows;
} fold;

static want *wants[TABLES];
static size_t nwants;
static fold *folds[TABLES];
static size_t nfolds;
static const char *now; /* the case, for messages */

static void no(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void no(const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail_msg("%s: %s", now, text);
    abort();
}

static wb_str unescape(const char *z)
{
    char *out = malloc(strlen(z) + 1);
    size_t n = 0;
    if (strcmp(z, "~") == 0) {
        free(out);
        return (wb_str){NULL, 0};
    }
    for (; *z; z++) {
        unsigned c = (unsigned char)*z;
        if (*z == '%' && sscanf(z + 1, "%2x", &c) == 1)
            z += 2;
        else if (*z == '%')
            continue; /* an empty text */
        out[n++] = (char)c;
    }
    out[n] = 0;
    return (wb_str){out, n};
}

static void want_line(char *line)
{
    char *at = NULL, *word = strtok_r(line, " ", &at);
    want *w = nwants ? wants[nwants - 1] : NULL;
    if (!word) return;
    if (strcmp(word, "table") == 0) {
        w = wants[nwants++] = calloc(1, sizeof *w);
        w->s.schema = unescape(strtok_r(NULL, " ", &at));
        w->s.name = unescape(strtok_r(NULL, " ", &at));
        const char *engine = strtok_r(NULL, " ", &at);
        w->s.engine = strcmp(engine, "InnoDB") == 0 ? MY_ENGINE_TRANSACTIONAL : MY_ENGINE_PLAIN;
        w->s.cols = w->cols;
        w->s.key = w->key;
    } else if (strcmp(word, "col") == 0) {
        my_schema_col *c = &w->cols[w->s.ncols];
        c->name = unescape(strtok_r(NULL, " ", &at));
        const char *flags = strtok_r(NULL, " ", &at), *charset = strtok_r(NULL, " ", &at);
        if (strchr(flags, 'k')) w->key[w->s.nkey++] = (uint16_t)w->s.ncols;
        c->flags = (uint8_t)((strchr(flags, 'n') ? WB_COL_NOT_NULL : 0) | (strchr(flags, 'g') ? WB_COL_GENERATED : 0) |
                             (strchr(flags, 'i') ? MY_COL_INVISIBLE : 0));
        c->charset = strcmp(charset, "-") == 0 ? (wb_str){malloc(1), 0} : unescape(charset);
        c->type = unescape(strtok_r(NULL, " ", &at));
        w->s.ncols++;
    } else {
        w->rows = realloc(w->rows, (w->nrows + 1) * w->s.ncols * sizeof *w->rows);
        for (uint32_t i = 0; i < w->s.ncols; i++)
            w->rows[w->nrows * w->s.ncols + i] = unescape(strtok_r(NULL, " ", &at));
        w->nrows++;
    }
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) no("no file %s", path);
    char *text = malloc(1 << 20);
    *n = fread(text, 1, (1 << 20) - 1, f);
    text[*n] = 0;
    fclose(f);
    return text;
}

static void read_wants(const char *path)
{
    size_t n;
    char *text = slurp(path, &n), *at = NULL;
    for (char *line = strtok_r(text, "\n", &at); line; line = strtok_r(NULL, "\n", &at)) want_line(line);
    free(text);
}

static void forget(void)
{
    for (size_t i = 0; i < nwants; i++) {
        want *w = wants[i];
        for (size_t k = 0; k < w->nrows * w->s.ncols; k++) free((void *)(uintptr_t)w->rows[k].ptr);
        for (uint32_t k = 0; k < w->s.ncols; k++) {
            free((void *)(uintptr_t)w->cols[k].name.ptr);
            free((void *)(uintptr_t)w->cols[k].type.ptr);
            free((void *)(uintptr_t)w->cols[k].charset.ptr);
        }
        free((void *)(uintptr_t)w->s.schema.ptr);
        free((void *)(uintptr_t)w->s.name.ptr);
        free(w->rows);
        free(w);
    }
    for (size_t i = 0; i < nfolds; i++) {
        for (uint32_t c = 0; c < folds[i]->ncols; c++) free(folds[i]->names[c]);
        for (size_t r = 0; r < folds[i]->nrows; r++) {
            for (uint32_t c = 0; c < folds[i]->ncols; c++) free(folds[i]->rows[r][c]);
            free(folds[i]->rows[r]);
        }
        free(folds[i]);
    }
    nwants = nfolds = 0;
}

/* ---------------------------------------------------------------- the changes, folded */

static fold *fold_find(wb_str schema, wb_str name)
{
    for (size_t i = 0; i < nfolds; i++)
        if (wb_str_is(schema, folds[i]->schema) && wb_str_is(name, folds[i]->name)) return folds[i];
    return NULL;
}

static void fold_clear(fold *f)
{
    for (size_t r = 0; r < f->nrows; r++) {
        for (uint32_t c = 0; c < f->ncols; c++) free(f->rows[r][c]);
        free(f->rows[r]);
    }
    f->nrows = 0;
}

/* The table as it is now: columns that stay keep their values. */
static fold *fold_of(const wb_table *t)
{
    fold *f = fold_find(t->schema, t->name);
    if (!f) {
        f = folds[nfolds++] = calloc(1, sizeof *f);
        snprintf(f->schema, sizeof f->schema, "%.*s", (int)t->schema.len, t->schema.ptr);
        snprintf(f->name, sizeof f->name, "%.*s", (int)t->name.len, t->name.ptr);
    }
    bool same = f->ncols == t->ncols;
    for (uint32_t i = 0; same && i < t->ncols; i++) same = wb_str_is(t->cols[i].name, f->names[i]);
    if (same) return f;
    for (size_t r = 0; r < f->nrows; r++) {
        char **row = calloc(t->ncols, sizeof *row);
        for (uint32_t i = 0; i < t->ncols; i++)
            for (uint32_t k = 0; k < f->ncols; k++)
                if (wb_str_is(t->cols[i].name, f->names[k]) && f->rows[r][k]) row[i] = strdup(f->rows[r][k]);
        for (uint32_t k = 0; k < f->ncols; k++) free(f->rows[r][k]);
        free(f->rows[r]);
        f->rows[r] = row;
    }
    for (uint32_t k = 0; k < f->ncols; k++) free(f->names[k]);
    f->ncols = t->ncols;
    for (uint32_t i = 0; i < t->ncols; i++) f->names[i] = strndup(t->cols[i].name.ptr, t->cols[i].name.len);
    return f;
}

static char *text_of(const wb_value *v)
{
    static const wb_json_options options = {.hex = true};
    wb_out o = {0};
    wb_error err = {0};
    if (v->kind == WB_ABSENT || v->kind == WB_UNCHANGED) return NULL;
    if (wb_json_value(&o, v, &options, &err) != WB_OK) no("%s", err.message);
    wb_out_byte(&o, 0);
    return o.p;
}

static bool row_is(char *const *row, char *const *other, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (row[i] && other[i] && strcmp(row[i], other[i]) != 0) return false;
    return true;
}

static size_t find_row(const fold *f, char *const *old)
{
    for (size_t r = 0; r < f->nrows; r++)
        if (row_is(f->rows[r], old, f->ncols)) return r;
    char text[1000];
    size_t n = 0;
    for (uint32_t i = 0; i < f->ncols && n < sizeof text - 200; i++)
        n += (size_t)snprintf(text + n, 190, " %s=%.150s", f->names[i], old[i] ? old[i] : "-");
    no("%s.%s has no such old row:%s", f->schema, f->name, text);
}

static void take_row(const wb_change *c)
{
    fold *f = fold_of(c->table);
    char **before = calloc(f->ncols + 1, sizeof *before), **after = calloc(f->ncols + 1, sizeof *after);
    for (uint32_t i = 0; i < f->ncols; i++) {
        if (c->before) before[i] = text_of(&c->before[i]);
        if (c->after) after[i] = text_of(&c->after[i]);
    }
    if (c->op == WB_INSERT) {
        assert_true(f->nrows < ROWS);
        f->rows[f->nrows++] = after;
        after = NULL;
    } else {
        size_t r = find_row(f, before);
        if (c->op == WB_UPDATE) {
            for (uint32_t i = 0; i < f->ncols; i++) {
                if (!after[i] &&
                    (c->table->cols[i].flags & WB_COL_GENERATED)) { /* MariaDB 11 leaves them out, changed or not */
                    free(f->rows[r][i]);
                    f->rows[r][i] = NULL;
                }
                if (!after[i]) continue;
                free(f->rows[r][i]);
                f->rows[r][i] = after[i];
                after[i] = NULL;
            }
        } else {
            for (uint32_t i = 0; i < f->ncols; i++) free(f->rows[r][i]);
            free(f->rows[r]);
            f->rows[r] = f->rows[--f->nrows];
        }
    }
    for (uint32_t i = 0; i < f->ncols; i++) {
        free(before[i]);
        if (after) free(after[i]);
    }
    free(before);
    free(after);
}

static void take_ddl(const my_event *ev)
{
    const my_statement *st = &ev->statement;
    if (st->temporary) return;
    for (uint32_t i = 0; i < st->ntables; i++) {
        const my_st_table *t = &st->tables[i];
        fold *f = fold_find(t->schema, t->name);
        if (!f) continue;
        if (st->kind == MY_ST_TRUNCATE || st->kind == MY_ST_DROP_TABLE || st->kind == MY_ST_CREATE_TABLE) fold_clear(f);
        if (t->to_name.len) {
            snprintf(f->schema, sizeof f->schema, "%.*s", (int)t->to_schema.len, t->to_schema.ptr);
            snprintf(f->name, sizeof f->name, "%.*s", (int)t->to_name.len, t->to_name.ptr);
        }
    }
}

/* ---------------------------------------------------------------- the decoder */

static char *spool;
static size_t spool_cap;

static wb_code table_hook(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    (void)arg, (void)err;
    for (size_t i = 0; i < nwants; i++)
        if (wb_str_eq(wants[i]->s.schema, map->schema) && wb_str_eq(wants[i]->s.name, map->name) &&
            my_schema_fits(&wants[i]->s, map, NULL, 0))
            *out = wants[i]->s;
    return WB_OK;
}

static wb_code spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    (void)arg, (void)err;
    if (at + n > spool_cap) spool = realloc(spool, spool_cap = (at + n) * 2);
    memcpy(spool + at, p, n);
    return WB_OK;
}

static wb_code spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    (void)arg, (void)err;
    memcpy(p, spool + at, n);
    return WB_OK;
}

typedef struct result {
    uint64_t transactions, rows;
    size_t prepared;
    wb_error err;
} result;

static wb_code deliver(my_decoder *d, result *r)
{
    wb_batch *b = wb_batch_loose();
    size_t done = 0;
    wb_code code = WB_OK;
    for (my_event ev = {0}; code == WB_OK && ev.kind != MY_EV_COMMIT;) {
        code = my_decoder_next(d, b, 0, &ev, &r->err);
        if (code != WB_OK) break;
        if (ev.kind == MY_EV_BEGIN) wb_batch_txn(b)->flags = WB_TXN_BEGIN;
        if (ev.kind == MY_EV_DDL) take_ddl(&ev);
        for (; done < wb_batch_count(b); done++) take_row(&b->changes[done]);
        if (ev.kind == MY_EV_COMMIT) {
            r->transactions++;
            r->rows += ev.rows;
            assert_int_equal(ev.rows, wb_batch_count(b));
        }
    }
    wb_batch_unref(b);
    return code;
}

/* Of two lengths in turns, as a connection might give them. */
static wb_code in_parts(my_decoder *d, const char *p, size_t n, my_event *ev, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t at = 0, k; code == WB_OK && at < n; at += k) {
        k = WB_MIN(at ? (at % 2 ? 100 : 33) : (size_t)MY_HEADER_LEN, n - at);
        code = my_decoder_part(d, p + at, k, at + k == n, ev, err);
    }
    return code;
}

static wb_code replay(const char *path, bool tiny, result *r)
{
    const my_hooks hooks = {.table = table_hook, .spool_write = spool_write, .spool_read = spool_read};
    const my_options options = {.max_row = 1 << 24, .hold = tiny ? 1 : 0, .kept = tiny};
    size_t n;
    char *bytes = slurp(path, &n);
    my_decoder *d = my_decoder_new(&hooks, &options);
    assert_non_null(d);
    *r = (result){0};
    my_decoder_start(d, WB_STR("golden"), MY_FIRST_EVENT, false);
    wb_code code = my_magic_check(bytes, n, &r->err);
    for (size_t at = MY_MAGIC_LEN; code == WB_OK && at < n;) {
        my_header h;
        my_event ev = {0};
        code = my_header_read(bytes + at, n - at, &h, &r->err);
        if (code != WB_OK) break;
        assert_true(h.length <= n - at);
        char *exact = malloc(h.length); /* so that a read past its end is seen */
        memcpy(exact, bytes + at, h.length);
        code = tiny && my_type_in_parts(h.type) ? in_parts(d, exact, h.length, &ev, &r->err)
                                                : my_decoder_feed(d, exact, h.length, &ev, &r->err);
        if (code == WB_OK && ev.kind == MY_EV_GROUP) {
            assert_true(ev.end <= n);
            code = deliver(d, r);
        }
        free(exact);
        at += h.length;
    }
    r->prepared = my_decoder_prepared(d);
    if (code == WB_OK && my_decoder_in_group(d)) no("the log ends within a transaction");
    my_decoder_free(d);
    free(bytes);
    return code;
}

static void compare(my_flavor flavor)
{
    wb_error err = {0};
    my_policy policy = {0};
    for (size_t i = 0; i < nwants; i++) {
        want *w = wants[i];
        fold *f = fold_find(w->s.schema, w->s.name);
        size_t have = f ? f->nrows : 0;
        if (have != w->nrows) no("%s has %zu rows, not %zu", w->s.name.ptr, have, w->nrows);
        wb_table *t = my_table_of_schema(&w->s, flavor, &err);
        if (!t) no("%s", err.message);
        wb_batch *b = wb_batch_loose();
        for (size_t r = 0; f && r < w->nrows; r++) {
            char **row = calloc(f->ncols, sizeof *row);
            for (uint32_t c = 0; c < f->ncols; c++) {
                for (uint32_t k = 0; k < w->s.ncols; k++) {
                    wb_str cell = w->rows[r * w->s.ncols + k];
                    wb_value v = {.kind = WB_NULL};
                    if (!wb_str_is(w->cols[k].name, f->names[c])) continue;
                    if (cell.ptr && my_value_of_text(t, k, cell.ptr, cell.len, &policy, b, &v, &err) != WB_OK)
                        no("%s", err.message);
                    row[c] = text_of(&v);
                }
                if (!row[c]) no("%s: the table has no column %s", w->s.name.ptr, f->names[c]);
            }
            size_t at = 0;
            while (at < f->nrows && !row_is(f->rows[at], row, f->ncols)) at++;
            if (at == f->nrows) {
                for (size_t m = 0; m < f->nrows; m++) /* the first that has the same first column */
                    for (uint32_t c = 0; f->rows[m][0] && strcmp(f->rows[m][0], row[0]) == 0 && c < f->ncols; c++)
                        if (f->rows[m][c] && strcmp(f->rows[m][c], row[c]) != 0)
                            no("%s row %zu column %s: the log gives %.300s, SELECT %.300s", w->s.name.ptr, r,
                               f->names[c], f->rows[m][c], row[c]);
                no("%s: row %zu (%s) is missing", w->s.name.ptr, r, row[0]);
            }
            for (uint32_t c = 0; c < f->ncols; c++) {
                free(row[c]);
                free(f->rows[at][c]);
            }
            free(row);
            free(f->rows[at]);
            f->rows[at] = f->rows[--f->nrows];
        }
        wb_batch_unref(b);
        wb_table_unref(t);
    }
}

static void play(const char *kind, const char *file, bool tiny)
{
    static char name[300];
    char path[600], rows[600];
    snprintf(path, sizeof path, FOLDER "/%s/%s", kind, file);
    snprintf(rows, sizeof rows, "%.*s.rows", (int)(strlen(path) - strlen(".binlog")), path);
    snprintf(name, sizeof name, "%s/%s%s", kind, file, tiny ? " spooled" : "");
    now = name;
    forget(); /* of a test that failed */
    read_wants(rows);
    result r;
    wb_code code = replay(path, tiny, &r);
    if (strncmp(file, "encrypted", 9) == 0) {
        assert_int_equal(code, WB_E_UNSUPPORTED);
        assert_non_null(strstr(r.err.message, "ncrypt"));
    } else if (strncmp(file, "statement", 9) == 0) {
        assert_int_not_equal(code, WB_OK);
        assert_non_null(strstr(r.err.message, "INSERT"));
    } else {
        if (code != WB_OK) no("%s", r.err.message);
        assert_true(r.transactions > 0 && r.rows > 0);
        assert_int_equal(r.prepared, strncmp(file, "xa_open", 7) == 0);
        compare(strcmp(kind, "my97") == 0 ? MY_MYSQL : MY_MARIADB);
    }
    forget();
}

static void play_all(const char *kind)
{
    char path[300];
    snprintf(path, sizeof path, FOLDER "/%s", kind);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t played = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strstr(e->d_name, ".binlog")) continue;
        play(kind, e->d_name, false);
        play(kind, e->d_name, true);
        played++;
    }
    closedir(dir);
    assert_true(played >= 15);
    free(spool);
    spool = NULL;
    spool_cap = 0;
}

static void mysql_97(void **state)
{
    (void)state;
    play_all("my97");
}
static void mariadb_10(void **state)
{
    (void)state;
    play_all("m10");
}
static void mariadb_11(void **state)
{
    (void)state;
    play_all("m118");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mysql_97), cmocka_unit_test(mariadb_10),
                                       cmocka_unit_test(mariadb_11)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
