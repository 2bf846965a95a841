/* The SQLite target follows the source's schema: renames, new columns and their defaults, drops, types, keys, tables.
 */
#include "targets_sqlite_help.h"

static const uint16_t first[] = {0}, second[] = {1}, two[] = {0, 1};
#define INT(name, id)                                                                                                  \
    {                                                                                                                  \
        name, WB_INT, "integer", NULL, 23, id                                                                          \
    }
#define TEXT(name, id)                                                                                                 \
    {                                                                                                                  \
        name, WB_TEXT, "text", NULL, 25, id                                                                            \
    }
static const col v1[] = {INT("id", 1), TEXT("a", 2), TEXT("b", 3)};
static const char STATE[] = "select mirror_table, state from _walbrook_tables order by id";
static const char COLUMNS[] = "select group_concat(name, ' ') from pragma_table_info('t')";

/* A table of version 1 with two rows. */
static fix *started(const char *const *pairs)
{
    fix *f = fix_open(pairs);
    wb_table *t = TABLE("t", 7, v1, first, 0);
    INSERT(f, t, "1", "a1", "b1");
    INSERT(f, t, "2", "a2", NULL);
    deliver(f);
    wb_table_unref(t);
    return f;
}

static void test_rename_add_and_keep(void **state)
{
    (void)state;
    fix *f = started(NULL);
    /* a is now c; b is gone; new: n (integer default), r (real default), d (bytes), z (NULL), and a second b */
    static const col c[] = {INT("id", 1),
                            TEXT("c", 2),
                            {"n", WB_INT, "bigint", "-5", 20, 4},
                            {"r", WB_FLOAT, "real", "0.1", 700, 5},
                            {"d", WB_BYTES, "bytea", "\\x00ff", 17, 6},
                            TEXT("z", 7),
                            {"b", WB_TEXT, "text", "it's", 25, 8}};
    wb_table *t = TABLE("t", 7, c, first, 0);
    INSERT(f, t, "3", "c3", "1", "2", "\\x01", "z", "b");
    deliver(f);
    SQL(f, COLUMNS, "id c b_dropped_3 n r d z b");
    SQL(f, "select id, c, b_dropped_3, n, r, hex(d), z, b from t order by id",
        "1|a1|b1|-5|0.1|00FF|NULL|it's\n2|a2|NULL|-5|0.1|00FF|NULL|it's\n3|c3|NULL|1|2.0|01|z|b");
    SQL(f, STATE, "t|ok");
    UPDATE(f, t, "1", "c1", UNCHANGED, UNCHANGED, UNCHANGED, "zz", "bb");
    deliver(f);
    SQL(f, "select id, c, b_dropped_3, n, r, z, b from t where id = 1", "1|c1|b1|-5|0.1|zz|bb");
    wb_table_unref(t);
    /* the same version again after a restart changes nothing (D74) */
    reopen(f);
    t = TABLE("t", 7, c, first, 0);
    INSERT(f, t, "4", "c4", NULL, NULL, NULL, NULL, NULL);
    deliver(f);
    SQL(f, "select id, c, b_dropped_3, n, r, d, z, b from t where id = 4", "4|c4|NULL|NULL|NULL|NULL|NULL|NULL");
    SQL(f, COLUMNS, "id c b_dropped_3 n r d z b");
    wb_table_unref(t);
    fix_close(f);
}

static void test_drop(void **state)
{
    (void)state;
    fix *f = started(ROW("on_drop", "drop", NULL));
    static const col c[] = {INT("id", 1), TEXT("b", 3)};
    wb_table *t = TABLE("t", 7, c, first, 0);
    INSERT(f, t, "3", "b3");
    deliver(f);
    SQL(f, "select * from t order by id", "1|b1\n2|NULL\n3|b3");
    SQL(f, COLUMNS, "id b");
    wb_table_unref(t);
    fix_close(f);
}

