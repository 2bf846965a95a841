/* state.db: what survives, and what is refused: another version, another pipeline, damage, a second process.
 * proves G-01, G-10 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/state.h"

static char dir[64], file[96];

static wb_state *open_ok(const char *pipeline, wb_state_mode mode)
{
    wb_error err = {0};
    wb_state *s = NULL;
    wb_code rc = wb_state_open(dir, pipeline, "postgres", mode, &s, &err);
    if (rc != WB_OK) fprintf(stderr, "%s\n", err.message);
    assert_int_equal(rc, WB_OK);
    return s;
}

static void sql(const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void expect_refused(const char *word)
{
    wb_error err = {0};
    wb_state *s = NULL;
    assert_int_equal(wb_state_open(dir, "shop", "postgres", WB_STATE_RUN, &s, &err), WB_E_STATE);
    assert_null(s);
    if (!strstr(err.message, word)) fprintf(stderr, "%s\n", err.message);
    assert_non_null(strstr(err.message, word));
}

static size_t loaded;
static wb_target_state last;
static void keep_one(void *arg, const wb_target_state *t)
{
    WB_UNUSED(arg);
    loaded++;
    wb_target_state_fini(&last);
    memset(&last, 0, sizeof last);
    memcpy(last.name, t->name, sizeof last.name);
    last.destination = strdup(t->destination);
    last.resetting = t->resetting;
    assert_true(wb_keep(&last.checkpoint, wb_kept_stand(&t->checkpoint)));
    assert_true(wb_keep(&last.last, wb_kept_stand(&t->last)));
}

static void test_targets_and_epoch_survive(void **state)
{
    WB_UNUSED(state);
    wb_error err = {0};
    wb_state *s = open_ok("shop", WB_STATE_RUN);
    uint64_t epoch = 0;
    char long_pos[3000];
    memset(long_pos, 'g', sizeof long_pos);
    assert_int_equal(wb_state_next_epoch(s, &epoch, &err), WB_OK);
    assert_true(epoch > 1600000000000); /* milliseconds: ahead of every start before */
    uint64_t second = 0;
    assert_int_equal(wb_state_next_epoch(s, &second, &err), WB_OK);
    assert_true(second > epoch);
    wb_target_state t = {.name = "mirror", .type = "sqlite", .destination = strdup("/x/shop.db"), .resetting = true};
    assert_true(wb_keep(&t.checkpoint, (wb_stand){{long_pos, sizeof long_pos}, 7}));
    assert_true(wb_keep(&t.last, (wb_stand){{"abc", 3}, 9}));
    const wb_target_state *all[] = {&t};
    assert_int_equal(wb_state_save_targets(s, all, 1, &err), WB_OK);
    assert_int_equal(wb_state_kv_put(s, "slot", WB_STR("walbrook_shop"), &err), WB_OK);
    assert_int_equal(wb_state_kv_put(s, "table/1", (wb_str){"a\0b", 3}, &err), WB_OK);
    const wb_kv noted[] = {{"table/2", WB_STR("x")}, {"table/2/1", WB_STR("y")}, {"slot", WB_STR("walbrook_shop")}};
    assert_int_equal(wb_state_kv_note(s, noted, 3, &err), WB_OK);
    wb_str note;
    assert_int_equal(wb_state_kv_get(s, "table/2/1", &note, &err), WB_OK);
    assert_string_equal(note.ptr, "y");
    wb_state_close(s);

    s = open_ok("shop", WB_STATE_LOOK);
    loaded = 0;
    assert_int_equal(wb_state_load_targets(s, keep_one, NULL, &err), WB_OK);
    assert_int_equal(loaded, 1);
    assert_string_equal(last.name, "mirror");
    assert_string_equal(last.destination, "/x/shop.db");
    assert_true(last.resetting);
    wb_stand c = wb_kept_stand(&last.checkpoint);
    assert_int_equal(c.ordinal, 7);
    assert_int_equal(c.pos.len, sizeof long_pos);
    assert_memory_equal(c.pos.ptr, long_pos, sizeof long_pos);
    wb_str v;
    assert_int_equal(wb_state_kv_get(s, "table/1", &v, &err), WB_OK);
    assert_int_equal(v.len, 3);
    assert_memory_equal(v.ptr, "a\0b", 3);
    assert_int_equal(wb_state_kv_get(s, "none", &v, &err), WB_OK);
    assert_null(v.ptr);
    assert_int_equal(wb_state_epoch(s), second);
    wb_state_close(s);
    wb_target_state_fini(&t);
}

