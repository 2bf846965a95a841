/* formats_debezium_test.c: what the golden cases (tests/e2e/test_debezium.py) do not reach: odd text, refusals, headers
 * that outlive each other, several transactions, and every conversion on its own. */
#include "formats_help.h"

#include "base/options.h"
#include "formats/debezium.h"

typedef struct rig {
    const wb_format *format;
    wb_arena arena;
    dbz *d;
    wb_error err;
} rig;

static rig *open_rig(const wb_format *f, const char *const *opts)
{
    rig *r = calloc(1, sizeof *r);
    r->format = f;
    wb_arena_init(&r->arena, 4096, 0);
    r->d = wb_arena_zalloc(&r->arena, f->head.ctx_size);
    assert_int_equal(wb_options_parse(f->head.options, r->d, NULL, NULL, "format", &r->arena, &r->err), WB_OK);
    for (; opts && opts[0]; opts += 2)
        for (const wb_option *o = f->head.options; o->name; o++)
            if (strcmp(o->name, opts[0]) == 0)
                assert_int_equal(wb_option_set(o, r->d, opts[1], &r->arena, &r->err), WB_OK);
    f->about(r->d, "postgres");
    assert_int_equal(f->open(r->d, "shop", &r->err), WB_OK);
    return r;
}

static void close_rig(rig *r)
{
    r->format->close(r->d);
    r->format->close(r->d);
    wb_arena_fini(&r->arena);
    free(r);
}

static void expect_json(rig *r, dbz_conv conv, int scale, wb_value v, const char *want)
{
    dbz_field f = {.conv = (uint8_t)conv, .scale = (int16_t)scale, .digits = 6, .type = "x"};
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    wb_code code = dbz_put(r->d, &f, &v, &o, &err);
    wb_out_byte(&o, 0);
    if (want) {
        assert_int_equal(code, WB_OK);
        assert_string_equal(o.p, want);
    } else {
        assert_int_equal(code, WB_E_DATA);
        assert_int_equal(err.next, WB_POISON);
    }
    wb_out_fini(&o);
}

/* As Java's Double.toString and Jackson's strings: keys are hashed by their bytes. */
static void test_bytes_of_java(void **state)
{
    WB_UNUSED(state);
    static const char *const numbers[][2] = {
        {"1", "1.0"},
        {"0", "0.0"},
        {"-0", "-0.0"},
        {"100", "100.0"},
        {"0.001", "0.001"},
        {"0.0010000000000000009", "0.0010000000000000009"},
        {"0.0001", "1.0E-4"},
        {"9999999.999", "9999999.999"},
        {"10000000", "1.0E7"},
        {"9999999999", "9.999999999E9"},
        {"1e+20", "1.0E20"},
        {"-1e-10", "-1.0E-10"},
        {"1.2345678901234568e+29", "1.2345678901234568E29"},
        {"5e-324", "4.9E-324"},
        {"1.7976931348623157e+308", "1.7976931348623157E308"},
        {"-92233720368547760", "-9.223372036854776E16"},
        {"NaN", "\"NaN\""},
        {"-Infinity", "\"-Infinity\""},
    };
    rig *r = open_rig(&wb_format_debezium, NULL);
    for (size_t i = 0; i < WB_COUNT(numbers); i++)
        expect_json(r, DBZ_PLAIN, 0, text(WB_FLOAT, numbers[i][0]), numbers[i][1]);
    wb_value f = {.kind = WB_FLOAT, .as.f = 1e10};
    expect_json(r, DBZ_PLAIN, 0, f, "1.0E10");
    static const char *const texts[][2] = {
        {"plain text of more than sixteen bytes", "\"plain text of more than sixteen bytes\""},
        {"\x1a\x01\n\"", "\"\\u001A\\u0001\\n\\\"\""},
        {"caf\xc3\xa9 \xe2\x82\xac", "\"caf\xc3\xa9 \xe2\x82\xac\""},
        {"a\xf0\x9f\x8e\x89z", "\"a\\uD83C\\uDF89z\""},
        {"a\xf0\x9f\x8e", "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf4\x8f\xbf\xbf", "\"\\uDBFF\\uDFFF\""},
    };
    for (size_t i = 0; i < WB_COUNT(texts); i++) expect_json(r, DBZ_QUOTED, 0, text(WB_TEXT, texts[i][0]), texts[i][1]);
    close_rig(r);
}

