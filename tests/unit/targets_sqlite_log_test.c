/* The SQLite target: mode log, check, status, destination, fault points. */
#include "targets_sqlite_help.h"
#include <sys/wait.h>

static const uint16_t first[] = {0};
static const col cols[] = {{"id", WB_INT, "integer", NULL, 23, 0},
                           {"name", WB_TEXT, "text", NULL, 25, 0},
                           {"n", WB_DECIMAL, "numeric", NULL, 1700, 0}};
static wb_table *users(void) { return TABLE("users", 5001, cols, first, 0); }
static const char *const log_mode[] = {"mode", "log", NULL};

static void test_every_change_is_appended(void **state)
{
    (void)state;
    fix *f = fix_open(log_mode);
    wb_table *t = users();
    INSERT(f, t, "1", "Ann", "1.10");
    UPDATE(f, t, "1", "Anna", UNCHANGED);
    move_row(f, t, ROW("1", ABSENT, ABSENT), ROW("2", "Anna", NULL));
    DELETE(f, t, "2", ABSENT, ABSENT);
    change(f, WB_TRUNCATE, t, NULL, NULL);
    change(f, WB_DDL, t, NULL, NULL);
    deliver(f);
    SQL(f, "select seq, op, schema_name, table_name, key, before, after, ordinal from changes",
        "1|INSERT|public|users|{\"id\":1}|NULL|{\"id\":1,\"name\":\"Ann\",\"n\":\"1.10\"}|0\n"
        "2|UPDATE|public|users|{\"id\":1}|NULL|{\"id\":1,\"name\":\"Anna\"}|1\n"
        "3|UPDATE|public|users|{\"id\":1}|{\"id\":1}|{\"id\":2,\"name\":\"Anna\",\"n\":null}|2\n"
        "4|DELETE|public|users|{\"id\":2}|{\"id\":2}|NULL|3\n"
        "5|TRUNCATE|public|users|NULL|NULL|NULL|4\n"
        "6|ALTER|public|users|NULL|NULL|{\"_alter\":\"public.users\",\"_schema\":{\"sql\":null,\"before\":null,"
        "\"after\":"
        "{\"schema\":\"public\",\"table\":\"users\",\"primary_key\":[\"id\"],\"columns\":["
        "{\"name\":\"id\",\"type\":\"integer\",\"nullable\":false,\"id\":1},"
        "{\"name\":\"name\",\"type\":\"text\",\"nullable\":true,\"id\":2},"
        "{\"name\":\"n\",\"type\":\"numeric\",\"nullable\":true,\"id\":3}]}}}|5");
    SQL(f, "select distinct txn, commit_us, commit_time, position / 1000 from changes",
        "100|1700000000000101|2023-11-14T22:13:20.000101Z|101");
    SQL(f, "select mode, hex(pos) from _walbrook_stand", "log|0000000000000065");
    wb_table_unref(t);
    fix_close(f);
}

static void test_message(void **state)
{
    (void)state;
    fix *f = fix_open(log_mode);
    wb_table *t = users();
    INSERT(f, t, "1", "Ann", "1");
    wb_change *c = wb_batch_change(f->b);
    wb_value *v = wb_batch_values(f->b, 2);
    v[0] = value_of(WB_TEXT, "app");
    v[1] = (wb_value){.kind = WB_BYTES, .len = 3, .as.ptr = "abc"};
    c->op = WB_MESSAGE;
    c->targets = 1;
    c->after = v;
    deliver(f);
    SQL(f, "select op, table_name, after like '%\"prefix\":\"app\"%' from changes where seq = 2", "MESSAGE|NULL|1");
    wb_table_unref(t);
    fix_close(f);
}

/* What an unfinished snapshot brought goes when the next one says so; the changes before it stay. */
static void test_reset(void **state)
{
    (void)state;
    fix *f = fix_open(log_mode);
    wb_table *t = users();
    INSERT(f, t, "1", "stream", "1");
    deliver(f);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"first", "second", "third"};
        f->snapshot = true;
        f->turn_from = f->pos;
        txn_begin(f);
        READ(f, t, "1", names[i], "1");
        READ(f, t, "2", names[i], "1");
        must(f, give(f, i > 0, WB_BATCH_RESET | (i == 2 ? WB_BATCH_AGAIN : 0))); /* the first turn does not end */
        (void)flush(f);
        reopen(f);
        SQL(f, "select count(*) from changes", i ? "3" : "1");
    }
    f->snapshot = false;
    txn_begin(f);
    INSERT(f, t, "3", "after", "1");
    deliver(f);
    SQL(f, "select op, json_extract(after, '$.name') from changes order by seq",
        "INSERT|stream\nREAD|third\nREAD|third\nINSERT|after");
    /* a finished one stays beside the next */
    f->snapshot = true;
    txn_begin(f);
    READ(f, t, "1", "fourth", "1");
    must(f, give(f, true, WB_BATCH_RESET));
    must(f, flush(f));
    SQL(f, "select count(*) from changes", "5");
    wb_table_unref(t);
    fix_close(f);
}

