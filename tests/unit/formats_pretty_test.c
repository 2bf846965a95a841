/* formats_pretty_test.c: what `walbrook tail` shows. */
#include "formats_help.h"

static void *open_with(bool color, int64_t width)
{
    void *ctx = calloc(1, wb_format_pretty.head.ctx_size);
    *(bool *)ctx = color;
    ((int64_t *)ctx)[1] = width;
    assert_int_equal(wb_format_pretty.open(ctx, "tail", NULL), WB_OK);
    return ctx;
}

static void close_it(void *ctx)
{
    wb_format_pretty.close(ctx);
    wb_format_pretty.close(ctx);
    free(ctx);
}

static wb_table *table(void)
{
    wb_column cols[] = {column("name", "text", WB_TEXT, 0), column("id", "bigint", WB_INT, WB_COL_KEY),
                        column("at", "timestamptz", WB_TIMESTAMPTZ, 0)};
    const uint16_t key[] = {1};
    return table_of("public", "users", cols, 3, key, 1);
}

static const wb_txn txn = {.id = {"1", 1}, .commit_us = INT64_C(1709200800123456)};
#define TIME "10:00:00.123 "

static void test_lines(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_value row[] = {text(WB_TEXT, "Ann"), text(WB_INT, "1"), number(WB_TIMESTAMPTZ, 0)};
    wb_value old[] = {text(WB_TEXT, "Eve Low"), text(WB_INT, "2"), number(WB_TIMESTAMPTZ, 0)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with(false, 0);
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "INSERT   public.users id=1 name=Ann at=1970-01-01T00:00:00Z");
    c.op = WB_UPDATE;
    c.before = old;
    expect_line(&wb_format_pretty, ctx, &txn, &c,
                TIME "UPDATE   public.users id=2\xE2\x86\x92"
                     "1 name=\"Eve Low\"\xE2\x86\x92"
                     "Ann");
    c = (wb_change){.op = WB_DELETE, .table = t, .before = old};
    old[0] = kind(WB_ABSENT);
    old[2] = kind(WB_NULL);
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "DELETE   public.users id=2 at=null");
    c = (wb_change){.op = WB_TRUNCATE, .table = t};
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "TRUNCATE public.users");
    close_it(ctx);
    wb_table_unref(t);
}

static void test_schema_changes(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_column is[] = {column("id", "numeric(5)", WB_DECIMAL, WB_COL_KEY), column("label", "text", WB_TEXT, 0),
                      column("new", "text", WB_TEXT, 0)};
    wb_column was[] = {column("id", "bigint", WB_INT, WB_COL_KEY), column("name", "text", WB_TEXT, 0),
                       column("gone", "date", WB_DATE, 0)};
    was[1].id = is[1].id = 2; /* the same one, renamed */
    wb_table *old = table_of("app", "people", was, 3, NULL, 0), *now = table_of("public", "users", is, 3, NULL, 0);
    wb_ddl d = {.kind = WB_DDL_ALTER, .before = old, .after = now, .sql = WB_STR("ALTER")};
    wb_change c = {.op = WB_DDL, .table = now, .ddl = &d};
    void *ctx = open_with(false, 0);
    expect_line(&wb_format_pretty, ctx, &txn, &c,
                TIME "ALTER    public.users was app.people -gone:date id:bigint\xE2\x86\x92numeric(5) name\xE2\x86\x92"
                     "label:text +new:text ALTER");
    d = (wb_ddl){.kind = WB_DDL_CREATE, .after = t};
    c.table = t;
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "CREATE   public.users +name:text +id:bigint +at:timestamptz");
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = t};
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "DROP     public.users");
    wb_table *schema = table_of("shop", "", NULL, 0, NULL, 0);
    d = (wb_ddl){.kind = WB_DDL_CREATE, .after = schema, .sql = WB_STR("create database shop")};
    c.table = schema;
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "CREATE   shop \"create database shop\"");
    wb_table_unref(schema);
    c.table = t;
    c.ddl = NULL;
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "ALTER    public.users");
    close_it(ctx);
    wb_table_unref(t);
    wb_table_unref(old);
    wb_table_unref(now);
}

static void test_long_values_are_cut_between_characters(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_value row[] = {text(WB_TEXT, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"), text(WB_INT, "1"), kind(WB_UNCHANGED)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with(false, 4);
    expect_line(&wb_format_pretty, ctx, &txn, &c,
                TIME "INSERT   public.users id=1 name=\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xE2\x80\xA6");
    row[0] = raw("\x01\x02\x03", 3);
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "INSERT   public.users id=1 name=\\x0102\xE2\x80\xA6");
    row[0] = text(WB_BYTES, "\\x010203");
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "INSERT   public.users id=1 name=\\x0102\xE2\x80\xA6");
    row[0] = text(WB_BYTES, "\\x01ff");
    expect_line(&wb_format_pretty, ctx, &txn, &c, TIME "INSERT   public.users id=1 name=\\x01ff");
    close_it(ctx);
    wb_table_unref(t);
}

static void test_no_control_character_reaches_the_terminal(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_value row[] = {text(WB_TEXT, "\033[2J\x7F\xC2\x9B\n"), text(WB_INT, "1"), text(WB_OTHER, "null")};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with(false, 40);
    expect_line(&wb_format_pretty, ctx, &txn, &c,
                TIME "INSERT   public.users id=1 name=\"\\u001b[2J\\u007f\\u009b\\n\" at=\"null\"");
    close_it(ctx);
    wb_table_unref(t);
}

static void test_colours(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_value row[] = {kind(WB_ABSENT), text(WB_INT, "1"), kind(WB_ABSENT)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with(true, 40);
    expect_line(&wb_format_pretty, ctx, &txn, &c,
                "\033[2m10:00:00.123\033[0m \033[32mINSERT  \033[0m public.\033[1musers\033[0m \033[1mid\033[0m=1");
    close_it(ctx);
    wb_table_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_schema_changes),
        cmocka_unit_test(test_long_values_are_cut_between_characters),
        cmocka_unit_test(test_no_control_character_reaches_the_terminal),
        cmocka_unit_test(test_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
