/* The format maxwell against the shapes that Maxwell's documentation publishes (docs/dataformat, docs/bootstrapping).
 */
#include "formats_help.h"

#include "formats/maxwell.h"

extern const wb_format wb_format_maxwell;

static wb_table *table_e(void)
{
    wb_column cols[] = {column("id", "int(10)", WB_INT, WB_COL_KEY), column("m", "double", WB_FLOAT, 0),
                        column("c", "timestamp(6)", WB_TIMESTAMPTZ, 0), column("comment", "varchar(255)", WB_TEXT, 0)};
    const uint16_t key[] = {0};
    return table_of("test", "e", cols, 4, key, 1);
}

static const wb_txn the_txn = {.id = {"23396", 5},
                               .log = {"master.000006", 13},
                               .commit_us = INT64_C(1477053217) * 1000000,
                               .flags = WB_TXN_END,
                               .server_id = 23042,
                               .thread = 108};

static maxwell *open_it(maxwell o)
{
    maxwell *m = malloc(sizeof *m);
    *m = o;
    wb_format_maxwell.about(m, "mysql");
    return m;
}

static void close_it(maxwell *m)
{
    wb_format_maxwell.close(m);
    wb_format_maxwell.close(m);
    free(m);
}

/* want: pairs of key and value, NULL-ended. */
static void expect(maxwell *m, const wb_txn *txn, const wb_change *c, const char *const *want)
{
    wb_messages out;
    wb_error err;
    wb_error_reset(&err);
    size_t n = 0;
    while (want[2 * n]) n++;
    wb_code code = wb_format_maxwell.messages(m, txn, c, &out, &err);
    if (code != WB_OK) fail_msg("%s", err.message);
    assert_int_equal(out.n, n);
    for (size_t i = 0; i < n; i++) {
        char text[4096];
        snprintf(text, sizeof text, "%.*s", (int)out.items[i].key.len, out.items[i].key.ptr);
        assert_string_equal(text, want[2 * i]);
        snprintf(text, sizeof text, "%.*s", (int)out.items[i].value.len, out.items[i].value.ptr);
        assert_string_equal(text, want[2 * i + 1]);
        assert_null(out.items[i].topic.ptr);
    }
}
#define EXPECT(m, txn, c, ...) expect(m, txn, c, (const char *const[]){__VA_ARGS__, NULL, NULL})

static wb_value at(const char *z) { return text(WB_TIMESTAMPTZ, z); }

/* The page's INSERT, UPDATE and DELETE, byte for byte but for their blanks. */
static void test_published_rows(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table_e();
    maxwell *m =
        open_it((maxwell){.commit_info = true, .position = true, .server_id = true, .thread_id = true, .nulls = true});
    wb_value first[] = {number(WB_INT, 1), real(4.2341), at("2016-10-21 05:33:37.523+00"),
                        text(WB_TEXT, "I am a creature of light.")};
    wb_value second[] = {number(WB_INT, 1), real(5.444), at("2016-10-21 05:33:54.631+00"), first[3]};
    wb_change changes[] = {
        {.op = WB_INSERT, .table = t, .after = first, .place = 800911, .targets = 1},
        {.op = WB_UPDATE, .table = t, .before = first, .after = second, .place = 800912, .targets = 1},
        {.op = WB_DELETE, .table = t, .before = second, .place = 800913, .targets = 1}};
#define KEY "{\"database\":\"test\",\"table\":\"e\",\"pk.id\":1}"
#define HEAD(type) "{\"database\":\"test\",\"table\":\"e\",\"type\":\"" type "\",\"ts\":1477053217,\"xid\":23396,"
#define TAIL(place) "\"position\":\"master.000006:" place "\",\"server_id\":23042,\"thread_id\":108,"
    for (int i = 0; i < 3; i++) { /* each in a transaction of its own */
        wb_view v = {.changes = &changes[i], .nchanges = 1, .txns = &the_txn, .ntxns = 1, .bit = 1};
        wb_format_maxwell.view(m, &v);
        const char *const want[3] = {
            HEAD("insert") "\"commit\":true," TAIL(
                "800911") "\"data\":{\"id\":1,\"m\":4.2341,\"c\":\"2016-10-21 "
                          "05:33:37.523000\",\"comment\":\"I am a creature of light.\"}}",
            HEAD("update") "\"commit\":true," TAIL(
                "800912") "\"data\":{\"id\":1,\"m\":5.444,\"c\":\"2016-10-21 05:33:54.631000\",\"comment\":\"I am a "
                          "creature "
                          "of light.\"},\"old\":{\"m\":4.2341,\"c\":\"2016-10-21 05:33:37.523000\"}}",
            HEAD("delete") "\"commit\":true," TAIL(
                "800913") "\"data\":{\"id\":1,\"m\":5.444,\"c\":\"2016-10-21 "
                          "05:33:54.631000\",\"comment\":\"I am a creature of light.\"}}"};
        EXPECT(m, &the_txn, &changes[i], KEY, want[i]);
    }
    close_it(m);
    wb_table_unref(t);
}

