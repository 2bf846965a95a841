/* A target that breaks again in the very moment in which the source opens for it. The source's loop is compiled in here
 * with a hook where its fault point is, so that the moment is always met. proves G-01, G-11 */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdarg.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/fault.h"
#undef WB_FAULT
#define WB_FAULT(name) at_point(name)
static int at_point(const char *name);
#include "core/source_loop.c"

#include "core/registry.h"
#include "scripted.h"
#include "walbrook/walbrook.h"

static wb_pipeline *the_pipeline;
static unsigned broken; /* times that all targets broke here */

static bool any_runs(void)
{
    for (size_t i = 0; i < the_pipeline->nlanes; i++)
        if (atomic_load(&the_pipeline->lanes[i].state) == WB_LANE_RUNNING) return true;
    return false;
}

/* Whoever joins has joined. Every second time all of them break, and the source goes on when they are down. */
static int at_point(const char *name)
{
    static bool spare;
    assert_string_equal(name, "source.joined");
    if (!any_runs()) return 0;
    spare = !spare;
    if (spare) return 0;
    for (size_t i = 0; i < the_pipeline->nlanes; i++) atomic_store(&vaults[i].breaks, true);
    while (any_runs()) {
        for (size_t i = 0; i < the_pipeline->nlanes; i++) {
            wb_lane *l = &the_pipeline->lanes[i];
            pthread_mutex_lock(&l->mutex);
            pthread_cond_broadcast(&l->cond); /* it flushes when it has nothing to do */
            pthread_mutex_unlock(&l->mutex);
        }
        wb_sleep_us(200);
    }
    broken++;
    return 0;
}

/* Without a position and without anybody who begins, an open is a first start: a slot would be made anew. */
static void targets_break_as_they_join(const char *targets, size_t n)
{
    char yaml[600], dir[] = "/tmp/wb-reopen-XXXXXX", cmd[64];
    wb_error err = {0};
    the_script = (script){.seed = n, .transactions = 200, .snapshot_rows = 7, .break_one_in = 4};
    memset(vaults, 0, sizeof vaults);
    for (size_t i = 0; i < n; i++) vaults[i] = (vault){.name = {(char)('a' + i)}, .keeps = true};
    broken = 0;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(yaml, sizeof yaml,
                   "name: test\nsource: {type: scripted}\nbackoff_min: 1ms\nbackoff_max: 5ms\n"
                   "checkpoint_interval: 20ms\ntargets:\n%s",
                   targets);
    the_pipeline = wb_pipeline_parse(yaml, strlen(yaml), dir, false, &err);
    assert_non_null(the_pipeline);
    wb_code rc = wb_pipeline_run(the_pipeline, NULL, &err);
    if (rc != WB_OK) fprintf(stderr, "%s: %s\n", err.where, err.message);
    assert_int_equal(rc, WB_OK);
    wb_pipeline_free(the_pipeline);
    assert_false(the_script.lost);
    assert_in_range(broken, 5, 10000);
    for (size_t i = 0; i < n; i++) {
        expect_exactly_once(&vaults[i], the_script.snapshot_rows, the_script.transactions);
        free(vaults[i].rows);
    }
    (void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    assert_int_equal(system(cmd), 0);
}

static void test_the_source_is_not_opened_for_nobody(void **state)
{
    WB_UNUSED(state);
    targets_break_as_they_join("  - {type: shaky, name: a, vault: a}\n", 1);
    targets_break_as_they_join("  - {type: shaky, name: a, vault: a}\n  - {type: shaky, name: b, vault: b}\n", 2);
}

static int setup(void **state)
{
    WB_UNUSED(state);
    wb_registry_add(&scripted_source.head);
    wb_registry_add(&shaky_target.head);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_source_is_not_opened_for_nobody)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