/* Names exchanged, and a name that differs in case alone. */
static void test_names_exchanged(void **state)
{
    (void)state;
    fix *f = started(NULL);
    static const col c[] = {INT("ID", 1), TEXT("b", 2), TEXT("a", 3)};
    wb_table *t = TABLE("t", 7, c, first, 0);
    UPDATE(f, t, "1", "x", UNCHANGED);
    deliver(f);
    SQL(f, COLUMNS, "ID b a");
    SQL(f, "select id, a, b from t order by id", "1|b1|x\n2|NULL|a2");
    SQL(f, STATE, "t|ok");
    wb_table_unref(t);
    fix_close(f);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        col from, to;
        const char *value, *next, *rows, *state;
    } cases[] = {
        {{"v", WB_TEXT, "character varying(20)", NULL, 0, 2},
         {"v", WB_TEXT, "character varying(40)", NULL, 0, 2},
         "x",
         "y",
         "text|x\ntext|y",
         "t|ok"},
        {{"v", WB_TEXT, "character varying(20)", NULL, 0, 2},
         {"v", WB_TEXT, "text", NULL, 0, 2},
         "x",
         "y",
         "text|x\ntext|y",
         "t|ok"},
        {{"v", WB_INT, "integer", NULL, 0, 2},
         {"v", WB_INT, "bigint", NULL, 0, 2},
         "1",
         "2",
         "integer|1\ninteger|2",
         "t|ok"},
        {{"v", WB_DECIMAL, "numeric(10,2)", NULL, 0, 2},
         {"v", WB_DECIMAL, "numeric(12,2)", NULL, 0, 2},
         "1.00",
         "2.00",
         "text|1.00\ntext|2.00",
         "t|ok"},
        {{"v", WB_DECIMAL, "numeric(10,2)", NULL, 0, 2},
         {"v", WB_DECIMAL, "numeric(10,4)", NULL, 0, 2},
         "1.00",
         "2.0000",
         "text|1.00\ntext|2.0000",
         "t|stale"},
        {{"v", WB_INT, "integer", NULL, 0, 2},
         {"v", WB_TEXT, "text", NULL, 0, 2},
         "1",
         "007",
         "text|1\ntext|007",
         "t|stale"},
        {{"v", WB_TEXT, "text", NULL, 0, 2},
         {"v", WB_INT, "integer", NULL, 0, 2},
         "5",
         "6",
         "integer|5\ninteger|6",
         "t|stale"},
        {{"v", WB_FLOAT, "double precision", NULL, 0, 2},
         {"v", WB_DECIMAL, "numeric", NULL, 0, 2},
         "0.5",
         "0.50",
         "text|0.5\ntext|0.50",
         "t|stale"},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        fix *f = fix_open(NULL);
        col a[] = {INT("id", 1), cases[i].from}, b[] = {INT("id", 1), cases[i].to};
        wb_table *t = TABLE("t", 7, a, first, 0), *u = TABLE("t", 7, b, first, 0);
        INSERT(f, t, "1", cases[i].value);
        deliver(f);
        INSERT(f, u, "2", cases[i].next);
        deliver(f);
        SQL(f, "select typeof(v), v from t order by id", cases[i].rows);
        SQL(f, STATE, cases[i].state);
        wb_table_unref(t), wb_table_unref(u);
        fix_close(f);
    }
}

static void test_unknown_default_is_stale(void **state)
{
    (void)state;
    fix *f = started(NULL);
    static const col c[] = {INT("id", 1), TEXT("a", 2), TEXT("b", 3), {"u", WB_TEXT, "text", "", 25, 4}};
    wb_table *t = TABLE("t", 7, c, first, 0);
    INSERT(f, t, "3", "a", "b", "u");
    deliver(f);
    SQL(f, STATE, "t|stale");
    SQL(f, "select reason like '%column u was added%' from _walbrook_tables", "1");
    UPDATE(f, t, "99", UNCHANGED, "x", "y"); /* a row it does not have: left out, not fatal, since it is stale */
    deliver(f);
    /* a new snapshot makes it whole */
    f->snapshot = true;
    READ(f, t, "3", "a", "b", "u");
    must(f, give(f, true, WB_BATCH_RESET));
    must(f, flush(f));
    SQL(f, STATE, "t|ok");
    SQL(f, "select * from t", "3|a|b|u");
    wb_table_unref(t);
    fix_close(f);
}

