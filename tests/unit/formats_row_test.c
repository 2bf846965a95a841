/* formats_row_test.c: lines of the format row. */
#include "formats_help.h"

struct opts {
    const char *op_key, *table_key;
    int binary, absent;
};

static void *open_with(struct opts o)
{
    void *ctx = calloc(1, wb_format_row.head.ctx_size);
    memcpy(ctx, &o, sizeof o);
    assert_int_equal(wb_format_row.open(ctx, "shop", NULL), WB_OK);
    return ctx;
}

static void close_it(void *ctx)
{
    wb_format_row.close(ctx);
    wb_format_row.close(ctx);
    free(ctx);
}

static wb_table *table(void)
{
    wb_column cols[] = {column("id", "bigint", WB_INT, WB_COL_KEY), column("data", "bytea", WB_BYTES, 0)};
    const uint16_t key[] = {0};
    return table_of("public", "blobs", cols, 2, key, 1);
}

static void test_rows(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_txn txn = {.id = WB_STR("1")};
    wb_value row[] = {text(WB_INT, "1"), text(WB_BYTES, "\\xff00")}, old[] = {text(WB_INT, "2"), kind(WB_ABSENT)};
    wb_change c = {.op = WB_UPDATE, .table = t, .after = row, .before = old};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"id\":1,\"data\":\"/wA=\"}");
    c.op = WB_DELETE;
    c.after = NULL;
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"id\":2}");
    row[0] = kind(WB_UNCHANGED);
    row[1] = kind(WB_NULL);
    c = (wb_change){.op = WB_INSERT, .table = t, .after = row};
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"data\":null}");
    row[1] = kind(WB_ABSENT);
    expect_line(&wb_format_row, ctx, &txn, &c, "{}");
    close_it(ctx);
    ctx = open_with((struct opts){.binary = 1, .absent = 1});
    row[1] = text(WB_BYTES, "\\xFF00");
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"id\":null,\"data\":\"ff00\"}");
    close_it(ctx);
    wb_table_unref(t);
}

static void test_what_is_not_a_row(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_txn txn = {.id = WB_STR("1")};
    wb_change c = {.op = WB_TRUNCATE, .table = t};
    void *ctx = open_with((struct opts){0});
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"_truncate\":\"public.blobs\"}");
    c.op = WB_DDL;
    wb_ddl d = {.kind = WB_DDL_CREATE, .after = t};
    c.ddl = &d;
#define BLOBS                                                                                                          \
    "{\"schema\":\"public\",\"table\":\"blobs\",\"primary_key\":[\"id\"],\"columns\":[{\"name\":\"id\",\"type\":"      \
    "\"bigint\","                                                                                                      \
    "\"nullable\":true,\"id\":null},{\"name\":\"data\",\"type\":\"bytea\",\"nullable\":true,\"id\":null}]}"
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_create\":\"public.blobs\",\"_schema\":{\"sql\":null,\"before\":null,\"after\":" BLOBS "}}");
    d = (wb_ddl){.kind = WB_DDL_ALTER, .before = t, .after = t, .sql = WB_STR("alter")};
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_alter\":\"public.blobs\",\"_schema\":{\"sql\":\"alter\",\"before\":" BLOBS ",\"after\":" BLOBS
                "}}");
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = t};
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_drop\":\"public.blobs\",\"_schema\":{\"sql\":null,\"before\":" BLOBS ",\"after\":null}}");
    wb_table *schema = table_of("shop", "", NULL, 0, NULL, 0);
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = schema};
    c.table = schema;
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_drop\":\"shop\",\"_schema\":{\"sql\":null,\"before\":{\"schema\":\"shop\",\"table\":null,"
                "\"primary_key\":[],\"columns\":[]},\"after\":null}}");
    wb_table_unref(schema);
    wb_value m[] = {text(WB_TEXT, "p"), raw("c", 1)};
    c = (wb_change){.op = WB_MESSAGE, .after = m};
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"_message\":{\"prefix\":\"p\",\"content\":\"c\"}}");
    close_it(ctx);
    wb_table_unref(t);
}

static void test_keys_by_option(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table();
    wb_txn txn = {.id = WB_STR("1")};
    wb_value row[] = {text(WB_INT, "1"), kind(WB_NULL)}, none[] = {kind(WB_ABSENT), kind(WB_ABSENT)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    void *ctx = open_with((struct opts){.op_key = "_op", .table_key = "_table"});
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_op\":\"INSERT\",\"_table\":\"public.blobs\",\"id\":1,\"data\":null}");
    c.after = none;
    expect_line(&wb_format_row, ctx, &txn, &c, "{\"_op\":\"INSERT\",\"_table\":\"public.blobs\"}");
    c.op = WB_TRUNCATE;
    expect_line(&wb_format_row, ctx, &txn, &c,
                "{\"_op\":\"TRUNCATE\",\"_table\":\"public.blobs\",\"_truncate\":\"public.blobs\"}");
    close_it(ctx);
    wb_table_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_what_is_not_a_row),
        cmocka_unit_test(test_keys_by_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