/* commit: on the last row that this target gets, whatever comes after it that is not shown; xoffset on the others. */
static void test_commit(void **state)
{
    WB_UNUSED(state);
    wb_table *t = table_e();
    wb_value row[] = {number(WB_INT, 1), kind(WB_NULL), kind(WB_NULL), kind(WB_NULL)};
    wb_txn txns[] = {the_txn, the_txn};
    wb_change c[] = {{.op = WB_INSERT, .table = t, .after = row, .targets = 1},
                     {.op = WB_INSERT, .table = t, .after = row, .targets = 1, .ordinal = 1},
                     {.op = WB_INSERT, .table = t, .after = row, .targets = 2, .ordinal = 2}, /* another target's */
                     {.op = WB_TRUNCATE, .table = t, .targets = 1, .ordinal = 3},
                     {.op = WB_INSERT, .table = t, .after = row, .targets = 1, .txn = 1}};
    wb_view v = {.changes = c, .nchanges = 5, .txns = txns, .ntxns = 2, .bit = 1};
    maxwell *m = open_it((maxwell){.commit_info = true, .xoffset = true});
    wb_format_maxwell.view(m, &v);
    EXPECT(m, txns, &c[0], KEY, HEAD("insert") "\"xoffset\":0,\"data\":{\"id\":1}}");
    EXPECT(m, txns, &c[1], KEY, HEAD("insert") "\"commit\":true,\"data\":{\"id\":1}}");
    EXPECT(m, txns, &c[3], NULL);
    EXPECT(m, txns, &c[4], KEY, HEAD("insert") "\"commit\":true,\"data\":{\"id\":1}}");
    txns[1].flags = 0; /* goes on in the next view */
    EXPECT(m, txns, &c[4], KEY, HEAD("insert") "\"xoffset\":0,\"data\":{\"id\":1}}");
    EXPECT(m, txns, NULL, NULL);
    close_it(m);
    wb_table_unref(t);
}

static void test_bootstrap(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("txt", "varchar(255)", WB_TEXT, 0)};
    wb_table *t = table_of("fooDB", "barTable", cols, 1, NULL, 0);
    wb_value hello[] = {text(WB_TEXT, "hello")}, bang[] = {text(WB_TEXT, "bootstrap!")};
    wb_txn txn = {.commit_us = INT64_C(1450557744) * 1000000};
    wb_change c = {.op = WB_READ, .table = t, .after = hello, .flags = WB_C_FIRST_OF_TABLE};
    maxwell *m = open_it((maxwell){.commit_info = true, .nulls = true});
#define FOO(type, data)                                                                                                \
    "{\"database\":\"fooDB\",\"table\":\"barTable\",\"type\":\"bootstrap-" type "\",\"ts\":1450557744,\"data\":" data  \
    "}"
#define NOKEY "{\"database\":\"fooDB\",\"table\":\"barTable\",\"_uuid\":\"\"}"
    EXPECT(m, &txn, &c, NOKEY, FOO("start", "{}"), NOKEY, FOO("insert", "{\"txt\":\"hello\"}"));
    c = (wb_change){.op = WB_READ, .table = t, .after = bang, .flags = WB_C_LAST_OF_TABLE};
    EXPECT(m, &txn, &c, NOKEY, FOO("insert", "{\"txt\":\"bootstrap!\"}"), NOKEY, FOO("complete", "{}"));
    c = (wb_change){.op = WB_READ, .table = t, .flags = WB_C_FIRST_OF_TABLE | WB_C_LAST_OF_TABLE}; /* an empty table */
    EXPECT(m, &txn, &c, NOKEY, FOO("start", "{}"), NOKEY, FOO("complete", "{}"));
    close_it(m);
    wb_table_unref(t);
}

