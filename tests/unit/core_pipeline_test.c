/* The engine against a source that breaks and targets that misbehave: conformance of core/.
 * proves G-01, G-02, G-03, G-04, G-06, G-11 */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <cmocka.h>
#include <unistd.h>

#include "core/registry.h"
#include "scripted.h"
#include "walbrook/walbrook.h"

static char dir[64];

static void on_log(void *arg, wb_log_level level, const char *part, const char *text)
{
    WB_UNUSED(arg);
    if (level <= WB_LOG_WARN && getenv("WB_TEST_LOG")) fprintf(stderr, "%s: %s\n", part, text);
}

static wb_pipeline *load(const char *targets, wb_error *err)
{
    char yaml[2000];
    snprintf(yaml, sizeof yaml,
             "name: test\nsource: {type: scripted}\nbackoff_min: 1ms\nbackoff_max: 5ms\npatience: 100ms\ngrace: 2s\n"
             "checkpoint_interval: 20ms\ntargets:\n%s",
             targets);
    wb_pipeline *p = wb_pipeline_parse(yaml, strlen(yaml), dir, false, err);
    if (!p) fprintf(stderr, "%s: %s\n", err->where, err->message);
    assert_non_null(p);
    wb_pipeline_on_log(p, WB_LOG_DEBUG, on_log, NULL);
    return p;
}

static void clean(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s/test.state", dir);
    assert_int_equal(system(cmd), 0);
    for (size_t i = 0; i < WB_COUNT(vaults); i++) {
        free(vaults[i].rows);
        memset(&vaults[i], 0, sizeof vaults[i]);
    }
    memset(&the_script, 0, sizeof the_script);
    script_nturns = 0;
}

/* Every change came; after a jump back everything from there comes again, in order (G-03, G-04). */
static void expect_at_least_once(const vault *v, uint64_t upto)
{
    uint64_t txn = 1, ordinal = 0, high_txn = 1, high_ordinal = 0;
    for (size_t i = 0; i < v->n; i++) {
        seen s = v->rows[i];
        if (s.txn == 0) continue;
        if (s.txn != txn || s.ordinal != ordinal) {
            bool back = s.txn < high_txn || (s.txn == high_txn && s.ordinal <= high_ordinal);
            assert_true(back); /* never forward over something */
        }
        txn = s.txn;
        ordinal = s.ordinal + 1;
        if (ordinal == rows_of(txn)) {
            txn++;
            ordinal = 0;
        }
        if (txn > high_txn || (txn == high_txn && ordinal > high_ordinal)) {
            high_txn = txn;
            high_ordinal = ordinal;
        }
    }
    assert_int_equal(high_txn, upto + 1);
    assert_int_equal(txn, upto + 1); /* and it ends at the end */
}

static void run_seed_as(bool turns, uint64_t seed, unsigned snapshot_rows, unsigned trouble, unsigned breaks)
{
    clean();
    the_script = (script){
        .seed = seed, .transactions = 300, .snapshot_rows = snapshot_rows, .turns = turns, .break_one_in = breaks};
    vaults[0] = (vault){.name = "a", .keeps = true, .trouble = trouble};
    vaults[1] = (vault){.name = "b", .trouble = trouble};
    vaults[2] = (vault){.name = "c", .keeps = true};
    wb_error err = {0};
    wb_pipeline *p = load("  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n"
                          "  - {type: shaky, name: c, vault: c}\n",
                          &err);
    wb_code rc = wb_pipeline_run(p, NULL, &err);
    if (rc != WB_OK) fprintf(stderr, "seed %llu: %s: %s\n", (unsigned long long)seed, err.where, err.message);
    assert_int_equal(rc, WB_OK);
    wb_pipeline_free(p);
    expect_exactly_once(&vaults[0], snapshot_rows, 300);
    expect_at_least_once(&vaults[1], 300);
    expect_exactly_once(&vaults[2], snapshot_rows, 300);
    assert_int_equal(the_script.settled, 3000);
    assert_false(the_script.lost);
}

static void run_seed(uint64_t seed, unsigned snapshot_rows, unsigned trouble, unsigned breaks)
{
    run_seed_as(false, seed, snapshot_rows, trouble, breaks);
}

static void test_plain(void **state)
{
    WB_UNUSED(state);
    run_seed(1, 0, 0, 0);
    run_seed(2, 17, 0, 0);
}

