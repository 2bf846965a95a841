/* Conformance of the real targets: one suite over each. The scripted source breaks, the pipeline is stopped at any
 * moment, now and then without draining, and started again; in the end the target holds every change exactly once.
 * proves G-02, G-04, G-05 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <unistd.h>

#include "core/registry.h"
#include "scripted.h"
#include "walbrook/walbrook.h"

enum { SNAPSHOT = 40, TRANSACTIONS = 6000 };

static char dir[64];

typedef struct subject {
    const char *name;   /* of the case */
    const char *target; /* YAML of the target */
    void (*expect)(uint64_t upto);
} subject;

static void on_log(void *arg, wb_log_level level, const char *part, const char *text)
{
    WB_UNUSED(arg);
    if (getenv("WB_TEST_LOG")) fprintf(stderr, "%d %s: %s\n", level, part, text);
}

/* ---------------------------------------------------------------- what each must hold in the end */

static void expect_lines(uint64_t upto)
{
    char path[96], line[200], want[200];
    snprintf(path, sizeof path, "%s/out.jsonl", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (uint64_t t = 0; t <= upto; t++) {
        unsigned n = t ? rows_of(t) : SNAPSHOT;
        for (unsigned o = 0; o < n; o++) {
            snprintf(want, sizeof want, "{\"txn\":%llu,\"ordinal\":%u}\n", (unsigned long long)t, o);
            if (!fgets(line, sizeof line, f)) line[0] = 0;
            assert_string_equal(line, want);
        }
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
}

static uint64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    uint64_t n = (uint64_t)sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static sqlite3 *open_out(void)
{
    char path[96];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/out.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void expect_mirror(uint64_t upto)
{
    sqlite3 *db = open_out();
    uint64_t rows = SNAPSHOT;
    for (uint64_t t = 1; t <= upto; t++) rows += rows_of(t);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(number(db, "SELECT max(txn) FROM t"), upto);
    assert_int_equal(
        number(db,
               "SELECT count(*) FROM (SELECT txn, count(*) n, max(ordinal) m FROM t GROUP BY txn) WHERE m + 1 <> n"),
        0);
    sqlite3_close(db);
}

static void expect_log(uint64_t upto)
{
    sqlite3 *db = open_out();
    uint64_t rows = SNAPSHOT;
    for (uint64_t t = 1; t <= upto; t++) rows += rows_of(t);
    assert_int_equal(number(db, "SELECT count(*) FROM changes"), rows);
    assert_int_equal(number(db, "SELECT count(DISTINCT after) FROM changes"), rows); /* nothing twice */
    /* in commit order */
    assert_int_equal(
        number(db, "SELECT count(*) FROM (SELECT json_extract(after,'$.txn') t, lag(json_extract(after,'$.txn')) "
                   "OVER (ORDER BY seq) p FROM changes) WHERE p > t"),
        0);
    sqlite3_close(db);
}

/* ---------------------------------------------------------------- the suite */

static void *stop_soon(void *arg)
{
    wb_sleep_us(500 + (int64_t)(the_script.seed * 7919 % 30) * 1000);
    wb_pipeline_stop(arg, the_script.seed % 2 == 0);
    return NULL;
}

static wb_code run(const char *target, bool stop, wb_error *err)
{
    char yaml[1000];
    wb_error_reset(err);
    snprintf(yaml, sizeof yaml,
             "name: test\nsource: {type: scripted}\nbackoff_min: 1ms\nbackoff_max: 5ms\ncheckpoint_interval: "
             "15ms\ntargets: [%s]\n",
             target);
    wb_pipeline *p = wb_pipeline_parse(yaml, strlen(yaml), dir, false, err);
    if (!p) fprintf(stderr, "%s: %s\n", err->where, err->message);
    assert_non_null(p);
    wb_pipeline_on_log(p, WB_LOG_DEBUG, on_log, NULL);
    pthread_t t;
    if (stop) assert_int_equal(pthread_create(&t, NULL, stop_soon, p), 0);
    wb_code rc = wb_pipeline_run(p, NULL, err);
    if (stop) pthread_join(t, NULL);
    if (rc != WB_OK)
        fprintf(stderr, "seed %llu: %s: %s\n", (unsigned long long)the_script.seed, err->where, err->message);
    wb_pipeline_free(p);
    return rc;
}

static void clean(void)
{
    char cmd[160];
    snprintf(cmd, sizeof cmd, "rm -rf %s/test.state %s/out.*", dir, dir);
    assert_int_equal(system(cmd), 0);
    memset(&the_script, 0, sizeof the_script);
    script_nturns = 0;
}

static void suite(const subject *s)
{
    wb_error err = {0};
    for (uint64_t round = 0; round < 4; round++) { /* each way of copying, without and with breaks */
        clean();
        the_script = (script){.seed = 1000 * round,
                              .transactions = TRANSACTIONS,
                              .snapshot_rows = SNAPSHOT,
                              .turns = round >= 2,
                              .break_one_in = round % 2 == 1 ? 40 : 0};
        for (int i = 0; i < 8; i++) {
            the_script.seed++;
            assert_int_equal(run(s->target, true, &err), WB_OK);
        }
        assert_int_equal(run(s->target, false, &err), WB_OK); /* to the end */
        s->expect(TRANSACTIONS);
        assert_int_equal(the_script.settled, TRANSACTIONS * 10);
        assert_false(the_script.lost);
        the_script.transactions += 50; /* and it goes on from there */
        assert_int_equal(run(s->target, false, &err), WB_OK);
        s->expect(TRANSACTIONS + 50);
    }
}

static void test_file(void **state)
{
    WB_UNUSED(state);
    suite(&(subject){"file", "{type: file, path: out.jsonl, format: row, fsync: each}", expect_lines});
    suite(&(subject){"file, 5 ms", "{type: file, path: out.jsonl, format: row, fsync: 5ms}", expect_lines});
}
static void test_sqlite_mirror(void **state)
{
    WB_UNUSED(state);
    suite(&(subject){"mirror", "{type: sqlite, path: out.db}", expect_mirror});
    suite(&(subject){"mirror, small commits", "{type: sqlite, path: out.db, commit_rows: 10}", expect_mirror});
}
static void test_sqlite_log(void **state)
{
    WB_UNUSED(state);
    suite(&(subject){"log", "{type: sqlite, path: out.db, mode: log}", expect_log});
}

/* Both at once: each keeps its own stand. */
static void test_together(void **state)
{
    WB_UNUSED(state);
    suite(
        &(subject){"file", "{type: file, path: out.jsonl, format: row}, {type: sqlite, path: out.db}", expect_mirror});
    expect_lines(TRANSACTIONS + 50);
}

/* The connection breaks in the midst of a copy of one piece, which begins again from nothing: what the target had of
 * the one before is given up, and nothing waits for an answer to it. */
static void test_copies_that_break(void **state)
{
    WB_UNUSED(state);
    static const subject subjects[] = {
        {"file", "{type: file, path: out.jsonl, format: row}", expect_lines},
        {"mirror", "{type: sqlite, path: out.db}", expect_mirror},
        {"log", "{type: sqlite, path: out.db, mode: log}", expect_log},
    };
    wb_error err = {0};
    for (size_t i = 0; i < WB_COUNT(subjects); i++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            clean();
            the_script = (script){.seed = seed, .transactions = 20, .snapshot_rows = SNAPSHOT, .break_one_in = 4};
            assert_int_equal(run(subjects[i].target, false, &err), WB_OK);
            subjects[i].expect(20);
        }
}

static int setup(void **state)
{
    WB_UNUSED(state);
    snprintf(dir, sizeof dir, "/tmp/wb-targets-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    wb_registry_add(&scripted_source.head);
    wb_registry_add(&shaky_target.head);
    return 0;
}
static int teardown(void **state)
{
    WB_UNUSED(state);
    clean();
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),     cmocka_unit_test(test_sqlite_mirror),     cmocka_unit_test(test_sqlite_log),
        cmocka_unit_test(test_together), cmocka_unit_test(test_copies_that_break),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
