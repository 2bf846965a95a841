/* formats_record_test.c: lines of the format record, byte for byte. */
#include "formats_help.h"

static const uint16_t key_id[] = {0};
static wb_table *users;
static const char at_lsn[8] = {0, 0, 0, 0, 1, 0x57, (char)0x99, 0x60};

static wb_txn txn_of(const char *id, int64_t us)
{
    return (wb_txn){.id = wb_str_of(id), .log = WB_STR("wb_shop"), .commit_us = us, .at = {at_lsn, sizeof at_lsn}};
}

static int setup(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("id", "bigint", WB_INT, WB_COL_KEY | WB_COL_NOT_NULL),
                        column("name", "text", WB_TEXT, 0), column("paid", "numeric(12,2)", WB_DECIMAL, 0)};
    users = table_of("public", "users", cols, 3, key_id, 1);
    return 0;
}

static int teardown(void **state)
{
    WB_UNUSED(state);
    wb_table_unref(users);
    return 0;
}

/* The context starts with its options; what follows them is the format's own. */
struct opts {
    bool before, event_id, changed, event_timestamp_us;
    int binary, primary_key, absent;
};

static void *open_with(struct opts o)
{
    void *ctx = calloc(1, wb_format_record.head.ctx_size);
    memcpy(ctx, &o, sizeof o);
    assert_int_equal(wb_format_record.open(ctx, "shop", NULL), WB_OK);
    return ctx;
}

static void close_it(void *ctx)
{
    wb_format_record.close(ctx);
    wb_format_record.close(ctx);
    free(ctx);
}

#define HEAD(id, op)                                                                                                   \
    "{\"global_id\":null,\"transaction_id\":\"" id "\",\"event_timestamp\":1709200800,\"event_type\":\"" op            \
    "\",\"service\":\"shop\",\"source\":\"wb_shop\",\"position\":22518112,\"primary_key\":\"id\",\"schema_name\":"     \
    "\"public\","                                                                                                      \
    "\"table_name\":\"users\",\"record\":"
#define WHEN INT64_C(1709200800123456)
#define PLACE 22518112

static void test_operations(void **state)
{
    WB_UNUSED(state);
    void *ctx = open_with((struct opts){0});
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), text(WB_TEXT, "Ann \"A\""), text(WB_DECIMAL, "12.50")};
    wb_value old[] = {text(WB_INT, "1"), kind(WB_ABSENT), kind(WB_ABSENT)};
    wb_change c = {.op = WB_INSERT, .table = users, .after = row, .place = PLACE};
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "INSERT") "{\"id\":1,\"name\":\"Ann \\\"A\\\"\",\"paid\":\"12.50\"}}");
    c.op = WB_READ;
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "READ") "{\"id\":1,\"name\":\"Ann \\\"A\\\"\",\"paid\":\"12.50\"}}");
    c.op = WB_UPDATE;
    c.before = old;
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "UPDATE") "{\"id\":1,\"name\":\"Ann \\\"A\\\"\",\"paid\":\"12.50\"}}");
    c.op = WB_DELETE;
    c.after = NULL;
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "DELETE") "{\"id\":1}}");
    c.op = WB_TRUNCATE;
    c.before = NULL;
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "TRUNCATE") "null}");
    close_it(ctx);
}

#define USERS                                                                                                          \
    "{\"schema\":\"public\",\"table\":\"users\",\"primary_key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":"      \
    "\"bigint\",\"nullable\":false,\"id\":null},{\"name\":\"name\",\"type\":\"text\",\"nullable\":true,\"id\":null},"  \
    "{\"name\":\"paid\",\"type\":\"numeric(12,2)\",\"nullable\":true,\"id\":null}]}"