static void test_decimals(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    static const struct {
        const char *in, *out;
        int scale;
    } fixed[] = {{"0", "\"AA==\"", 0},
                 {"-1", "\"/w==\"", 0},
                 {"127", "\"fw==\"", 0},
                 {"128", "\"AIA=\"", 0},
                 {"-128", "\"gA==\"", 0},
                 {"-129", "\"/38=\"", 0},
                 {"1.5", "\"AJY=\"", 2},
                 {"12000", "\"DA==\"", -3},
                 {"0.00", "\"AA==\"", 2},
                 {"9223372036854775808", "\"AIAAAAAAAAAA\"", 0},
                 {"-9223372036854775808", "\"gAAAAAAAAAA=\"", 0},
                 {"18446744073709551616", "\"AQAAAAAAAAAA\"", 0},
                 {"-18446744073709551616", "\"/wAAAAAAAAAA\"", 0},
                 {"NaN", "null", 2},
                 {"x", NULL, 0},
                 {"1.555", NULL, 2},
                 {"-", NULL, 0},
                 {"", NULL, 0},
                 {"1.2.3", NULL, 2}};
    for (size_t i = 0; i < WB_COUNT(fixed); i++)
        expect_json(r, DBZ_UNSCALED, fixed[i].scale, text(WB_DECIMAL, fixed[i].in), fixed[i].out);
    expect_json(r, DBZ_SCALED, 0, text(WB_DECIMAL, "1.50"), "{\"scale\":1,\"value\":\"Dw==\"}");
    expect_json(r, DBZ_SCALED, 0, text(WB_DECIMAL, "100"), "{\"scale\":0,\"value\":\"ZA==\"}");
    expect_json(r, DBZ_SCALED, 0, text(WB_DECIMAL, "0.00000000001"), "{\"scale\":11,\"value\":\"AQ==\"}");
    expect_json(r, DBZ_DECIMAL_TEXT, 0, text(WB_DECIMAL, "-Infinity"), "\"NEGATIVE_INFINITY\"");
    expect_json(r, DBZ_DECIMAL_DOUBLE, 0, text(WB_DECIMAL, "0.1"), "0.1");
    expect_json(r, DBZ_LONG_WRAP, 0, text(WB_UINT, "18446744073709551615"), "-1");
    close_rig(r);
}

/* A number of 5,000 digits there and back. */
static void test_long_decimal(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    char digits[5001];
    memset(digits, '9', 5000);
    digits[5000] = 0;
    dbz_field f = {.conv = DBZ_UNSCALED};
    wb_value v = text(WB_DECIMAL, digits);
    wb_out o = {0};
    assert_int_equal(dbz_put(r->d, &f, &v, &o, &r->err), WB_OK);
    /* 5000 * log2(10) = 16609.6 bits and a sign: 2077 bytes, 2772 characters */
    assert_int_equal(o.len, 2772 + 2);
    wb_out_fini(&o);
    close_rig(r);
}

static void test_times(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    expect_json(r, DBZ_DATE, 0, text(WB_DATE, "1970-01-02"), "1");
    expect_json(r, DBZ_DATE, 0, text(WB_OTHER, "0001-12-31 BC"), "-719163");
    expect_json(r, DBZ_DATE, 0, number(WB_DATE, -5), "-5");
    expect_json(r, DBZ_DATE, 0, text(WB_OTHER, "-infinity"), "-2147483648");
    expect_json(r, DBZ_DATE, 0, text(WB_DATE, "yesterday"), NULL);
    expect_json(r, DBZ_DATE, 0, text(WB_DATE, "2024-13-01"), NULL);
    expect_json(r, DBZ_TIME, 1, text(WB_OTHER, "24:00:00"), "86400000000");
    expect_json(r, DBZ_TIME, -1000, text(WB_TIME, "00:00:00.001999"), "1");
    expect_json(r, DBZ_STAMP, -1000, text(WB_TIMESTAMP, "1969-12-31 23:59:59.999999"), "-1");
    expect_json(r, DBZ_STAMP, 1000, text(WB_TIMESTAMP, "2300-01-01 00:00:00"), "null");
    expect_json(r, DBZ_STAMP, 1, number(WB_TIMESTAMP, 7), "7");
    expect_json(r, DBZ_ZONED, 0, text(WB_OTHER, "infinity"), "\"infinity\"");
    expect_json(r, DBZ_ZONED, 0, text(WB_TIMESTAMPTZ, "2024-02-29 10:00:00.5+00"), "\"2024-02-29T10:00:00.500000Z\"");
    expect_json(r, DBZ_ZONED_TIME, 0, text(WB_OTHER, "23:30:00-01"), "\"00:30:00Z\"");
    expect_json(r, DBZ_ZONED_TIME, 0, text(WB_OTHER, "10:00"), NULL);
    expect_json(r, DBZ_INTERVAL, 0, text(WB_INTERVAL, "-1 days +02:03:04"), "-79016000000");
    expect_json(r, DBZ_INTERVAL, 0, text(WB_INTERVAL, "178000000 years"), "9223372036854775807");
    expect_json(r, DBZ_INTERVAL, 0, text(WB_INTERVAL, "3 apples"), NULL);
    expect_json(r, DBZ_INTERVAL_ISO, 0, text(WB_INTERVAL, "1 day -00:00:00.000001"), "\"P0Y0M1DT0H0M-0.000001S\"");
    close_rig(r);
}