static void test_stop(void **state)
{
    (void)state;
    fix *f = started(ROW("on_schema_change", "stop", NULL));
    wb_table *t = TABLE("t", 7, v1, first, 0);
    static const col c[] = {INT("id", 1), TEXT("c", 2), TEXT("b", 3)};
    wb_table *u = TABLE("t", 7, c, first, 0);
    INSERT(f, t, "3", "a3", "b3");
    must(f, give(f, true, 0));
    INSERT(f, u, "4", "c4", "b4");
    assert_int_equal(give(f, true, 0), WB_E_SCHEMA);
    assert_int_equal(f->err.next, WB_NEVER);
    assert_non_null(strstr(f->err.message, "table public.t changed at the source: column a is now c"));
    assert_int_equal(f->ndone, 2); /* what came before is there */
    SQL(f, "select count(*) from t", "3");
    wb_target_sqlite.close(f->ctx);
    f->ctx->on_schema_change = SQ_FOLLOW;
    must(f, try_open(f));
    INSERT(f, u, "4", "c4", "b4");
    deliver(f);
    SQL(f, "select id, c from t where id > 2", "3|a3\n4|c4");
    wb_table_unref(t), wb_table_unref(u);
    fix_close(f);
}

static void test_table_renamed(void **state)
{
    (void)state;
    fix *f = started(NULL);
    sql(f, "create view w as select a from t");
    wb_table *t = TABLE("people", 7, v1, first, 0);
    INSERT(f, t, "3", "a3", "b3");
    deliver(f);
    SQL(f, "select count(*) from people", "3");
    SQL(f, "select count(*) from w", "3");
    SQL(f, STATE, "people|ok");
    wb_table_unref(t);
    fix_close(f);
}

/* Two tables exchange their names; the versions arrive one after the other. */
static void test_tables_exchanged(void **state)
{
    (void)state;
    fix *f = started(NULL);
    wb_table *u = TABLE("u", 8, v1, first, 0), *t2 = TABLE("t", 8, v1, first, 0), *u2 = TABLE("u", 7, v1, first, 0);
    INSERT(f, u, "10", "u", "u");
    deliver(f);
    INSERT(f, t2, "11", "u", "u"); /* table 8 is t now: the old t steps aside, though nothing was heard of it */
    deliver(f);
    SQL(f, "select mirror_table, state, source_id from _walbrook_tables order by id", "t_7|aside|7\nt|ok|8");
    SQL(f, "select id from t order by 1", "10\n11");
    INSERT(f, u2, "3", "t", "t");
    deliver(f);
    SQL(f, "select mirror_table, state, source_id from _walbrook_tables order by id", "u|ok|7\nt|ok|8");
    SQL(f, "select id from u order by 1", "1\n2\n3");
    wb_table_unref(u), wb_table_unref(t2), wb_table_unref(u2);
    fix_close(f);
}

/* Tables without a number (MySQL) go with their schema, those of others stay, and one that comes later is another one.
 */
static void test_dropped_with_its_schema(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = TABLE("t", 0, v1, first, 0), *u = TABLE("u", 0, v1, first, 0);
    INSERT(f, t, "1", "a", "b");
    INSERT(f, u, "1", "a", "b");
    deliver(f);
    wb_table proto = {.schema = t->schema, .source_schema = t->schema};
    wb_table *schema = wb_table_new(&proto);
    proto = (wb_table){.schema = WB_STR("elsewhere"), .source_schema = WB_STR("elsewhere")};
    wb_table *other = wb_table_new(&proto);
    wb_ddl drop = {.kind = WB_DDL_DROP, .before = other}, create = {.kind = WB_DDL_CREATE, .after = schema};
    change(f, WB_DDL, other, NULL, NULL)->ddl = &drop;
    change(f, WB_DDL, schema, NULL, NULL)->ddl = &create;
    deliver(f);
    SQL(f, STATE, "t|ok\nu|ok");
    drop.before = schema;
    change(f, WB_DDL, schema, NULL, NULL)->ddl = &drop;
    INSERT(f, t, "2", "new", "new");
    deliver(f);
    SQL(f, "select state, count(*) from _walbrook_tables group by state", "aside|1\ndropped|1\nok|1");
    SQL(f, "select * from t", "2|new|new");
    wb_table_unref(t);
    wb_table_unref(u);
    wb_table_unref(schema);
    wb_table_unref(other);
    fix_close(f);
}