static void test_schema_changes(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_column was[] = {column("id", "bigint", WB_INT, WB_COL_KEY)};
    was[0].id = 1;
    wb_table *old = table_of("public", "people", was, 1, NULL, 0);
    wb_ddl d = {.kind = WB_DDL_ALTER, .before = old, .after = users};
    wb_change c = {.op = WB_DDL, .table = users, .ddl = &d, .place = PLACE, .ordinal = 4};
    void *ctx = open_with((struct opts){0});
    expect_line(
        &wb_format_record, ctx, &txn, &c,
        HEAD("734", "ALTER") "{\"sql\":null,\"before\":{\"schema\":\"public\",\"table\":\"people\",\"primary_key\":"
                             "[],\"columns\":[{\"name\":\"id\",\"type\":\"bigint\",\"nullable\":true,\"id\":1}]},"
                             "\"after\":" USERS "}}");
    d = (wb_ddl){.kind = WB_DDL_CREATE, .after = users, .sql = WB_STR("CREATE TABLE \"users\" (...)")};
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "CREATE") "{\"sql\":\"CREATE TABLE \\\"users\\\" (...)\",\"before\":null,\"after\":" USERS
                                      "}}");
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = users};
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "DROP") "{\"sql\":null,\"before\":" USERS ",\"after\":null}}");
    c.ddl = NULL;
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "ALTER") "{\"sql\":null,\"before\":null,\"after\":" USERS "}}");
    close_it(ctx);
    /* it may share its ordinal with a row, never its id */
    ctx = open_with((struct opts){.event_id = true});
    char *line = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(line, ":4:ddl\""));
    free(line);
    close_it(ctx);
    wb_table_unref(old);
}

/* CREATE, ALTER, DROP DATABASE: no table. */
static void test_changes_of_schemas(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_table *none = table_of("shop \"2\"", "", NULL, 0, NULL, 0);
    wb_ddl d = {.kind = WB_DDL_CREATE, .after = none, .sql = WB_STR("create database `shop \"2\"`")};
    wb_change c = {.op = WB_DDL, .table = none, .ddl = &d, .place = PLACE};
    void *ctx = open_with((struct opts){0});
#define OF(op)                                                                                                         \
    "{\"global_id\":null,\"transaction_id\":\"734\",\"event_timestamp\":1709200800,\"event_type\":\"" op               \
    "\",\"service\":\"shop\",\"source\":\"wb_shop\",\"position\":22518112,\"primary_key\":\"\",\"schema_name\":"       \
    "\"shop \\\"2\\\"\",\"table_name\":null,\"record\":{\"sql\":"
#define SHOP "{\"schema\":\"shop \\\"2\\\"\",\"table\":null,\"primary_key\":[],\"columns\":[]}"
    expect_line(&wb_format_record, ctx, &txn, &c,
                OF("CREATE") "\"create database `shop \\\"2\\\"`\",\"before\":null,\"after\":" SHOP "}}");
    d = (wb_ddl){.kind = WB_DDL_ALTER, .before = none, .after = none, .sql = WB_STR("alter")};
    expect_line(&wb_format_record, ctx, &txn, &c, OF("ALTER") "\"alter\",\"before\":" SHOP ",\"after\":" SHOP "}}");
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = none, .sql = WB_STR("drop")};
    expect_line(&wb_format_record, ctx, &txn, &c, OF("DROP") "\"drop\",\"before\":" SHOP ",\"after\":null}}");
    close_it(ctx);
    wb_table_unref(none);
}

static void test_null_absent_unchanged_are_three_things(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), kind(WB_UNCHANGED), kind(WB_NULL)};
    wb_change c = {.op = WB_UPDATE, .table = users, .after = row, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "UPDATE") "{\"id\":1,\"paid\":null}}");
    row[0] = kind(WB_ABSENT);
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "UPDATE") "{\"paid\":null}}");
    close_it(ctx);
    ctx = open_with((struct opts){.absent = 1});
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "UPDATE") "{\"id\":null,\"name\":null,\"paid\":null}}");
    close_it(ctx);
}

static void test_values_read_afterwards_are_named(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), text(WB_TEXT, "long"), kind(WB_NULL)};
    wb_change c = {.op = WB_UPDATE, .flags = WB_C_RESELECTED, .table = users, .after = row, .place = PLACE};
    row[1].flags |= WB_V_RESELECTED;
    row[2].flags |= WB_V_RESELECTED;
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "UPDATE") "{\"id\":1,\"name\":\"long\",\"paid\":null},\"reselected\":[\"name\",\"paid\"]}");
    close_it(ctx);
}

static void test_nothing_after_takes_before(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value none[] = {kind(WB_ABSENT), kind(WB_ABSENT), kind(WB_UNCHANGED)};
    wb_value old[] = {text(WB_INT, "7"), kind(WB_ABSENT), kind(WB_ABSENT)};
    wb_change c = {.op = WB_UPDATE, .table = users, .after = none, .before = old, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "UPDATE") "{\"id\":7}}");
    c.before = NULL;
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "UPDATE") "{}}");
    close_it(ctx);
}