static void test_text_forms(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    expect_json(r, DBZ_BITS, 0, text(WB_OTHER, "100000001"), "\"AQE=\"");
    expect_json(r, DBZ_BITS, 0, text(WB_OTHER, "0000"), "\"\"");
    expect_json(r, DBZ_BITS, 0, text(WB_OTHER, "12"), NULL);
    expect_json(r, DBZ_BIT, 0, text(WB_OTHER, "1"), "true");
    expect_json(r, DBZ_HSTORE_MAP, 0, text(WB_OTHER, "\"a\\\"b\"=>\"1\", \"c\"=>NULL"),
                "{\"a\\\"b\":\"1\",\"c\":null}");
    expect_json(r, DBZ_HSTORE_JSON, 0, text(WB_OTHER, ""), "\"{}\"");
    expect_json(r, DBZ_HSTORE_MAP, 0, text(WB_OTHER, "\"a\"=>"), NULL);
    expect_json(r, DBZ_HSTORE_MAP, 0, text(WB_OTHER, "\"a"), NULL);
    expect_json(r, DBZ_LINE, 0, text(WB_OTHER, "{1,-2.5,1e-05}"), "{\"a\":1.0,\"b\":-2.5,\"c\":1.0E-5}");
    expect_json(r, DBZ_POINT, 0, text(WB_OTHER, "(1)"), NULL);
    expect_json(r, DBZ_POLYGON, 0, text(WB_OTHER, "oops"), NULL);
    dbz_field f = {.conv = DBZ_ARRAY, .of = DBZ_PLAIN, .kind = WB_INT, .type = "int32"};
    static const char *const good[][2] = {
        {"{}", "[]"}, {"{1,NULL,3}", "[1,null,3]"}, {"[0:1]={7,8}", "[7,8]"}, {"{{1},{2}}", "[[1],[2]]"}};
    static const char *const bad[] = {"", "{", "{1", "{1,", "{1}x", "{1,}", "[0:1]", "{{{{{{{{{1}}}}}}}}}"};
    for (size_t i = 0; i < WB_COUNT(good); i++) {
        wb_out o = {0};
        wb_value v = text(WB_ARRAY, good[i][0]);
        assert_int_equal(dbz_put(r->d, &f, &v, &o, &r->err), WB_OK);
        wb_out_byte(&o, 0);
        assert_string_equal(o.p, good[i][1]);
        wb_out_fini(&o);
    }
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_out o = {0};
        wb_error err;
        wb_error_reset(&err);
        wb_value v = text(WB_ARRAY, bad[i]);
        assert_int_equal(dbz_put(r->d, &f, &v, &o, &err), WB_E_DATA);
        wb_out_fini(&o);
    }
    close_rig(r);
}

/* ---------------------------------------------------------------- messages */

static wb_table *people(const char *name)
{
    wb_column cols[] = {column("id", "bigint", WB_INT, WB_COL_KEY | WB_COL_NOT_NULL),
                        column("name", "text", WB_TEXT, 0)};
    const uint16_t key[] = {0};
    cols[0].type_id = cols[0].base_id = 20;
    cols[1].type_id = cols[1].base_id = 25;
    return table_of("public", name, cols, 2, key, 1);
}

