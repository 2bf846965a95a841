/* The format sql: literals that come back, conditions for one row only, refusals by name. What a server does with them:
 * tests/e2e/test_decode.py. */
#include "check.h"
#include "base/buf.h"
#include "formats/formats.h"
#include "formats/sql.h"

#define T(kind_, z) ((wb_value){.kind = (kind_), .flags = WB_V_TEXT, .len = sizeof(z) - 1, .as.ptr = (z)})

static const char *literal(const char *type, wb_kind kind, wb_value v, wb_code want)
{
    static char text[2000];
    wb_column c = {.name = {"c", 1}, .source_name = {"c", 1}, .kind = (uint8_t)kind};
    wb_out o = {0};
    wb_error err = {0};
    c.type = (wb_str){type, strlen(type)};
    assert_int_equal(wb_sql_value(&o, &c, &v, &err), want);
    wb_out_byte(&o, 0);
    snprintf(text, sizeof text, "%s", want == WB_OK ? o.p : err.message);
    wb_out_fini(&o);
    return text;
}

static void literals(void **state)
{
    (void)state;
    assert_string_equal(literal("int", WB_INT, (wb_value){.kind = WB_INT, .as.i = INT64_MIN}, WB_OK),
                        "-9223372036854775808");
    assert_string_equal(literal("bigint unsigned", WB_UINT, (wb_value){.kind = WB_UINT, .as.u = UINT64_MAX}, WB_OK),
                        "18446744073709551615");
    assert_string_equal(literal("decimal(3,2)", WB_DECIMAL, T(WB_DECIMAL, "-0.10"), WB_OK), "-0.10");
    assert_string_equal(literal("double", WB_FLOAT, (wb_value){.kind = WB_FLOAT, .as.f = 0.1}, WB_OK),
                        "0.10000000000000001e0");
    assert_string_equal(literal("float", WB_FLOAT, (wb_value){.kind = WB_FLOAT, .as.f = (double)0.1f}, WB_OK),
                        "0.10000000149011612e0");
    assert_string_equal(literal("float", WB_FLOAT, T(WB_FLOAT, "0.1"), WB_OK), "0.10000000149011612e0");
    assert_string_equal(literal("double", WB_FLOAT, (wb_value){.kind = WB_FLOAT, .as.f = -0.0}, WB_OK), "-0e0");
    assert_string_equal(literal("text", WB_TEXT, T(WB_TEXT, "it's \\ \n\r\t\0\x1a \""), WB_OK),
                        "'it\\'s \\\\ \\n\\r\t\\0\\Z \"'");
    assert_string_equal(literal("blob", WB_BYTES, (wb_value){.kind = WB_BYTES, .len = 2, .as.ptr = "\0\xff"}, WB_OK),
                        "X'00ff'");
    assert_string_equal(literal("bit(10)", WB_OTHER, T(WB_OTHER, "1000000001"), WB_OK), "b'1000000001'");
    assert_string_equal(
        literal("timestamp(6)", WB_TIMESTAMPTZ, (wb_value){.kind = WB_TIMESTAMPTZ, .as.i = 1500000}, WB_OK),
        "'1970-01-01 00:00:01.5'");
    assert_string_equal(literal("timestamp", WB_TIMESTAMPTZ, T(WB_TIMESTAMPTZ, "2024-02-29 12:00:00+00"), WB_OK),
                        "'2024-02-29 12:00:00'");
    assert_string_equal(literal("datetime", WB_TIMESTAMP, T(WB_OTHER, "0000-00-00 00:00:00"), WB_OK),
                        "'0000-00-00 00:00:00'");
    assert_string_equal(literal("time", WB_TIME, T(WB_OTHER, "-838:59:59"), WB_OK), "'-838:59:59'");
    assert_string_equal(literal("vector(2)", WB_JSON, T(WB_JSON, "[1,-2.5]"), WB_OK), "X'0000803f000020c0'");
    assert_string_equal(literal("date", WB_DATE, (wb_value){.kind = WB_NULL}, WB_OK), "NULL");
}

