/* What the engine does when a target can never take a row, never answers, or keeps too much of the server's log.
 * proves G-01, G-11 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/buf.h"
#include "core/registry.h"
#include "scripted.h"
#include "walbrook/walbrook.h"

enum { TRANSACTIONS = 100, POISON = 7 };

static char dir[64];
static wb_out said; /* the log */
static pthread_mutex_t saying = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *arg, wb_log_level level, const char *part, const char *text)
{
    WB_UNUSED(arg), WB_UNUSED(level);
    pthread_mutex_lock(&saying);
    wb_out_printf(&said, "%s: %s\n", part, text);
    pthread_mutex_unlock(&saying);
}

static void clean(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s/*", dir);
    assert_int_equal(system(cmd), 0);
    for (size_t i = 0; i < WB_COUNT(vaults); i++) {
        free(vaults[i].rows);
        memset(&vaults[i], 0, sizeof vaults[i]);
    }
    memset(&the_script, 0, sizeof the_script);
    script_nturns = 0;
    wb_out_fini(&said);
    said = (wb_out){0};
}

static void *stop_soon(void *arg)
{
    wb_sleep_us(400000);
    wb_pipeline_stop(arg, false);
    return NULL;
}

/* One target, vault a; more: top-level keys. */
static wb_code run(const char *more, bool stop, wb_error *err)
{
    char yaml[1000];
    pthread_t t;
    wb_error_reset(err);
    snprintf(
        yaml, sizeof yaml,
        "name: test\nsource: {type: scripted}\nbackoff_min: 1ms\nbackoff_max: 5ms\ngrace: 2s\ncheckpoint_interval: "
        "20ms\n%stargets: [{type: shaky, name: a, vault: a}]\n",
        more);
    wb_pipeline *p = wb_pipeline_parse(yaml, strlen(yaml), dir, false, err);
    if (!p) fprintf(stderr, "%s: %s\n", err->where, err->message);
    assert_non_null(p);
    wb_pipeline_on_log(p, WB_LOG_DEBUG, on_log, NULL);
    if (stop) pthread_create(&t, NULL, stop_soon, p);
    wb_code rc = wb_pipeline_run(p, NULL, err);
    if (stop) pthread_join(t, NULL);
    wb_pipeline_free(p);
    return rc;
}

/* All rows, in order, but those that are poison. */
static void expect_the_rest(const vault *v)
{
    size_t at = 0;
    for (uint64_t t = 1; t <= TRANSACTIONS; t++)
        for (unsigned o = t % POISON ? 0 : 1; o < rows_of(t); o++, at++) {
            assert_true(at < v->n);
            assert_int_equal(v->rows[at].txn, t);
            assert_int_equal(v->rows[at].ordinal, o);
        }
    assert_int_equal(at, v->n);
}

static void test_poison_goes_to_the_dead_letters(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    char path[96], line[2000], want[80];
    clean();
    the_script = (script){.seed = 1, .transactions = TRANSACTIONS};
    vaults[0] = (vault){.name = "a", .keeps = true, .poison = POISON};
    assert_int_equal(run("dead_letters: dead.jsonl\n", false, &err), WB_OK);
    expect_the_rest(&vaults[0]);
    assert_int_equal(the_script.settled, TRANSACTIONS * 10);
    snprintf(path, sizeof path, "%s/dead.jsonl", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (unsigned t = POISON; t <= TRANSACTIONS; t += POISON) { /* each of them, once, with its reason and its row */
        assert_non_null(fgets(line, sizeof line, f));
        snprintf(want, sizeof want, "\"record\":{\"txn\":%u,\"ordinal\":0}", t);
        assert_non_null(strstr(line, want));
        assert_non_null(strstr(line, "{\"target\":\"a\","));
        assert_non_null(strstr(line, "\"error\":\"the shaky target can never take this\""));
        assert_string_equal(line + strlen(line) - 3, "}}\n");
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
}

/* Nothing is passed over: it stops before the row, and the log from there on is kept. */
static void test_poison_without_dead_letters_stops(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    clean();
    the_script = (script){.seed = 2, .transactions = TRANSACTIONS};
    vaults[0] = (vault){.name = "a", .keeps = true, .poison = POISON};
    assert_int_equal(run("", false, &err), WB_E_DATA);
    assert_string_equal(err.message, "the shaky target can never take this");
    assert_non_null(strstr(err.hint, "dead_letters"));
    assert_true(the_script.settled < POISON * 10);
    assert_int_equal(run("dead_letters: dead.jsonl\n", false, &err), WB_OK);
    expect_the_rest(&vaults[0]);
}

/* A row that cannot be written down is not let go either. */
static void test_dead_letters_that_cannot_be_written(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    clean();
    the_script = (script){.seed = 3, .transactions = TRANSACTIONS};
    vaults[0] = (vault){.name = "a", .keeps = true, .poison = POISON};
    (void)run("dead_letters: no-such-folder/dead.jsonl\n", true, &err);
    assert_true(strstr(wb_out_cstr(&said), "no-such-folder") || strstr(err.message, "no-such-folder"));
    assert_true(the_script.settled < POISON * 10);
    assert_int_equal(run("dead_letters: dead.jsonl\n", false, &err), WB_OK);
    expect_the_rest(&vaults[0]);
}

/* It took everything and says nothing: named, then opened again and given all of it once more. */
static void test_an_answer_that_never_comes(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    clean();
    the_script = (script){.seed = 4, .transactions = TRANSACTIONS};
    vaults[0] = (vault){.name = "a", .keeps = true, .poison = 0, .mute = 1};
    assert_int_equal(run("answer_timeout: 100ms\n", false, &err), WB_OK);
    assert_int_equal(vaults[0].opens, 2);
    assert_non_null(strstr(wb_out_cstr(&said), "target a: has not confirmed what it took"));
    assert_non_null(strstr(wb_out_cstr(&said), "no answer for"));
    size_t rows = 0;
    for (uint64_t t = 1; t <= TRANSACTIONS; t++) rows += rows_of(t);
    assert_int_equal(vaults[0].n, rows);
    assert_int_equal(the_script.settled, TRANSACTIONS * 10);
}

static void test_hold(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    clean();
    the_script = (script){.seed = 5, .transactions = 5, .endless = true, .held = 3 << 20};
    vaults[0] = (vault){.name = "a", .keeps = true};
    assert_int_equal(run("hold: 2MB\nhold_action: stop\n", false, &err), WB_E_LIMIT);
    assert_non_null(strstr(err.message, "3145728 bytes of its log"));
    assert_non_null(strstr(err.message, "`hold` (2097152)"));
}

static int setup(void **state)
{
    WB_UNUSED(state);
    snprintf(dir, sizeof dir, "/tmp/wb-limits-XXXXXX");
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
        cmocka_unit_test(test_poison_goes_to_the_dead_letters),
        cmocka_unit_test(test_poison_without_dead_letters_stops),
        cmocka_unit_test(test_dead_letters_that_cannot_be_written),
        cmocka_unit_test(test_an_answer_that_never_comes),
        cmocka_unit_test(test_hold),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