static const uint8_t commit[] = {0, 0, 0, 0, 0, 0, 1, 0};
static const wb_txn shop_txn = {.id = {"7", 1},
                                .database = {"shopdb", 6},
                                .commit_us = 1500000,
                                .at = {commit, 8},
                                .end = {commit, 8},
                                .flags = WB_TXN_BEGIN | WB_TXN_END};

static wb_messages send(rig *r, const wb_txn *txn, const wb_change *c)
{
    wb_messages list;
    wb_error_reset(&r->err);
    if (r->format->messages(r->d, txn, c, &list, &r->err) != WB_OK) fail_msg("messages: %s", r->err.message);
    return list;
}

static void expect_str(wb_str got, const char *want)
{
    if (!want) {
        assert_null(got.ptr);
        return;
    }
    assert_non_null(got.ptr);
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

static wb_str header(const wb_message *m, const char *name)
{
    for (size_t i = 0; i < m->nheaders; i++)
        if (wb_str_is(m->headers[i].name, name)) return m->headers[i].value;
    fail_msg("no header %s", name);
    return (wb_str){NULL, 0};
}

static void test_changed_key(void **state)
{
    WB_UNUSED(state);
    const char *opts[] = {"headers", "false", NULL};
    rig *r = open_rig(&wb_format_debezium, opts);
    wb_table *t = people("people");
    wb_value old[] = {text(WB_INT, "1"), kind(WB_ABSENT)}, row[] = {text(WB_INT, "2"), text(WB_TEXT, "Ann")};
    wb_change c = {.op = WB_UPDATE, .table = t, .before = old, .after = row, .place = 77};
    wb_messages m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 3);
    for (size_t i = 0; i < 3; i++) expect_str(m.items[i].topic, "shop.public.people");
    expect_str(m.items[0].key, "{\"id\":1}");
    expect_str(m.items[1].key, "{\"id\":1}");
    expect_str(m.items[1].value, NULL);
    expect_str(m.items[2].key, "{\"id\":2}");
    expect_str(header(&m.items[0], "__debezium.newkey"), "{\"id\":2}");
    expect_str(header(&m.items[2], "__debezium.oldkey"), "{\"id\":1}");
    old[0] = row[0]; /* the same key: one message */
    assert_int_equal(send(r, &shop_txn, &c).n, 1);
    c.before = NULL;
    m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 1);
    assert_non_null(
        strstr(m.items[0].value.ptr, "{\"before\":null,\"after\":{\"id\":2,\"name\":\"Ann\"},\"source\":{"));
    assert_non_null(strstr(m.items[0].value.ptr, "\"db\":\"shopdb\",\"sequence\":\"[null,\\\"77\\\"]\""));
    wb_table_unref(t);
    close_rig(r);
}

static void test_what_was_not_sent(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    wb_table *t = people("people");
    wb_value row[] = {text(WB_INT, "2"), kind(WB_UNCHANGED)}, old[] = {text(WB_INT, "2"), kind(WB_ABSENT)};
    wb_change c = {.op = WB_UPDATE, .table = t, .after = row};
    assert_non_null(strstr(send(r, &shop_txn, &c).items[0].value.ptr, "\"name\":\"__debezium_unavailable_value\""));
    c = (wb_change){.op = WB_DELETE, .table = t, .before = old};
    wb_messages m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 2);
    assert_non_null(strstr(m.items[0].value.ptr, "{\"before\":{\"id\":2,\"name\":null},\"after\":null"));
    c = (wb_change){.op = WB_READ, .table = t}; /* an empty table */
    assert_int_equal(send(r, &shop_txn, &c).n, 0);
    c = (wb_change){.op = WB_TRUNCATE, .table = t}; /* skipped by default */
    assert_int_equal(send(r, &shop_txn, &c).n, 0);
    c = (wb_change){.op = WB_DDL, .table = t};
    assert_int_equal(send(r, &shop_txn, &c).n, 0);
    wb_table_unref(t);
    close_rig(r);
}