static void test_key_change_always_shows_the_old_key(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "2"), text(WB_TEXT, "Ann"), kind(WB_NULL)};
    wb_value old[] = {text(WB_INT, "1"), kind(WB_ABSENT), kind(WB_ABSENT)};
    wb_change c = {
        .op = WB_UPDATE, .flags = WB_C_KEY_CHANGED, .table = users, .after = row, .before = old, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "UPDATE") "{\"id\":2,\"name\":\"Ann\",\"paid\":null},\"before\":{\"id\":1}}");
    close_it(ctx);
}

static void test_options_add_their_keys(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), text(WB_TEXT, "Bob"), kind(WB_NULL)};
    wb_value old[] = {text(WB_INT, "1"), text(WB_TEXT, "Ann"), kind(WB_NULL)};
    wb_change c = {.op = WB_UPDATE, .table = users, .after = row, .before = old, .place = PLACE, .ordinal = 3};
    void *ctx = open_with((struct opts){.before = true, .event_id = true, .changed = true, .event_timestamp_us = true});
    expect_line(
        &wb_format_record, ctx, &txn, &c,
        "{\"global_id\":null,\"transaction_id\":\"734\",\"event_timestamp\":1709200800,"
        "\"event_timestamp_us\":1709200800123456,\"event_type\":\"UPDATE\",\"service\":\"shop\",\"source\":\"wb_shop\","
        "\"position\":22518112,\"primary_key\":\"id\",\"schema_name\":\"public\",\"table_name\":\"users\","
        "\"record\":{\"id\":1,\"name\":\"Bob\",\"paid\":null},\"before\":{\"id\":1,\"name\":\"Ann\",\"paid\":null},"
        "\"event_id\":\"wb_shop:734-0000000001579960:3\",\"changed\":[\"name\"]}");
    close_it(ctx);
    ctx = open_with((struct opts){.before = true, .changed = true});
    c.before = NULL;
    expect_line(&wb_format_record, ctx, &txn, &c,
                HEAD("734", "UPDATE") "{\"id\":1,\"name\":\"Bob\",\"paid\":null},\"before\":null,\"changed\":null}");
    wb_value key[] = {text(WB_INT, "1"), kind(WB_ABSENT), kind(WB_ABSENT)};
    c.before = key;
    expect_line(
        &wb_format_record, ctx, &txn, &c,
        HEAD("734", "UPDATE") "{\"id\":1,\"name\":\"Bob\",\"paid\":null},\"before\":{\"id\":1},\"changed\":null}");
    close_it(ctx);
}

static void test_changed_compares_what_it_can(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value old[] = {text(WB_INT, "1"), text(WB_TEXT, "Ann"), text(WB_DECIMAL, "1.0")};
    wb_change c = {.op = WB_UPDATE, .table = users, .before = old, .place = PLACE};
    static const struct {
        wb_value name, paid;
        const char *want;
    } cases[] = {
        {{.kind = WB_UNCHANGED}, {.kind = WB_NULL}, "\"changed\":[\"paid\"]"},
        {{.kind = WB_TEXT, .flags = WB_V_TEXT, .len = 3, .as = {.ptr = "Ann"}},
         {.kind = WB_DECIMAL, .flags = WB_V_TEXT, .len = 4, .as = {.ptr = "1.00"}},
         "\"changed\":[\"paid\"]"},
        {{.kind = WB_TEXT, .flags = WB_V_TEXT, .len = 0, .as = {.ptr = ""}},
         {.kind = WB_DECIMAL, .flags = WB_V_TEXT, .len = 3, .as = {.ptr = "1.0"}},
         "\"changed\":[\"name\"]"},
        {{.kind = WB_UNCHANGED}, {.kind = WB_UNCHANGED}, "\"changed\":[]"},
    };
    void *ctx = open_with((struct opts){.changed = true});
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        wb_value row[] = {number(WB_INT, 1), cases[i].name,
                          cases[i].paid}; /* the key as a number: equal all the same */
        c.after = row;
        char *got = line_of(&wb_format_record, ctx, &txn, &c);
        if (!strstr(got, cases[i].want)) fail_msg("case %zu: %s", i, got);
        free(got);
    }
    close_it(ctx);
}