/* The page's ALTER TABLE, without the character sets that nobody tells us. */
static void test_published_ddl(void **state)
{
    WB_UNUSED(state);
    wb_table *before = table_e();
    wb_column cols[] = {column("id", "int(10)", WB_INT, WB_COL_KEY), column("m", "double", WB_FLOAT, 0),
                        column("torvalds", "bigint(20) unsigned", WB_UINT, 0),
                        column("c", "timestamp(6)", WB_TIMESTAMPTZ, 0), column("comment", "varchar(255)", WB_TEXT, 0)};
    const uint16_t key[] = {0};
    wb_table *after = table_of("test", "e", cols, 5, key, 1);
    wb_ddl d = {.kind = WB_DDL_ALTER,
                .before = before,
                .after = after,
                .sql = WB_STR("alter table test.e add column torvalds bigint unsigned after m")};
    wb_change c = {.op = WB_DDL, .table = after, .ddl = &d, .place = 804398};
    wb_txn txn = the_txn;
    txn.commit_us = INT64_C(1477053308000) * 1000;
#define C1 "{\"type\":\"int\",\"name\":\"id\",\"signed\":true},{\"type\":\"double\",\"name\":\"m\"},"
#define C2 "{\"type\":\"timestamp\",\"name\":\"c\",\"column-length\":6},{\"type\":\"varchar\",\"name\":\"comment\"}"
#define DEF(middle) "{\"database\":\"test\",\"table\":\"e\",\"columns\":[" C1 middle C2 "],\"primary-key\":[\"id\"]}"
    maxwell *m = open_it((maxwell){.ddl = true, .position = true});
    EXPECT(
        m, &txn, &c, "{\"database\":\"test\"}",
        "{\"type\":\"table-alter\",\"database\":\"test\",\"table\":\"e\",\"old\":" DEF("") ",\"def\":" DEF(
            "{\"type\":\"bigint\",\"name\":\"torvalds\",\"signed\":false},") ",\"ts\":1477053308000,\"sql\":\"alter "
                                                                             "table "
                                                                             "test.e add column torvalds bigint "
                                                                             "unsigned "
                                                                             "after m\",\"position\":\"master.000006:"
                                                                             "804398\"}");
    d.kind = WB_DDL_DROP;
    d.sql = WB_STR("drop table test.e");
    EXPECT(m, &txn, &c, "{\"database\":\"test\"}",
           "{\"type\":\"table-drop\",\"database\":\"test\",\"table\":\"e\",\"ts\":1477053308000,\"sql\":\"drop table "
           "test.e\",\"position\":\"master.000006:804398\"}");
    d.flags = WB_DDL_PART; /* it went with its database */
    EXPECT(m, &txn, &c, NULL);
    wb_table *shop = table_of("shop", "", NULL, 0, NULL, 0);
    c.table = shop;
    static const struct {
        wb_ddl_kind kind;
        const char *type;
    } kinds[] = {{WB_DDL_CREATE, "create"}, {WB_DDL_ALTER, "alter"}, {WB_DDL_DROP, "drop"}};
    for (size_t i = 0; i < WB_COUNT(kinds); i++) {
        char want[200];
        d = (wb_ddl){.kind = (uint8_t)kinds[i].kind, .before = shop, .after = shop, .sql = WB_STR("... database shop")};
        snprintf(want, sizeof want,
                 "{\"type\":\"database-%s\",\"database\":\"shop\",\"ts\":1477053308000,\"sql\":\"... database "
                 "shop\",\"position\":\"master.000006:804398\"}",
                 kinds[i].type);
        EXPECT(m, &txn, &c, "{\"database\":\"shop\"}", want);
    }
    wb_table_unref(shop);
    close_it(m);
    m = open_it((maxwell){.commit_info = true}); /* not asked for */
    EXPECT(m, &txn, &c, NULL);
    close_it(m);
    wb_table_unref(before);
    wb_table_unref(after);
}

static void value_is(bool mysql, const char *type, wb_kind k, const char *labels, wb_value v, const char *want)
{
    wb_column col = column("x", type, k, 0);
    col.labels = wb_str_of(labels);
    maxwell m = {.mysql = mysql};
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    assert_int_equal(mx_put_value(&m, &col, &v, &o, &err), WB_OK);
    wb_out_byte(&o, 0);
    assert_string_equal(o.p, want);
    wb_out_fini(&o);
}