/* A mirror and a log of one pipeline in one file, each with its stand; a log table of another's is refused. */
static void test_log_beside_mirror(void **state)
{
    (void)state;
    fix *f = fix_open(NULL), *g = fix_new(log_mode);
    wb_table *t = users();
    g->ctx->path = f->file;
    must(g, try_open(g));
    assert_false(g->o.own);
    INSERT(f, t, "1", "Ann", "1");
    deliver(f);
    INSERT(g, t, "1", "Ann", "1");
    deliver(g);
    SQL(f,
        "select (select count(*) from users), (select count(*) from changes), (select count(*) from _walbrook_stand)",
        "1|1|2");
    wb_target_sqlite.close(g->ctx);
    g->ctx->log_table = "users";
    assert_int_equal(try_open(g), WB_E_SCHEMA);
    assert_non_null(strstr(g->err.message, "is not this pipeline's change log"));
    wb_table_unref(t);
    fix_close(g);
    fix_close(f);
}

/* ---------------------------------------------------------------- check, status */

typedef struct notes {
    char text[4000];
} notes;
static void on_finding(void *arg, wb_level level, const char *what, const char *mend)
{
    notes *n = arg;
    size_t at = strlen(n->text);
    (void)mend;
    snprintf(n->text + at, sizeof n->text - at, "%d %s\n", level, what);
}
static void on_text(void *arg, const char *name, const char *value)
{
    notes *n = arg;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s=%s\n", name, value);
}
static void on_number(void *arg, const char *name, int64_t value)
{
    notes *n = arg;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s=%lld\n", name, (long long)value);
}
#define HAS(n, z) assert_non_null(strstr((n).text, z))

static void test_check_and_status(void **state)
{
    (void)state;
    fix *f = fix_new(NULL);
    notes n = {""};
    wb_report r = {on_finding, &n, 0};
    wb_facts facts = {on_text, on_number, &n};
    char where[100];
    assert_int_equal(wb_target_sqlite.check(f->ctx, f->h, &r, &f->err), WB_OK);
    HAS(n, "t.db will be made");
    assert_int_equal(access(f->file, F_OK), -1); /* changes nothing */
    assert_int_equal(wb_target_sqlite.status(f->ctx, f->h, &facts, &f->err), WB_OK);
    assert_int_equal(access(f->file, F_OK), -1);
    must(f, try_open(f));
    wb_table *t = users();
    static const col b[] = {{"id", WB_INT, "integer", NULL, 23, 0},
                            {"name", WB_TEXT, "text", NULL, 25, 0},
                            {"n", WB_DECIMAL, "numeric(9,4)", NULL, 1700, 0}};
    wb_table *u = TABLE("users", 5001, b, first, 0), *k = TABLE0("nokey", 5002, cols, WB_TABLE_FULL_BEFORE);
    INSERT(f, t, "1", "a", "1");
    INSERT(f, u, "2", "a", "1.0000");
    INSERT(f, k, "2", "a", "1.0000");
    deliver(f);
    n.text[0] = 0;
    assert_int_equal(wb_target_sqlite.check(f->ctx, f->h, &r, &f->err), WB_OK);
    assert_int_equal(r.bad, 0);
    HAS(n, "are stale, until a new snapshot: users: column n changed from numeric to numeric(9,4)");
    HAS(n, "has tables without a key");
    n.text[0] = 0;
    assert_int_equal(wb_target_sqlite.status(f->ctx, f->h, &facts, &f->err), WB_OK);
    HAS(n, "mode=mirror");
    HAS(n, "epoch=1");
    HAS(n, "tables=2");
    HAS(n, "tables_without_key=1");
    HAS(n, "stale=users: column n changed");
    assert_int_equal(wb_target_sqlite.destination(f->ctx, where, sizeof where), WB_OK);
    assert_string_equal(where, "t.db");
    f->ctx->path = "no/such/t.db";
    assert_int_equal(wb_target_sqlite.check(f->ctx, f->h, &r, &f->err), WB_OK);
    assert_int_equal(r.bad, 1);
    HAS(n, "does not exist");
    wb_table_unref(t), wb_table_unref(u), wb_table_unref(k);
    fix_close(f);
}

/* ---------------------------------------------------------------- fault points */

#ifdef WB_WITH_FAULTS
/* In a child, since a process reads WB_FAULT once: rows in one transaction; its exit status. */
static int in_child(fix *f, const char *point, int rows)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        wb_table *t = users();
        if (point) setenv("WB_FAULT", point, 1);
        if (try_open(f)) _exit(3);
        for (int i = 0; i < rows; i++) INSERT(f, t, i ? (i == 1 ? "2" : "3") : "1", "a", "1");
        if (give(f, true, 0) || flush(f)) _exit(4);
        wb_target_sqlite.close(f->ctx);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Killed at each point: the file is at the transaction before, or after it, with its stand; never between. First of
 * all tests: this process must not have looked at WB_FAULT. */
static void test_killed_at_fault_points(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        const char *rows;
        uint64_t pos;
    } cases[] = {{"sqlite.before_commit:crash", "1", 101},
                 {"sqlite.after_commit:crash", "3", 102},
                 {"sqlite.after_done:crash", "3", 102},
                 {"sqlite.before_commit:enospc", "1", 101}};
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        fix *f = fix_new(NULL);
        assert_int_equal(in_child(f, NULL, 1), 0);
        f->pos++;
        assert_int_not_equal(in_child(f, cases[i].point, 3), 0);
        must(f, try_open(f));
        SQL(f, "select count(*) from users", cases[i].rows);
        assert_int_equal(own_pos(f), cases[i].pos);
        fix_close(f);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef WB_WITH_FAULTS
        cmocka_unit_test(test_killed_at_fault_points),
#endif
        cmocka_unit_test(test_every_change_is_appended),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_log_beside_mirror),
        cmocka_unit_test(test_check_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