/* As tests/golden/debezium has it of CREATE and DROP DATABASE: one message, without changes of tables. */
static void test_changes_of_schemas(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    r->format->close(r->d);
    r->format->about(r->d, "mysql");
    assert_int_equal(r->format->open(r->d, "shop", &r->err), WB_OK);
    wb_table *none = table_of("shop2", "", NULL, 0, NULL, 0), *t = people("people");
    wb_txn txn = {.id = WB_STR("b.1:4"), .log = WB_STR("b.1"), .commit_us = 1709200800123456};
    wb_ddl d = {.kind = WB_DDL_DROP, .flags = WB_DDL_PART, .before = t, .sql = WB_STR("DROP DATABASE shop2")};
    wb_change c = {.op = WB_DDL, .table = t, .ddl = &d, .place = 77};
    assert_int_equal(send(r, &txn, &c).n, 0);
    d = (wb_ddl){.kind = WB_DDL_DROP, .before = none, .sql = WB_STR("DROP DATABASE shop2")};
    c.table = none;
    wb_messages m = send(r, &txn, &c);
    assert_int_equal(m.n, 1);
    assert_true(m.items[0].aside);
    expect_str(m.items[0].topic, "shop");
    expect_str(m.items[0].key, "{\"databaseName\":\"shop2\"}");
    assert_non_null(strstr(m.items[0].value.ptr, "\"db\":\"shop2\",\"sequence\":null"));
    assert_non_null(strstr(m.items[0].value.ptr, ",\"table\":null,\"server_id\":"));
    assert_non_null(strstr(m.items[0].value.ptr,
                           "\"databaseName\":\"shop2\",\"schemaName\":null,\"ddl\":\"DROP DATABASE "
                           "shop2\",\"tableChanges\":[]}"));
    wb_table_unref(none);
    wb_table_unref(t);
    close_rig(r);
}

/* Begin with the first event, end with the end, nothing for a transaction without events. */
static void test_transactions(void **state)
{
    WB_UNUSED(state);
    const char *opts[] = {"transaction_metadata", "true", NULL};
    rig *r = open_rig(&wb_format_debezium, opts);
    wb_table *t = people("people");
    wb_value row[] = {text(WB_INT, "2"), kind(WB_NULL)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    assert_int_equal(send(r, &shop_txn, NULL).n, 0);
    wb_messages m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 2);
    expect_str(m.items[0].topic, "shop.transaction");
    expect_str(m.items[0].key, "{\"id\":\"7:256\"}");
    wb_txn later = shop_txn; /* the same one, in another batch */
    m = send(r, &later, &c);
    assert_int_equal(m.n, 1);
    assert_non_null(strstr(m.items[0].value.ptr,
                           "\"transaction\":{\"id\":\"7:256\",\"total_order\":2,\"data_collection_order\":2}"));
    m = send(r, &shop_txn, NULL);
    assert_int_equal(m.n, 1);
    assert_non_null(strstr(m.items[0].value.ptr,
                           "\"status\":\"END\",\"id\":\"7:256\",\"event_count\":2,\"data_collections\":"
                           "[{\"data_collection\":\"public.people\",\"event_count\":2}]"));
    assert_int_equal(send(r, &shop_txn, NULL).n, 0);
    wb_table_unref(t);
    close_rig(r);
}

/* Headers whose text is made in one growing buffer stay right when it moves. */
static void test_headers_stay(void **state)
{
    WB_UNUSED(state);
    const char *opts[] = {"mode", "binary", NULL};
    rig *r = open_rig(&wb_format_cloudevents, opts);
    wb_table *t = people("people");
    wb_value old[] = {text(WB_INT, "1"), kind(WB_ABSENT)}, row[] = {text(WB_INT, "2"), text(WB_TEXT, "Ann")};
    wb_change c = {.op = WB_UPDATE, .table = t, .before = old, .after = row, .place = 77};
    wb_messages m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 3);
    expect_str(header(&m.items[0], "ce_id"), "name:shop;lsn:77;txId:7;ordinal:0;op:d");
    expect_str(header(&m.items[2], "ce_id"), "name:shop;lsn:77;txId:7;ordinal:0;op:c");
    expect_str(header(&m.items[2], "content-type"), "application/json");
    expect_str(m.items[2].value, "{\"before\":null,\"after\":{\"id\":2,\"name\":\"Ann\"}}");
    expect_str(m.items[1].value, NULL);
    wb_table_unref(t);
    close_rig(r);
}