static void test_values(void **state)
{
    WB_UNUSED(state);
    value_is(true, "decimal(30,2)", WB_DECIMAL, "", text(WB_DECIMAL, "-12345678901234567890.10"),
             "-12345678901234567890.10");
    value_is(false, "numeric", WB_DECIMAL, "", text(WB_DECIMAL, "NaN"), "\"NaN\"");
    value_is(true, "decimal(2,2)", WB_DECIMAL, "", text(WB_DECIMAL, ".5"), "\".5\"");
    value_is(true, "datetime", WB_TIMESTAMP, "", text(WB_TIMESTAMP, "2024-02-29 10:00:00"), "\"2024-02-29 10:00:00\"");
    value_is(true, "datetime(3)", WB_TIMESTAMP, "", number(WB_TIMESTAMP, 500000), "\"1970-01-01 00:00:00.500\"");
    value_is(true, "datetime(6)", WB_TIMESTAMP, "", number(WB_TIMESTAMP, 0), "\"1970-01-01 00:00:00.000000\"");
    value_is(true, "timestamp", WB_TIMESTAMPTZ, "", number(WB_TIMESTAMPTZ, 1000000), "\"1970-01-01 00:00:01\"");
    value_is(false, "timestamptz", WB_TIMESTAMPTZ, "", at("2024-01-01 00:00:00.25+00"), "\"2024-01-01 00:00:00.25\"");
    value_is(true, "datetime", WB_TIMESTAMP, "", text(WB_OTHER, "0000-00-00 00:00:00"), "\"0000-00-00 00:00:00\"");
    value_is(true, "date", WB_DATE, "", number(WB_DATE, 0), "\"1970-01-01\"");
    value_is(true, "time(2)", WB_TIME, "", number(WB_TIME, 3600500000), "\"01:00:00.50\"");
    value_is(true, "set('a_val','b_val','c_val')", WB_TEXT, "a_val\1b_val\1c_val", text(WB_TEXT, "b_val,c_val"),
             "[\"b_val\",\"c_val\"]");
    value_is(true, "set('a','b')", WB_TEXT, "a\1b", text(WB_TEXT, ""), "[]");
    value_is(true, "enum('a','b')", WB_TEXT, "a\1b", text(WB_TEXT, "a"), "\"a\"");
    value_is(true, "blob", WB_BYTES, "", raw("\xff\x00", 2), "\"/wA=\"");
    value_is(true, "bigint(20) unsigned", WB_UINT, "", (wb_value){.kind = WB_UINT, .as.u = UINT64_MAX},
             "18446744073709551615");
    value_is(true, "json", WB_JSON, "", text(WB_JSON, "{\"a\": [1, 2]}"), "{\"a\": [1, 2]}");
}

/* Keys, primary keys, nulls; the two ways of keys. */
static void test_options(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("A", "int", WB_INT, WB_COL_KEY), column("b", "text", WB_TEXT, WB_COL_KEY),
                        column("n", "text", WB_TEXT, 0)};
    const uint16_t key[] = {1, 0};
    wb_table *t = table_of("d", "t", cols, 3, key, 2);
    wb_value old[] = {number(WB_INT, 1), text(WB_TEXT, "x"), kind(WB_ABSENT)};
    wb_value row[] = {number(WB_INT, 2), text(WB_TEXT, "x"), kind(WB_NULL)};
    wb_change c = {.op = WB_UPDATE, .table = t, .before = old, .after = row, .place = 5, .flags = WB_C_KEY_CHANGED};
    wb_txn txn = {.id = WB_STR("uuid:7"), .global_id = WB_STR("uuid:7"), .log = WB_STR("f"), .commit_us = 1000000};
    maxwell *m = open_it((maxwell){
        .commit_info = true, .pk = true, .pk_columns = true, .gtid = true, .nulls = true, .key_format = MX_ARRAY});
    EXPECT(m, &txn, &c, "[\"d\",\"t\",[{\"b\":\"x\"},{\"a\":2}]]",
           "{\"database\":\"d\",\"table\":\"t\",\"type\":\"update\",\"ts\":1,\"gtid\":\"uuid:7\",\"primary_key\":["
           "\"x\",2],"
           "\"primary_key_columns\":[\"b\",\"A\"],\"data\":{\"A\":2,\"b\":\"x\",\"n\":null},\"old\":{\"A\":1}}");
    close_it(m);
    wb_table_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_rows), cmocka_unit_test(test_commit), cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_published_ddl),  cmocka_unit_test(test_values), cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