static void test_misbehaving_targets_and_breaking_source(void **state)
{
    WB_UNUSED(state);
    uint64_t first = getenv("WB_SEED") ? strtoull(getenv("WB_SEED"), NULL, 10) : 100;
    for (uint64_t seed = first; seed < first + (getenv("WB_SEED") ? 1 : 25); seed++)
        run_seed(seed, seed % 3 ? 0 : 31, 5 + (unsigned)(seed % 20), seed % 2 ? 12 : 0);
}

/* A copy in turns: what a target has of it is not read again, whatever breaks. */
static void test_turns(void **state)
{
    WB_UNUSED(state);
    uint64_t first = getenv("WB_SEED") ? strtoull(getenv("WB_SEED"), NULL, 10) : 500;
    run_seed_as(true, 1, 50, 0, 0);
    for (uint64_t seed = first; seed < first + (getenv("WB_SEED") ? 1 : 25); seed++)
        run_seed_as(true, seed, 60, seed % 4 ? 5 + (unsigned)(seed % 20) : 0, seed % 3 ? 10 : 0);
}

static void *stop_soon(void *arg)
{
    wb_sleep_us(3000 + (int64_t)(the_script.seed % 20) * 1000);
    wb_pipeline_stop(arg, the_script.seed % 3 == 0);
    return NULL;
}

/* Stopped and started again and again: nothing lost, nothing twice where a stand is kept. */
static void stop_and_resume(bool turns)
{
    clean();
    the_script = (script){.seed = 7, .transactions = 20000, .snapshot_rows = turns ? 2000 : 9, .turns = turns};
    vaults[0] = (vault){.name = "a", .keeps = true, .trouble = 300};
    vaults[1] = (vault){.name = "b"};
    for (int i = 0; i < 15; i++) {
        wb_error err = {0};
        the_script.seed++;
        wb_pipeline *p = load("  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n", &err);
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, stop_soon, p), 0);
        wb_code rc = wb_pipeline_run(p, NULL, &err);
        pthread_join(t, NULL);
        if (rc != WB_OK) fprintf(stderr, "%s: %s\n", err.where, err.message);
        assert_int_equal(rc, WB_OK);
        wb_pipeline_free(p);
    }
    wb_error err = {0};
    the_script.transactions = 20100;
    wb_pipeline *p = load("  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n", &err);
    assert_int_equal(wb_pipeline_run(p, NULL, &err), WB_OK);
    wb_pipeline_free(p);
    expect_exactly_once(&vaults[0], turns ? 2000 : 9, 20100);
    expect_at_least_once(&vaults[1], 20100);
    assert_false(the_script.lost);
}

static void test_stop_and_resume(void **state)
{
    WB_UNUSED(state);
    stop_and_resume(false);
    stop_and_resume(true);
}

/* A target that takes nothing for longer than `patience` is parked; the other goes on; when it answers it gets all. */
static void *unblock_later(void *arg)
{
    for (int i = 0; i < 400 && atomic_load(&vaults[0].shown) < 100; i++) wb_sleep_us(10000);
    *(size_t *)arg = atomic_load(&vaults[0].shown);
    vaults[1].blocked = false;
    return NULL;
}
static void test_blocked_target_hurts_only_itself(void **state)
{
    WB_UNUSED(state);
    clean();
    the_script = (script){.seed = 3, .transactions = 40000};
    vaults[0] = (vault){.name = "a", .keeps = true};
    vaults[1] = (vault){.name = "b", .keeps = true, .blocked = true};
    wb_error err = {0};
    size_t while_blocked = 0;
    wb_pipeline *p = load("  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n", &err);
    pthread_t t;
    pthread_create(&t, NULL, unblock_later, &while_blocked);
    assert_int_equal(wb_pipeline_run(p, NULL, &err), WB_OK);
    pthread_join(t, NULL);
    wb_pipeline_free(p);
    assert_true(while_blocked >= 100);
    expect_exactly_once(&vaults[0], 0, 40000);
    expect_exactly_once(&vaults[1], 0, 40000);
    assert_false(the_script.lost);
}

static wb_code run_once(const char *targets, const wb_run_options *o, wb_error *err)
{
    wb_error_reset(err);
    wb_pipeline *p = load(targets, err);
    wb_code rc = wb_pipeline_run(p, o, err);
    wb_pipeline_free(p);
    return rc;
}