/* G-03: an id that is the same when the change comes again. */
static void test_event_id_of_snapshot_rows(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("a", "text", WB_TEXT, WB_COL_KEY), column("v", "text", WB_TEXT, 0),
                        column("b", "int", WB_INT, WB_COL_KEY)};
    const uint16_t key[] = {2, 0};
    wb_table *t = table_of("s", "pairs", cols, 3, key, 2), *bare = table_of("s", "bare", cols, 3, NULL, 0);
    wb_value row[] = {text(WB_TEXT, "x,\"y"), kind(WB_NULL), text(WB_INT, "5")};
    wb_txn txn = {.commit_us = WHEN, .flags = WB_TXN_SNAPSHOT};
    wb_change c = {.op = WB_READ, .table = t, .after = row};
    void *ctx = open_with((struct opts){.event_id = true});
    expect_line(&wb_format_record, ctx, &txn, &c,
                "{\"global_id\":null,\"transaction_id\":null,\"event_timestamp\":1709200800,\"event_type\":\"READ\","
                "\"service\":\"shop\",\"source\":null,\"position\":0,\"primary_key\":\"b,a\",\"schema_name\":\"s\","
                "\"table_name\":\"pairs\",\"record\":{\"a\":\"x,\\\"y\",\"v\":null,\"b\":5},"
                "\"event_id\":\"s.pairs:[5,\\\"x,\\\\\\\"y\\\"]\"}");
    c.table = bare;
    char *got = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(got, "\"event_id\":null}"));
    assert_non_null(strstr(got, "\"primary_key\":\"\""));
    free(got);
    close_it(ctx);
    wb_table_unref(t);
    wb_table_unref(bare);
}

static void test_primary_key_as_list(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("a\"", "text", WB_TEXT, WB_COL_KEY), column("b", "int", WB_INT, WB_COL_KEY)};
    const uint16_t key[] = {1, 0};
    wb_table *t = table_of("s", "pairs", cols, 2, key, 2), *bare = table_of("", "bare", cols, 2, NULL, 0);
    wb_value row[] = {text(WB_TEXT, "x"), text(WB_INT, "5")};
    wb_txn txn = txn_of("1", -1);
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with((struct opts){.primary_key = 1});
    char *got = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(got, "\"primary_key\":[\"b\",\"a\\\"\"]"));
    assert_non_null(strstr(got, "\"event_timestamp\":-1,")); /* floor, before 1970 too */
    assert_non_null(strstr(got, "\"record\":{\"a\\\"\":\"x\",\"b\":5}}"));
    free(got);
    c.table = bare;
    got = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(got, "\"primary_key\":[],\"schema_name\":\"\""));
    free(got);
    close_it(ctx);
    wb_table_unref(t);
    wb_table_unref(bare);
}

static void test_messages(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value m[] = {text(WB_TEXT, "outbox"), raw("h\xC3\xA9\n", 4)};
    wb_change c = {.op = WB_MESSAGE, .after = m, .place = PLACE};
    void *ctx = open_with((struct opts){.before = true, .changed = true});
#define MESSAGE                                                                                                        \
    "{\"global_id\":null,\"transaction_id\":\"734\",\"event_timestamp\":1709200800,\"event_type\":\"MESSAGE\","        \
    "\"service\":\"shop\","                                                                                            \
    "\"source\":\"wb_shop\",\"position\":22518112,\"primary_key\":\"\",\"schema_name\":null,\"table_name\":null,"      \
    "\"record\":"
    expect_line(&wb_format_record, ctx, &txn, &c,
                MESSAGE "{\"prefix\":\"outbox\",\"content\":\"h\xC3\xA9\\n\"},\"before\":null,\"changed\":null}");
    m[1] = raw("\xFF\x00", 2);
    expect_line(
        &wb_format_record, ctx, &txn, &c,
        MESSAGE
        "{\"prefix\":\"outbox\",\"content\":\"/wA=\",\"encoding\":\"base64\"},\"before\":null,\"changed\":null}");
    close_it(ctx);
}