static void test_what_is_refused(void **state)
{
    WB_UNUSED(state);
    wb_error err = {0};
    wb_state_close(open_ok("shop", WB_STATE_RUN));
    sql("UPDATE meta SET value='99' WHERE key='version'");
    expect_refused("version 99");
    sql("UPDATE meta SET value='1' WHERE key='version'; UPDATE meta SET value='other' WHERE key='pipeline'");
    expect_refused("\"other\"");
    sql("UPDATE meta SET value='shop' WHERE key='pipeline'");
    FILE *f = fopen(file, "r+b");
    assert_non_null(f);
    fputs("this is not a database any more, and never was", f);
    fclose(f);
    expect_refused("not a database");
    assert_int_equal(wb_state_remove(dir, &err), WB_OK);
    wb_state *s = NULL;
    assert_int_equal(wb_state_open(dir, "shop", "postgres", WB_STATE_LOOK, &s, &err), WB_AGAIN);
}

static void test_one_process_at_a_time(void **state)
{
    WB_UNUSED(state);
    wb_state *s = open_ok("shop", WB_STATE_RUN);
    expect_refused("another walbrook");
    assert_int_equal(wb_state_running(dir), (int)getpid());
    wb_state_close(s);
    assert_int_equal(wb_state_running(dir), 0);
}

static void test_a_later_start_fences_the_earlier(void **state)
{
    WB_UNUSED(state);
    wb_error err = {0};
    uint64_t epoch = 0;
    char lock[96];
    wb_state *s = open_ok("shop", WB_STATE_RUN);
    assert_int_equal(wb_state_next_epoch(s, &epoch, &err), WB_OK);
    assert_int_equal(wb_state_check(s, &err), WB_OK);
    snprintf(lock, sizeof lock, "%s/lock", dir);
    assert_int_equal(unlink(lock), 0); /* the lock is lost, as when a file server forgets it */
    wb_state *later = open_ok("shop", WB_STATE_RUN);
    assert_int_equal(wb_state_kv_put(s, "slot", WB_STR("early"), &err), WB_OK); /* it has not begun yet */
    assert_int_equal(wb_state_next_epoch(later, &epoch, &err), WB_OK);
    assert_int_equal(wb_state_check(s, &err), WB_E_FENCED);
    assert_non_null(strstr(err.message, "taken over"));
    assert_int_equal(err.next, WB_NEVER);
    wb_target_state t = {.name = "mirror", .type = "sqlite", .destination = (char[]){"/x"}};
    const wb_target_state *all[] = {&t};
    wb_error_reset(&err);
    assert_int_equal(wb_state_save_targets(s, all, 1, &err), WB_E_FENCED);
    wb_error_reset(&err);
    assert_int_equal(wb_state_kv_put(s, "slot", WB_STR("late"), &err), WB_E_FENCED);
    wb_error_reset(&err);
    assert_int_equal(wb_state_kv_note(s, &(wb_kv){"slot", WB_STR("late")}, 1, &err), WB_E_FENCED);
    wb_error_reset(&err);
    assert_int_equal(wb_state_kv_del(s, "slot", &err), WB_E_FENCED);
    wb_error_reset(&err);
    assert_int_equal(wb_state_forget_target(s, "mirror", &err), WB_E_FENCED);
    wb_error_reset(&err);
    assert_int_equal(wb_state_save_targets(later, all, 1, &err), WB_OK);
    wb_str v;
    assert_int_equal(wb_state_kv_get(later, "slot", &v, &err), WB_OK);
    assert_string_equal(v.ptr, "early");
    wb_state_close(later);
    wb_state_close(s);
}