static void test_members_of_a_pipeline(void **state)
{
    WB_UNUSED(state);
    static const char one[] = "  - {type: shaky, name: a, vault: a}\n";
    static const char two[] = "  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n";
    static const char two_now[] =
        "  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b, start: now}\n";
    static const char two_snap[] =
        "  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: c, vault: c, start: snapshot}\n";
    static const char moved[] = "  - {type: shaky, name: a, vault: c}\n";
    wb_error err = {0};
    clean();
    the_script = (script){.seed = 3, .transactions = 50, .snapshot_rows = 5};
    vaults[0] = (vault){.name = "a", .keeps = true};
    vaults[1] = (vault){.name = "b", .keeps = true};
    vaults[2] = (vault){.name = "c", .keeps = true};
    assert_int_equal(run_once(one, NULL, &err), WB_OK);
    assert_int_equal(run_once(two, NULL, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "target b is new"));
    assert_int_equal(run_once(moved, NULL, &err), WB_E_STATE);
    assert_int_equal(run_once(two_now, NULL, &err), WB_OK);
    assert_int_equal(vaults[1].n, 0);
    the_script.transactions = 60;
    assert_int_equal(run_once(two_now, NULL, &err), WB_OK);
    expect_exactly_once(&vaults[0], 5, 60);
    assert_int_equal(vaults[1].rows[0].txn, 51);
    assert_int_equal(run_once(one, NULL, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.hint, "--forget b"));
    const char *const forget[] = {"b", NULL};
    assert_int_equal(run_once(one, &(wb_run_options){.forget = forget}, &err), WB_OK);
    assert_int_equal(the_script.snapshots, 1);
    assert_int_equal(run_once(two_snap, NULL, &err), WB_OK);
    assert_int_equal(the_script.snapshots, 2);
    assert_int_equal(vaults[2].resets, 1);
    assert_int_equal(vaults[0].resets, 1); /* only the new one was copied to */
}

static void test_stands_that_do_not_fit(void **state)
{
    WB_UNUSED(state);
    static const char one[] = "  - {type: shaky, name: a, vault: a}\n";
    wb_error err = {0};
    char cmd[128];
    clean();
    the_script = (script){.seed = 3, .transactions = 50};
    vaults[0] = (vault){.name = "a", .keeps = true};
    assert_int_equal(run_once(one, NULL, &err), WB_OK);
    vault good;
    memcpy(&good, &vaults[0], sizeof good);
    vaults[0].pos[7] = 100; /* the target restored from yesterday: transaction 10 */
    vaults[0].pos[6] = 0;
    assert_int_equal(run_once(one, NULL, &err), WB_E_STATE);
    assert_non_null(strstr(err.message, "older copy"));
    vaults[0].has_stand = false; /* emptied */
    assert_int_equal(run_once(one, NULL, &err), WB_E_STATE);
    memcpy(&vaults[0], &good, sizeof good);
    assert_int_equal(run_once(one, NULL, &err), WB_OK);
    snprintf(cmd, sizeof cmd, "rm -rf %s/test.state", dir); /* the state is lost */
    assert_int_equal(system(cmd), 0);
    assert_int_equal(run_once(one, NULL, &err), WB_E_STATE);
    assert_non_null(strstr(err.hint, "--accept a"));
    const char *const a[] = {"a", NULL};
    the_script.transactions = 70;
    assert_int_equal(run_once(one, &(wb_run_options){.accept = a}, &err), WB_OK);
    expect_exactly_once(&vaults[0], 0, 70);
}

static void test_fenced(void **state)
{
    WB_UNUSED(state);
    clean();
    the_script = (script){.seed = 3, .transactions = 50};
    vaults[0] = (vault){.name = "a", .keeps = true, .epoch = UINT64_MAX};
    wb_error err = {0};
    assert_int_equal(run_once("  - {type: shaky, name: a, vault: a}\n", NULL, &err), WB_E_FENCED);
}

static void test_until_now(void **state)
{
    WB_UNUSED(state);
    clean();
    the_script = (script){.seed = 5, .transactions = 500, .snapshot_rows = 3, .endless = true};
    vaults[0] = (vault){.name = "a", .keeps = true, .trouble = 20};
    wb_error err = {0};
    assert_int_equal(
        run_once("  - {type: shaky, name: a, vault: a}\n", &(wb_run_options){.flags = WB_RUN_UNTIL_NOW}, &err), WB_OK);
    expect_exactly_once(&vaults[0], 3, 500);
}

static int setup(void **state)
{
    WB_UNUSED(state);
    snprintf(dir, sizeof dir, "/tmp/wb-pipeline-XXXXXX");
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
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_misbehaving_targets_and_breaking_source),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_stop_and_resume),
        cmocka_unit_test(test_blocked_target_hurts_only_itself),
        cmocka_unit_test(test_members_of_a_pipeline),
        cmocka_unit_test(test_stands_that_do_not_fit),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_until_now),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