static void test_two_tables_one_topic(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    wb_table *a = people("a b"), *b = people("a-b"), *c = people("a_b");
    wb_value row[] = {text(WB_INT, "2"), kind(WB_NULL)};
    wb_change change = {.op = WB_INSERT, .table = a, .after = row};
    expect_str(send(r, &shop_txn, &change).items[0].topic, "shop.public.a_b");
    change.table = b;
    expect_str(send(r, &shop_txn, &change).items[0].topic, "shop.public.a-b");
    change.table = c;
    wb_messages list;
    assert_int_equal(r->format->messages(r->d, &shop_txn, &change, &list, &r->err), WB_E_CONFIG);
    assert_non_null(strstr(r->err.message, "public.a b"));
    wb_table_unref(a);
    wb_table_unref(b);
    wb_table_unref(c);
    close_rig(r);
}

static void test_a_bad_value_names_its_column(void **state)
{
    WB_UNUSED(state);
    rig *r = open_rig(&wb_format_debezium, NULL);
    wb_column cols[] = {column("id", "bigint", WB_INT, WB_COL_KEY), column("price", "numeric(5,2)", WB_DECIMAL, 0)};
    const uint16_t key[] = {0};
    cols[1].type_id = cols[1].base_id = 1700;
    cols[1].type_mod = cols[1].base_mod = (5 << 16 | 2) + 4;
    wb_table *t = table_of("public", "things", cols, 2, key, 1);
    wb_value row[] = {text(WB_INT, "2"), text(WB_DECIMAL, "12x")};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    wb_messages list;
    assert_int_equal(r->format->messages(r->d, &shop_txn, &c, &list, &r->err), WB_E_DATA);
    assert_int_equal(r->err.next, WB_POISON);
    assert_string_equal(r->err.where, "column price");
    assert_int_equal(list.n, 0);
    wb_table_unref(t);
    close_rig(r);
}

static void test_heartbeat(void **state)
{
    WB_UNUSED(state);
    const char *opts[] = {"heartbeat", "1h", NULL};
    rig *r = open_rig(&wb_format_debezium, opts);
    wb_messages m = send(r, NULL, NULL);
    assert_int_equal(m.n, 1);
    expect_str(m.items[0].topic, "__debezium-heartbeat.shop");
    expect_str(m.items[0].key, "{\"serverName\":\"shop\"}");
    assert_int_equal(send(r, NULL, NULL).n, 0);
    close_rig(r);
}

/* Topics by other names than the usual ones. */
static void test_names_of_topics(void **state)
{
    WB_UNUSED(state);
    const char *opts[] = {"delimiter",
                          "_",
                          "transaction_metadata",
                          "true",
                          "transaction_topic",
                          "tx",
                          "heartbeat",
                          "1h",
                          "heartbeat_prefix",
                          "beat",
                          NULL};
    rig *r = open_rig(&wb_format_debezium, opts);
    wb_table *t = people("people");
    wb_value row[] = {text(WB_INT, "2"), kind(WB_NULL)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    wb_messages m = send(r, NULL, NULL);
    assert_int_equal(m.n, 1);
    expect_str(m.items[0].topic, "beat_shop");
    m = send(r, &shop_txn, &c);
    assert_int_equal(m.n, 2);
    expect_str(m.items[0].topic, "shop_tx");
    expect_str(m.items[1].topic, "shop_public_people");
    wb_table_unref(t);
    close_rig(r);
}

/* A row and its delete, unwrapped: what each mode leaves of the delete. */
static void test_unwrapped_deletes(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *mode, *inserted, *first;
        size_t n;
    } modes[] = {{"tombstone", "{\"id\":2,\"name\":\"Ann\",\"x_op\":\"c\"}", NULL, 1},
                 {"delete-to-tombstone", "{\"id\":2,\"name\":\"Ann\",\"x_op\":\"c\"}", NULL, 1},
                 {"drop", "{\"id\":2,\"name\":\"Ann\",\"x_op\":\"c\"}", NULL, 0},
                 {"rewrite", "{\"id\":2,\"name\":\"Ann\",\"__deleted\":\"false\",\"x_op\":\"c\"}",
                  "{\"id\":2,\"name\":\"Ann\",\"__deleted\":\"true\",\"x_op\":\"d\"}", 1},
                 {"rewrite-with-tombstone", "{\"id\":2,\"name\":\"Ann\",\"__deleted\":\"false\",\"x_op\":\"c\"}",
                  "{\"id\":2,\"name\":\"Ann\",\"__deleted\":\"true\",\"x_op\":\"d\"}", 2}};
    wb_table *t = people("people");
    wb_value row[] = {text(WB_INT, "2"), text(WB_TEXT, "Ann")};
    for (size_t i = 0; i < WB_COUNT(modes); i++) {
        const char *opts[] = {"unwrap", "true", "deletes", modes[i].mode, "add_fields", "op", "add_prefix", "x_", NULL};
        rig *r = open_rig(&wb_format_debezium, opts);
        wb_change c = {.op = WB_INSERT, .table = t, .after = row};
        wb_messages m = send(r, &shop_txn, &c);
        assert_int_equal(m.n, 1);
        expect_str(m.items[0].value, modes[i].inserted);
        c = (wb_change){.op = WB_DELETE, .table = t, .before = row};
        m = send(r, &shop_txn, &c);
        assert_int_equal(m.n, modes[i].n);
        if (m.n) expect_str(m.items[0].value, modes[i].first);
        if (m.n) expect_str(m.items[m.n - 1].key, "{\"id\":2}");
        if (m.n == 2) expect_str(m.items[1].value, NULL);
        close_rig(r);
    }
    wb_table_unref(t);
}