/* A batch's memory is used again: the same address with another transaction in it must not bring the old prefix. */
static void test_same_address_other_transaction(void **state)
{
    WB_UNUSED(state);
    char id[4] = "734";
    wb_txn txn = txn_of("", WHEN);
    txn.id = (wb_str){id, 3};
    wb_value row[] = {text(WB_INT, "1"), kind(WB_ABSENT), kind(WB_ABSENT)};
    wb_change c = {.op = WB_INSERT, .table = users, .after = row, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("734", "INSERT") "{\"id\":1}}");
    id[2] = '5';
    expect_line(&wb_format_record, ctx, &txn, &c, HEAD("735", "INSERT") "{\"id\":1}}");
    txn.commit_us += 1000000;
    char *got = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(got, "\"event_timestamp\":1709200801,"));
    free(got);
    txn.global_id = WB_STR("0-1-9");
    txn.log = WB_STR("binlog.000002");
    got = line_of(&wb_format_record, ctx, &txn, &c);
    assert_non_null(strstr(got, "{\"global_id\":\"0-1-9\",\"transaction_id\":\"735\""));
    assert_non_null(strstr(got, "\"source\":\"binlog.000002\""));
    free(got);
    close_it(ctx);
}

static void test_more_table_versions_than_are_kept(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("1", WHEN);
    wb_value row[] = {text(WB_INT, "1")};
    void *ctx = open_with((struct opts){0});
    for (int i = 0; i < 10000; i++) {
        char name[32], want[128];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(want, sizeof want, "\"table_name\":\"t%d\",\"record\":{\"%s\":1}}", i, name);
        wb_column cols[] = {column(name, "int", WB_INT, 0)};
        wb_table *t = table_of("s", name, cols, 1, NULL, 0);
        wb_change c = {.op = WB_INSERT, .table = t, .after = row};
        for (int twice = 0; twice < 2; twice++) {
            char *got = line_of(&wb_format_record, ctx, &txn, &c);
            assert_non_null(strstr(got, want));
            free(got);
        }
        wb_table_unref(t);
    }
    close_it(ctx);
}

static void test_ten_megabytes_in_one_row(void **state)
{
    WB_UNUSED(state);
    size_t n = 10 * 1024 * 1024;
    char *big = malloc(n);
    memset(big, 'x', n);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), text_n(WB_TEXT, big, n), text(WB_DECIMAL, "1")};
    wb_change c = {.op = WB_INSERT, .table = users, .after = row, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    char *got = line_of(&wb_format_record, ctx, &txn, &c);
    const char *tail = "x\",\"paid\":\"1\"}}";
    assert_int_equal(strlen(got), strlen(HEAD("734", "INSERT") "{\"id\":1,\"name\":\"") + n + strlen(tail) - 1);
    assert_string_equal(got + strlen(got) - strlen(tail), tail);
    free(got);
    free(big);
    close_it(ctx);
}

static void test_refused_value_leaves_no_piece_of_a_line(void **state)
{
    WB_UNUSED(state);
    wb_txn txn = txn_of("734", WHEN);
    wb_value row[] = {text(WB_INT, "1"), text(WB_BYTES, "\\xz"), kind(WB_NULL)};
    wb_change c = {.op = WB_INSERT, .table = users, .after = row, .place = PLACE};
    void *ctx = open_with((struct opts){0});
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    wb_out_z(&o, "before\n");
    assert_int_equal(wb_format_record.row(ctx, &txn, &c, &o, &err), WB_E_DATA);
    assert_int_equal(o.len, 7);
    assert_string_equal(err.where, "column name");
    wb_out_fini(&o);
    close_it(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_schema_changes),
        cmocka_unit_test(test_changes_of_schemas),
        cmocka_unit_test(test_null_absent_unchanged_are_three_things),
        cmocka_unit_test(test_values_read_afterwards_are_named),
        cmocka_unit_test(test_nothing_after_takes_before),
        cmocka_unit_test(test_key_change_always_shows_the_old_key),
        cmocka_unit_test(test_options_add_their_keys),
        cmocka_unit_test(test_changed_compares_what_it_can),
        cmocka_unit_test(test_event_id_of_snapshot_rows),
        cmocka_unit_test(test_primary_key_as_list),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_same_address_other_transaction),
        cmocka_unit_test(test_more_table_versions_than_are_kept),
        cmocka_unit_test(test_ten_megabytes_in_one_row),
        cmocka_unit_test(test_refused_value_leaves_no_piece_of_a_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