/* Deleted, or another one in its place: nothing is noted any more as if it were safe. */
static void test_a_file_that_goes(void **state)
{
    WB_UNUSED(state);
    char other[96];
    snprintf(other, sizeof other, "%s/other", dir);
    for (int replaced = 0; replaced < 2; replaced++) {
        wb_error err = {0};
        wb_state *s = open_ok("shop", WB_STATE_RUN);
        assert_int_equal(wb_state_kv_put(s, "slot", WB_STR("x"), &err), WB_OK);
        FILE *f = fopen(other, "w");
        assert_non_null(f);
        fclose(f);
        assert_int_equal(replaced ? rename(other, file) : unlink(file), 0);
        assert_int_equal(wb_state_check(s, &err), WB_E_STATE);
        assert_non_null(strstr(err.message, replaced ? "was replaced while" : "was deleted while"));
        assert_int_equal(err.next, WB_NEVER);
        wb_error_reset(&err);
        assert_int_equal(wb_state_kv_put(s, "slot", WB_STR("y"), &err), WB_E_STATE);
        wb_state_close(s);
        unlink(file);
    }
}

static void test_stands_in_order(void **state)
{
    WB_UNUSED(state);
    wb_kept k = {0};
    assert_true(wb_keep(&k, (wb_stand){{"0123456789012345678901234567890123456789", 40}, 1}));
    assert_true(wb_keep(&k, wb_kept_stand(&k))); /* onto itself */
    assert_memory_equal(wb_kept_stand(&k).pos.ptr, "0123456789", 10);
    assert_true(wb_keep(&k, (wb_stand){{"x", 1}, 2}));
    assert_int_equal(wb_kept_stand(&k).pos.len, 1);
    wb_kept_fini(&k);
    assert_int_equal(wb_stand_compare(NULL, (wb_stand){{NULL, 0}, 3}, (wb_stand){{NULL, 0}, 4}), -1);
    assert_int_equal(wb_stand_compare(NULL, (wb_stand){{"x", 1}, 0}, (wb_stand){{NULL, 0}, 4}), 1);
}

static int by_bytes(wb_pos a, wb_pos b)
{
    int order = memcmp(a.ptr, b.ptr, WB_MIN(a.len, b.len));
    return (order > 0) - (order < 0);
}

/* A stand is a position first, and only at the same position a number of changes. */
static void test_d24_position_comes_before_ordinal(void **state)
{
    WB_UNUSED(state);
    static const wb_stand early = {{"0001", 4}, 900}, late = {{"0002", 4}, 1}, later = {{"0002", 4}, 2};
    assert_int_equal(wb_stand_compare(by_bytes, early, late), -1);
    assert_int_equal(wb_stand_compare(by_bytes, late, early), 1);
    assert_int_equal(wb_stand_compare(by_bytes, late, later), -1);
    assert_int_equal(wb_stand_compare(by_bytes, later, late), 1);
    assert_int_equal(wb_stand_compare(by_bytes, late, late), 0);
}

static int setup(void **state)
{
    WB_UNUSED(state);
    snprintf(dir, sizeof dir, "/tmp/wb-state-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(file, sizeof file, "%s/state.db", dir);
    return 0;
}
static int teardown(void **state)
{
    WB_UNUSED(state);
    char cmd[128];
    wb_target_state_fini(&last);
    memset(&last, 0, sizeof last);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_targets_and_epoch_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_process_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_later_start_fences_the_earlier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_goes, setup, teardown),
        cmocka_unit_test(test_stands_in_order),
        cmocka_unit_test(test_d24_position_comes_before_ordinal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