static void json_that_text_loses_is_refused(void **state)
{
    (void)state;
    static const char *const fine[] = {"{}", "[1,-1,1.5,1e100,0.1,18446744073709551615,-9223372036854775808,1.0,0.0]",
                                       "{\"a\\\"1.10\": \"1.10\"}",
                                       "[1.7976931348623157e308, 5e-324, 3.141592653589793]"};
    static const char *const lost[] = {"[1.10]", "{\"a\": 18446744073709551616}", "[0.12345678901234567890]",
                                       "[-9223372036854775809]", "{\"b\": \"base64:type16:AQ==\"}"};
    for (size_t i = 0; i < WB_COUNT(fine); i++) {
        wb_value v = {.kind = WB_JSON, .flags = WB_V_TEXT, .len = (uint32_t)strlen(fine[i]), .as.ptr = fine[i]};
        (void)literal("json", WB_JSON, v, WB_OK);
    }
    for (size_t i = 0; i < WB_COUNT(lost); i++) {
        wb_value v = {.kind = WB_JSON, .flags = WB_V_TEXT, .len = (uint32_t)strlen(lost[i]), .as.ptr = lost[i]};
        assert_non_null(strstr(literal("json", WB_JSON, v, WB_E_UNSUPPORTED), "brings back"));
    }
    assert_string_equal(literal("longtext", WB_TEXT, T(WB_TEXT, "[1.10]"), WB_OK),
                        "'[1.10]'"); /* MariaDB's JSON is text */
}

/* ---------------------------------------------------------------- whole statements */

static const char *statement(bool undo, wb_op op, bool key, const wb_value *before, const wb_value *after, wb_code want)
{
    static char text[2000];
    static const uint16_t first[] = {0};
    const wb_column cols[] = {{.name = {"id", 2}, .type = {"int", 3}, .kind = WB_INT},
                              {.name = {"v`x", 3}, .type = {"text", 4}, .kind = WB_TEXT},
                              {.name = {"g", 1}, .type = {"int", 3}, .kind = WB_INT, .flags = WB_COL_GENERATED}};
    const wb_table proto = {.schema = {"s", 1}, .name = {"t", 1}, .ncols = 3, .nkey = key, .cols = cols, .key = first};
    wb_table *t = wb_table_new(&proto);
    wb_txn txn = {.log = {"b.1", 3}, .at = {"x", 1}};
    wb_change c = {.op = (uint8_t)op, .table = t, .before = before, .after = after, .place = 77};
    char ctx[256] = {0};
    wb_out o = {0};
    wb_error err = {0};
    assert_true(wb_format_sql.head.ctx_size <= sizeof ctx);
    memcpy(ctx + wb_format_sql.head.options[0].offset, &undo, sizeof undo);
    assert_int_equal(wb_format_sql.row(ctx, &txn, &c, &o, &err), want);
    wb_out_byte(&o, 0);
    const char *line = want == WB_OK ? strchr(o.p, '\n') + 1 : err.message;
    snprintf(text, sizeof text, "%s", line);
    wb_out_fini(&o);
    wb_format_sql.close(ctx);
    wb_table_unref(t);
    return text;
}