/* JsonConverter's own default; here only when it is asked for. */
static void test_null_as_default(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {column("id", "bigint", WB_INT, WB_COL_KEY | WB_COL_NOT_NULL), column("n", "text", WB_TEXT, 0)};
    const uint16_t key[] = {0};
    cols[0].type_id = cols[0].base_id = 20;
    cols[1].type_id = cols[1].base_id = 25;
    cols[1].default_sql = WB_STR("'none'::text");
    wb_table *t = table_of("public", "things", cols, 2, key, 1);
    wb_value row[] = {text(WB_INT, "2"), kind(WB_NULL)};
    wb_change c = {.op = WB_INSERT, .table = t, .after = row};
    for (int on = 0; on < 2; on++) {
        const char *opts[] = {"null_as_default", on ? "true" : "false", NULL};
        rig *r = open_rig(&wb_format_debezium, opts);
        const char *want = on ? "\"after\":{\"id\":2,\"n\":\"none\"}" : "\"after\":{\"id\":2,\"n\":null}";
        assert_non_null(strstr(send(r, &shop_txn, &c).items[0].value.ptr, want));
        close_rig(r);
    }
    wb_table_unref(t);
}

/* Words of Debezium's that mean nothing here are refused, and named. */
static void test_modes_that_are_refused(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[][2] = {{"time_precision", "structured"},
                                         {"decimal", "exact"},
                                         {"binary", "base65"},
                                         {"interval", "iso"},
                                         {"hstore", "text"},
                                         {"bigint_unsigned", "wrap"},
                                         {"deletes", "none"},
                                         {"mode", "batched"}};
    rig *r = open_rig(&wb_format_cloudevents, NULL);
    rig *d = open_rig(&wb_format_debezium, NULL);
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        rig *one = strcmp(bad[i][0], "mode") == 0 ? r : d;
        const wb_option *o = one->format->head.options;
        while (o->name && strcmp(o->name, bad[i][0]) != 0) o++;
        assert_non_null(o->name);
        wb_error_reset(&one->err);
        assert_int_equal(wb_option_set(o, one->d, bad[i][1], &one->arena, &one->err), WB_E_CONFIG);
        assert_non_null(strstr(one->err.message, bad[i][1]));
    }
    close_rig(r);
    close_rig(d);
}

static void test_sources(void **state)
{
    WB_UNUSED(state);
    static const char *const names[] = {"postgres", "mysql", "binlog", "mongodb"};
    for (size_t i = 0; i < WB_COUNT(names); i++) {
        rig *r = open_rig(&wb_format_debezium, NULL);
        r->format->about(r->d, names[i]);
        assert_int_equal(r->format->open(r->d, "shop", &r->err), i == 3 ? WB_E_UNSUPPORTED : WB_OK);
        if (i < 3) assert_string_equal(r->d->connector, i == 0 ? "postgresql" : "mysql");
        close_rig(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_java),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_long_decimal),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_text_forms),
        cmocka_unit_test(test_changed_key),
        cmocka_unit_test(test_what_was_not_sent),
        cmocka_unit_test(test_changes_of_schemas),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_headers_stay),
        cmocka_unit_test(test_two_tables_one_topic),
        cmocka_unit_test(test_a_bad_value_names_its_column),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_names_of_topics),
        cmocka_unit_test(test_unwrapped_deletes),
        cmocka_unit_test(test_null_as_default),
        cmocka_unit_test(test_modes_that_are_refused),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