static void test_dropped_and_made_again(void **state)
{
    (void)state;
    fix *f = started(NULL);
    wb_table *t = TABLE("t", 99, v1, first, 0);
    INSERT(f, t, "1", "new", "new");
    deliver(f);
    SQL(f, "select * from t", "1|new|new");
    SQL(f, "select mirror_table, state from _walbrook_tables order by id", "t_7|aside\nt|ok");
    wb_table_unref(t);
    fix_close(f);
}

/* A column that goes and comes again and again leaves as many kept ones, each under a name of its own. */
static void test_column_dropped_and_made_again(void **state)
{
    (void)state;
    fix *f = started(NULL);
    for (int i = 0; i < 3; i++) {
        static const col without[] = {INT("id", 1), TEXT("c", 2)};
        const col with[] = {INT("id", 1), TEXT("c", 2), TEXT("b", 10 + i)};
        wb_table *t = TABLE("t", 7, without, first, 0), *u = TABLE("t", 7, with, first, 0);
        UPDATE(f, t, "1", "c1");
        UPDATE(f, u, "2", "c2", i == 0 ? "b0" : i == 1 ? "b1" : "b2");
        deliver(f);
        wb_table_unref(t);
        wb_table_unref(u);
    }
    SQL(f, COLUMNS, "id c b_dropped_3 b_dropped_4 b_dropped_5 b");
    SQL(f, "select * from t order by id", "1|c1|b1|NULL|NULL|NULL\n2|c2|NULL|b0|b1|b2");
    fix_close(f);
}

static void test_key_changes(void **state)
{
    (void)state;
    static const col c[] = {INT("id", 1), {"k", WB_TEXT, "text", NULL, 25, 2}, TEXT("b", 3)};
    static const char CREATE[] = "select sql from sqlite_master where name = 't'";
    fix *f = fix_open(NULL);
    wb_table *a = TABLE("t", 7, c, first, 0), *b = TABLE("t", 7, c, second, 0), *d = TABLE("t", 7, c, two, 0),
             *e = TABLE0("t", 7, c, WB_TABLE_FULL_BEFORE);
    INSERT(f, a, "1", "x", "b1");
    INSERT(f, a, "2", "y", "b2");
    deliver(f);
    sql(f, "create index mine on t (b)");
    UPDATE(f, b, "5", "x", "B1");
    deliver(f);
    SQL(f, CREATE,
        "CREATE TABLE \"t\" (\"id\" INTEGER, \"k\" TEXT NOT NULL, \"b\" TEXT, PRIMARY KEY (\"k\")) WITHOUT ROWID");
    SQL(f, "select * from t order by k", "5|x|B1\n2|y|b2");
    SQL(f, "select count(*) from sqlite_master where name = 'mine'", "1");
    INSERT(f, d, "6", "x", "b3");
    deliver(f);
    SQL(f, "select * from t order by id", "2|y|b2\n5|x|B1\n6|x|b3");
    change(f, WB_DELETE, e, ROW("6", "x", "b3"), NULL);
    INSERT(f, e, "2", "y", "b2");
    deliver(f);
    SQL(f, CREATE, "CREATE TABLE \"t\" (\"id\" INTEGER, \"k\" TEXT, \"b\" TEXT)");
    SQL(f, "select id from t order by id", "2\n2\n5");
    SQL(f, STATE, "t|ok");
    /* id is not unique in the mirror: the rows step aside */
    INSERT(f, a, "7", "z", "b7");
    deliver(f);
    SQL(f, "select id from t", "7");
    SQL(f, "select state from _walbrook_tables order by id", "aside\nstale");
    SQL(f, "select count(*) from t_7", "3");
    wb_table_unref(a), wb_table_unref(b), wb_table_unref(d), wb_table_unref(e);
    fix_close(f);
}

/* ALTER TABLE t ADD COLUMN id bigserial PRIMARY KEY fills the rows without a change event. */
static void test_new_key_nobody_can_know(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    static const col a[] = {TEXT("x", 1)}, b[] = {TEXT("x", 1), {"id", WB_INT, "bigint", "", 20, 2}};
    wb_table *t = TABLE0("t", 7, a, WB_TABLE_INSERT_ONLY), *u = TABLE("t", 7, b, second, 0);
    INSERT(f, t, "old");
    deliver(f);
    INSERT(f, u, "new", "2");
    UPDATE(f, u, "updated", "1");
    deliver(f);
    SQL(f, "select id, x from t order by id", "1|updated\n2|new");
    SQL(f, "select x from t_7", "old");
    SQL(f, "select state from _walbrook_tables order by id", "aside\nstale");
    wb_table_unref(t), wb_table_unref(u);
    fix_close(f);
}

