/* The SQLite target: other writers, locks, readers, full disks, files that cannot be. */
#include "targets_sqlite_help.h"

static const uint16_t first[] = {0};
static const col users_cols[] = {{"id", WB_INT, "integer", NULL, 23, 0},
                                 {"name", WB_TEXT, "text", NULL, 25, 0},
                                 {"bio", WB_TEXT, "text", NULL, 25, 0}};

static wb_table *users(void) { return TABLE("users", 5001, users_cols, first, 0); }

static void test_fencing(void **state)
{
    (void)state;
    fix *f = fix_open(NULL), *g = fix_new(NULL);
    wb_table *t = users();
    INSERT(f, t, "1", "a", NULL);
    deliver(f);
    g->ctx->path = f->file;
    g->epoch = 2;
    must(g, try_open(g));
    assert_true(g->o.own);
    INSERT(f, t, "2", "zombie", NULL);
    must(f, give(f, true, 0));
    assert_int_equal(flush(f), WB_E_FENCED);
    assert_int_equal(f->err.next, WB_NEVER);
    assert_int_equal(f->nfailed, 1);
    INSERT(g, t, "3", "ours", NULL);
    deliver(g);
    SQL(f, "select * from users", "1|a|NULL\n3|ours|NULL");
    wb_target_sqlite.close(f->ctx);
    assert_int_equal(try_open(f), WB_E_FENCED);
    wb_table_unref(t);
    fix_close(g);
    fix_close(f);
}

/* The file that is open is no longer the one that the path names: nothing more counts as delivered. */
static void test_file_that_goes(void **state)
{
    (void)state;
    for (int replaced = 0; replaced < 2; replaced++) {
        fix *f = fix_open(NULL);
        wb_table *t = users();
        char other[PATH_MAX + 8];
        INSERT(f, t, "1", "a", NULL);
        deliver(f);
        snprintf(other, sizeof other, "%s.other", f->file);
        FILE *file = fopen(other, "w");
        assert_non_null(file);
        fclose(file);
        assert_int_equal(replaced ? rename(other, f->file) : unlink(f->file), 0);
        INSERT(f, t, "2", "nowhere", NULL);
        must(f, give(f, true, 0));
        size_t done = f->ndone;
        assert_int_equal(flush(f), WB_E_STATE);
        assert_int_equal(f->err.next, WB_NEVER);
        assert_non_null(strstr(f->err.message, replaced ? "replaced while" : "deleted while"));
        assert_int_equal(f->nfailed, 1);
        assert_int_equal(f->ndone, done);
        wb_table_unref(t);
        fix_close(f);
        (void)unlink(other);
    }
}

/* Two targets of one start on one file. */
static void test_same_file_twice(void **state)
{
    (void)state;
    fix *f = fix_open(NULL), *g = fix_new(NULL);
    g->ctx->path = f->file;
    assert_int_equal(try_open(g), WB_E_CONFIG);
    assert_non_null(strstr(g->err.message, "two targets of pipeline loose"));
    wb_target_sqlite.close(g->ctx);
    wb_target_sqlite.close(f->ctx);
    must(g, try_open(g));
    fix_close(g);
    fix_close(f);
}

static void test_locked_by_another_program(void **state)
{
    (void)state;
    fix *f = fix_open(ROW("busy_timeout", "20ms", NULL));
    wb_table *t = users();
    sqlite3 *db;
    INSERT(f, t, "1", "a", NULL);
    deliver(f);
    sqlite3_open(f->file, &db);
    assert_int_equal(sqlite3_exec(db, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
    INSERT(f, t, "2", "b", NULL);
    assert_int_equal(give(f, true, 0), WB_E_IO);
    assert_int_equal(f->err.next, WB_RETRY);
    assert_int_equal(f->nfailed, 0);
    sqlite3_exec(db, "rollback", NULL, NULL, NULL);
    sqlite3_close(db);
    INSERT(f, t, "2", "b", NULL);
    deliver(f);
    SQL(f, "select count(*) from users", "2");
    wb_table_unref(t);
    fix_close(f);
}

/* A reader in the middle of a query neither waits nor stops us, and sees one state. */
static void test_readers_are_not_blocked(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    sqlite3 *db;
    sqlite3_stmt *st;
    INSERT(f, t, "1", "a", NULL);
    INSERT(f, t, "2", "a", NULL);
    deliver(f);
    sqlite3_open(f->file, &db);
    sqlite3_prepare_v2(db, "select id from users", -1, &st, NULL);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    DELETE(f, t, "2", ABSENT, ABSENT);
    INSERT(f, t, "3", "b", NULL);
    deliver(f);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 2);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
    sqlite3_close(db);
    SQL(f, "select id from users", "1\n3");
    wb_table_unref(t);
    fix_close(f);
}

/* A full disk: what was accepted is answered as failed, the stand in the file is the one before. */
static void test_full_disk(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    static char big[200001];
    char id[12];
    uint64_t before;
    bool failed = false;
    memset(big, 'x', sizeof big - 1);
    INSERT(f, t, "0", "a", NULL);
    deliver(f);
    before = f->pos;
    sqlite3_exec(f->ctx->db, "PRAGMA max_page_count = 200", NULL, NULL, NULL);
    for (int i = 1; i < 20 && !failed; i++) {
        snprintf(id, sizeof id, "%d", i);
        INSERT(f, t, id, "big", big);
        failed = give(f, true, 0) == WB_E_FULL;
    }
    assert_true(failed);
    assert_int_equal(f->err.next, WB_RECONNECT);
    assert_int_equal(f->ndone + f->nfailed, f->ticket);
    assert_true(f->nfailed > 0);
    reopen(f);
    assert_int_equal(own_pos(f), before);
    SQL(f, "select count(*) from users", "1");
    wb_table_unref(t);
    fix_close(f);
}

static void test_files_that_cannot_be(void **state)
{
    (void)state;
    fix *f = fix_new(ROW("path", "no/such/folder/t.db", NULL));
    FILE *file;
    assert_int_equal(try_open(f), WB_E_IO);
    assert_int_equal(f->err.next, WB_NEVER);
    wb_target_sqlite.close(f->ctx);
    f->ctx->path = "t.db";
    file = fopen(f->file, "w");
    for (int i = 0; i < 100; i++) fputs("this is no database at all\n", file);
    fclose(file);
    assert_int_equal(try_open(f), WB_E_IO);
    assert_string_equal(f->err.native, "NOTADB");
    fix_close(f);
}

static void test_interrupt(void **state)
{
    (void)state;
    fix *f = fix_new(NULL);
    wb_target_sqlite.interrupt(f->ctx);
    must(f, try_open(f));
    wb_target_sqlite.interrupt(f->ctx);
    wb_target_sqlite.close(f->ctx);
    wb_target_sqlite.interrupt(f->ctx);
    fix_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fencing),
        cmocka_unit_test(test_file_that_goes),
        cmocka_unit_test(test_same_file_twice),
        cmocka_unit_test(test_locked_by_another_program),
        cmocka_unit_test(test_readers_are_not_blocked),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_files_that_cannot_be),
        cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