static void statements(void **state)
{
    (void)state;
    const wb_value old[] = {{.kind = WB_INT, .as.i = 1}, T(WB_TEXT, "a"), {.kind = WB_INT, .as.i = 5}};
    const wb_value new[] = {{.kind = WB_INT, .as.i = 1}, {.kind = WB_NULL}, {.kind = WB_INT, .as.i = 6}};
    const wb_value part[] = {{.kind = WB_INT, .as.i = 1}, {.kind = WB_ABSENT}, {.kind = WB_ABSENT}};
    const wb_value none[] = {{.kind = WB_ABSENT}, T(WB_TEXT, "b"), {.kind = WB_ABSENT}};
    assert_string_equal(statement(false, WB_INSERT, true, NULL, old, WB_OK),
                        "INSERT INTO `s`.`t` (`id`, `v``x`) VALUES (1, 'a');");
    assert_string_equal(statement(true, WB_INSERT, true, NULL, old, WB_OK),
                        "DELETE FROM `s`.`t` WHERE `id` = 1 LIMIT 1;");
    assert_string_equal(statement(false, WB_UPDATE, true, old, new, WB_OK),
                        "UPDATE `s`.`t` SET `id` = 1, `v``x` = NULL WHERE `id` = 1 LIMIT 1;");
    assert_string_equal(statement(true, WB_UPDATE, true, old, new, WB_OK),
                        "UPDATE `s`.`t` SET `id` = 1, `v``x` = 'a' WHERE `id` = 1 LIMIT 1;");
    assert_string_equal(
        statement(false, WB_UPDATE, false, old, new, WB_OK),
        "UPDATE `s`.`t` SET `id` = 1, `v``x` = NULL WHERE `id` = 1 AND CAST(CONVERT(`v``x` USING utf8mb4) AS BINARY) = "
        "CAST('a' AS BINARY) AND `g` = 5 LIMIT 1;");
    assert_string_equal(statement(false, WB_UPDATE, true, part, none, WB_OK),
                        "UPDATE `s`.`t` SET `v``x` = 'b' WHERE `id` = 1 LIMIT 1;");
    assert_string_equal(statement(true, WB_DELETE, true, old, NULL, WB_OK),
                        "INSERT INTO `s`.`t` (`id`, `v``x`) VALUES (1, 'a');");
    assert_non_null(
        strstr(statement(true, WB_DELETE, true, part, NULL, WB_E_UNSUPPORTED), "The DELETE of table s.t at b.1:77"));
    assert_non_null(strstr(statement(true, WB_UPDATE, true, part, none, WB_E_UNSUPPORTED), "binlog_row_image"));
    assert_non_null(strstr(statement(false, WB_INSERT, true, NULL, part, WB_E_UNSUPPORTED), "binlog_row_image"));
    assert_non_null(strstr(statement(false, WB_DELETE, false, part, NULL, WB_E_UNSUPPORTED), "binlog_row_image"));
    assert_non_null(strstr(statement(true, WB_TRUNCATE, true, NULL, NULL, WB_E_UNSUPPORTED), "TRUNCATE of table s.t"));
    assert_string_equal(statement(false, WB_TRUNCATE, true, NULL, NULL, WB_OK), "TRUNCATE TABLE `s`.`t`;");
}

static const char *of_schema(bool undo, wb_ddl d, wb_code want)
{
    static char text[600];
    const wb_table proto = {.schema = {"g", 1}, .source_schema = {"g", 1}};
    wb_table *t = wb_table_new(&proto);
    wb_txn txn = {.log = {"b.1", 3}, .at = {"x", 1}};
    wb_change c = {.op = WB_DDL, .table = t, .ddl = &d, .place = 77};
    char ctx[256] = {0};
    wb_out o = {0};
    wb_error err = {0};
    memcpy(ctx + wb_format_sql.head.options[0].offset, &undo, sizeof undo);
    assert_int_equal(wb_format_sql.row(ctx, &txn, &c, &o, &err), want);
    wb_out_byte(&o, 0);
    const char *line = want != WB_OK ? err.message : strchr(o.p, '\n') ? strchr(o.p, '\n') + 1 : "";
    snprintf(text, sizeof text, "%s", line);
    wb_out_fini(&o);
    wb_format_sql.close(ctx);
    wb_table_unref(t);
    return text;
}

static void schemas(void **state)
{
    (void)state;
    wb_ddl drop = {.kind = WB_DDL_DROP, .sql = WB_STR("drop database g")};
    assert_string_equal(of_schema(false, drop, WB_OK), "drop database g\n;");
    assert_non_null(strstr(of_schema(true, drop, WB_E_UNSUPPORTED), "The DROP of database g at b.1:77"));
    drop.flags = WB_DDL_WIDER;
    assert_non_null(strstr(of_schema(false, drop, WB_E_UNSUPPORTED), "not asked for"));
    drop.flags = WB_DDL_PART;
    assert_string_equal(of_schema(false, drop, WB_OK), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(literals), cmocka_unit_test(json_that_text_loses_is_refused),
                                       cmocka_unit_test(statements), cmocka_unit_test(schemas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