/* A version without ids (made from the wire alone) matches by name. */
static void test_without_ids(void **state)
{
    (void)state;
    fix *f = started(NULL);
    static const col c[] = {INT("id", -1), TEXT("b", -1), TEXT("a", -1)};
    wb_table *t = table_of("public", "t", 0, c, 3, first, 1, 0);
    UPDATE(f, t, "1", "B", UNCHANGED);
    deliver(f);
    SQL(f, "select * from t where id = 1", "1|a1|B");
    SQL(f, STATE, "t|ok");
    SQL(f, "select source_id from _walbrook_columns order by position", "1\n3\n2");
    wb_table_unref(t);
    fix_close(f);
}

/* DDL and rows are one transaction: rolled back together. */
static void test_ddl_rolls_back(void **state)
{
    (void)state;
    fix *f = started(NULL);
    static const col c[] = {INT("id", 1), TEXT("c", 2), TEXT("b", 3), TEXT("n", 4)};
    wb_table *u = TABLE("t", 7, c, first, 0);
    INSERT(f, u, "3", "c3", "b3", "n3");
    must(f, give(f, false, 0));
    assert_int_equal(wb_target_sqlite.flush(f->ctx, -1, &f->err), WB_OK);
    SQL(f, COLUMNS, "id a b");
    reopen(f);
    INSERT(f, u, "3", "c3", "b3", "n3");
    deliver(f);
    SQL(f, COLUMNS, "id c b n");
    wb_table_unref(u);
    fix_close(f);
}

/* Alter what is there, with a broken view of the user's in the file. */
static void test_broken_view(void **state)
{
    (void)state;
    fix *f = started(NULL);
    sql(f, "create table mine (x); ");
    sql(f, "create view w as select x from mine");
    sql(f, "drop table mine");
    static const col c[] = {INT("id", 1), TEXT("c", 2), TEXT("b", 3)};
    wb_table *u = TABLE("t2", 7, c, first, 0);
    INSERT(f, u, "3", "c3", "b3");
    deliver(f);
    SQL(f, "select c from t2 order by id", "a1\na2\nc3");
    wb_table_unref(u);
    fix_close(f);
}

static void test_template_and_ddl_event(void **state)
{
    (void)state;
    fix *f = fix_open(ROW("table", "m_${name}_${schema}_${table}", NULL));
    wb_table *t = TABLE("t", 7, v1, first, 0);
    change(f, WB_DDL, t, NULL, NULL); /* an empty table is there too */
    deliver(f);
    SQL(f, "select count(*) from m_loose_public_t", "0");
    wb_table_unref(t);
    fix_close(f);
}

static void test_mirror_table_gone(void **state)
{
    (void)state;
    fix *f = started(NULL);
    wb_table *t = TABLE("t", 7, v1, first, 0);
    wb_target_sqlite.close(f->ctx);
    sql(f, "drop table t");
    must(f, try_open(f));
    INSERT(f, t, "3", "a", "b");
    assert_int_equal(give(f, true, 0), WB_E_STATE);
    assert_non_null(strstr(f->err.message, "mirror table t is gone"));
    wb_table_unref(t);
    fix_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename_add_and_keep),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_names_exchanged),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_unknown_default_is_stale),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_table_renamed),
        cmocka_unit_test(test_tables_exchanged),
        cmocka_unit_test(test_dropped_with_its_schema),
        cmocka_unit_test(test_dropped_and_made_again),
        cmocka_unit_test(test_column_dropped_and_made_again),
        cmocka_unit_test(test_key_changes),
        cmocka_unit_test(test_new_key_nobody_can_know),
        cmocka_unit_test(test_without_ids),
        cmocka_unit_test(test_ddl_rolls_back),
        cmocka_unit_test(test_broken_view),
        cmocka_unit_test(test_template_and_ddl_event),
        cmocka_unit_test(test_mirror_table_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
