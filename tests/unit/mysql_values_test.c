/* mysql_values_test.c: every type of a binlog row, by bytes that real servers wrote (research: MariaDB 10.11) and by
 * hand-made ones for what is rare or damaged. */
#include "mysql_help.h"

/* One column of the type with the metadata; its value; charset: collation id as TLV 2 when the type has one. */
typedef struct value_case {
    const char *type, *meta, *tlvs, *bytes, *expect;
} value_case;

static wb_code decode_value(fixture *f, const value_case *c)
{
    char body[4000];
    ok(feed_gtid(f, 1));
    ok(feed_query(f, "BEGIN"));
    ok(feed_map(f, 9, "t", c->type, c->meta, c->tlvs));
    snprintf(body, sizeof body, "01 ff 00 %s", c->bytes);
    ok(feed_rows(f, MY_WRITE_ROWS, 9, body));
    return feed_xid(f);
}

#define NAME " 04 02 0163" /* the column is called c */
#define LATIN1 "02 01 08" NAME
#define UTF8 "02 01 2d" NAME
#define BINARY "02 01 3f" NAME
#define SIGNED "01 01 00" NAME
#define UNSIGNED "01 01 80" NAME

static void run(const value_case *cases, size_t n, const char *version)
{
    for (size_t i = 0; i < n; i++) {
        char want[3000];
        fixture *f = fixture_started(version);
        wb_code code = decode_value(f, &cases[i]);
        if (cases[i].expect[0] == '!') {
            assert_error(f, code, f->err.code, cases[i].expect + 1);
            assert_int_not_equal(code, WB_OK);
        } else {
            if (code != WB_OK) fail_msg("%s %s: %s", cases[i].type, cases[i].bytes, f->err.message);
            snprintf(want, sizeof want, "begin " SID ":1\ninsert t #0 +%s\ncommit 1\n", cases[i].expect);
            assert_said(f, want);
        }
        fixture_free(f);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const value_case cases[] = {
        {"01", "", SIGNED, "80", "int:-128"},
        {"01", "", UNSIGNED, "ff", "uint:255"},
        {"02", "", SIGNED, "0080", "int:-32768"},
        {"02", "", UNSIGNED, "ffff", "uint:65535"},
        {"09", "", SIGNED, "000080", "int:-8388608"},
        {"09", "", SIGNED, "ffff7f", "int:8388607"},
        {"09", "", UNSIGNED, "ffffff", "uint:16777215"},
        {"03", "", SIGNED, "ffffffff", "int:-1"},
        {"03", "", UNSIGNED, "ffffffff", "uint:4294967295"},
        {"08", "", SIGNED, "0000000000000080", "int:-9223372036854775808"},
        {"08", "", UNSIGNED, "ffffffffffffffff", "uint:18446744073709551615"},
        {"04", "04", SIGNED, "cdcc8c3f", "float:1.1"},
        {"04", "04", SIGNED, "ffff7fff", "float:-3.4028235e+38"},
        {"04", "04", SIGNED, "00008047", "float:65536"},
        {"04", "04", SIGNED, "00000080", "float:-0"},
        {"05", "08", SIGNED, "9a9999999999b93f", "float:0.10000000000000001"},
        {"f6", "0e04", SIGNED, "7ef204c72dfb2d", "decimal:-1234567890.1234"},
        {"f6", "0303", SIGNED, "7e0b", "decimal:-0.500"},
        {"f6", "0e04", SIGNED, "80000000000000", "decimal:0.0000"},
        {"f6", "0a00", SIGNED, "8000000001", "decimal:1"},
        {"f6", "0a00", SIGNED, "8900000000", "decimal:9000000000"},
        {"f6", "0a00", SIGNED, "8a00000000", "!holds bytes that are no value of column c"},
        {"f6", "0103", SIGNED, "80", "!is not known"},
        {"f6", "4200", SIGNED, "80", "!is not known"},
        {"0d", "", UNSIGNED, "01", "int:1901"},
        {"0d", "", UNSIGNED, "00", "int:0"},
        {"0d", "", UNSIGNED, "ff", "int:2155"},
        {"10", "0201", NAME, "0201", "other:1000000001"},
        {"10", "0008", NAME, "ffffffffffffffff",
         "other:1111111111111111111111111111111111111111111111111111111111111111"},
        {"10", "0100", NAME, "01", "other:1"},
        {"10", "0100", NAME, "03", "!holds bytes"},
        {"03", "", SIGNED, "ffffff", "!ends within column c (int)"},
        {"06", "", NAME, "", "!type 6"},
    };
    run(cases, WB_COUNT(cases), "8.0.36");
}

/* Near zero, negative, odd precisions, more than a day: each of them was wrong in somebody's decoder. */
static void test_d52_times(void **state)
{
    (void)state;
    static const value_case cases[] = {
        {"13", "03", NAME, "7f3747e12e", "other:-12:34:56.789"},
        {"13", "03", NAME, "b46efb0000", "other:838:59:59.000"},
        {"13", "00", NAME, "7fffff", "other:-00:00:01"},
        {"13", "01", NAME, "7ffffff6", "other:-00:00:00.1"},
        {"13", "06", NAME, "7fffffffffff", "other:-00:00:00.000001"},
        {"13", "02", NAME, "7ffffef6", "other:-00:00:01.10"},
        {"13", "00", NAME, "800000", "time:00:00:00"},
        {"13", "01", NAME, "80c0005a", "time:12:00:00.9"},
        {"13", "06", NAME, "817efb0f423f", "time:23:59:59.999999"},
        {"13", "05", NAME, "8000000f423c", "time:00:00:00.99999"},
        {"13", "00", NAME, "818000", "other:24:00:00"},
        {"13", "00", NAME, "864000", "other:100:00:00"},
        {"13", "00", NAME, "80003c", "!holds bytes"},
        {"13", "07", NAME, "8000000000000000", "!is not known"},
        {"0b", "", NAME, "40e201", "time:12:34:56"},
        {"0b", "", NAME, "c01dfe", "other:-12:34:56"},
    };
    run(cases, WB_COUNT(cases), "8.0.36");
}

static void test_d55_zero_and_partial_dates(void **state)
{
    (void)state;
    static const value_case cases[] = {
        {"0a", "", NAME, "5dd00f", "date:2024-02-29"},
        {"0a", "", NAME, "00d00f", "other:2024-00-00"},
        {"0a", "", NAME, "000000", "other:0000-00-00"},
        {"0a", "", NAME, "5fd00f", "other:2024-02-31"},
        {"0a", "", NAME, "210000", "other:0000-01-01"},
        {"12", "06", NAME, "99b2bac8b801e240", "ts:2024-02-29 12:34:56.123456"},
        {"12", "01", NAME, "99b242000032", "ts:2024-01-01 00:00:00.5"},
        {"12", "00", NAME, "8000000000", "other:0000-00-00 00:00:00"},
        {"12", "00", NAME, "8cb2420000", "ts:1000-01-01 00:00:00"},
        {"12", "00", NAME, "99b21ec8b8", "other:2024-00-15 12:34:56"},
        {"12", "00", NAME, "99b2be0001", "other:2024-02-31 00:00:01"},
        {"12", "00", NAME, "0000000000", "!holds bytes"},
        {"11", "02", NAME, "65e079f04e", "tstz:2024-02-29 12:34:56.78+00"},
        {"11", "05", NAME, "6592008000000a", "tstz:2024-01-01 00:00:00.00001+00"},
        {"11", "00", NAME, "00000000", "other:0000-00-00 00:00:00"},
        {"11", "03", NAME, "000000000000", "other:0000-00-00 00:00:00.000"},
        {"11", "00", NAME, "00000001", "tstz:1970-01-01 00:00:01+00"},
        {"11", "00", NAME, "ffffffff", "tstz:2106-02-07 06:28:15+00"},
        {"0c", "", NAME, "80c5aa8b68120000", "ts:2024-02-29 12:34:56"},
        {"0c", "", NAME, "0000000000000000", "other:0000-00-00 00:00:00"},
        {"07", "", NAME, "f079e065", "tstz:2024-02-29 12:34:56+00"},
        {"07", "", NAME, "00000000", "other:0000-00-00 00:00:00"},
    };
    run(cases, WB_COUNT(cases), "8.0.36");
    my_options o = {.max_row = 1000, .policy = {.zero_dates = MY_ZERO_NULL}};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    const value_case zero = {"0a", "", NAME, "00d00f", ""};
    ok(decode_value(f, &zero));
    assert_said(f, "begin " SID ":1\ninsert t #0 +null\ncommit 1\n");
    fixture_free(f);
}

static void test_text_and_bytes(void **state)
{
    (void)state;
    static const value_case cases[] = {
        {"fe", "fe14", UTF8, "05 68c3a9c3a9", "text:héé"},
        {"fe", "ee90", UTF8, "0400 6c6f6e67", "text:long"},
        {"fe", "fe05", BINARY, "02 0102", "bytes:0102000000"},
        {"fe", "fe05", BINARY, "00", "bytes:0000000000"},
        {"0f", "b004", UTF8, "0500 766172c3a9", "text:varé"},
        {"0f", "fc00", UTF8, "01 6e", "text:n"},
        {"0f", "0001", UTF8, "0100 6f", "text:o"},
        {"0f", "0a00", BINARY, "02 00ff", "bytes:00ff"},
        {"0f", "1400", LATIN1, "03 c4d680", "text:ÄÖ€"},
        {"0f", "2800", "02 01 1c" NAME, "04 d6d0cec4", "text:中文"},
        {"0f", "5000", "02 01 36" NAME, "06 d83dde00 0061", "text:😀a"},
        {"0f", "5000", "02 01 3c" NAME, "04 0001f600", "text:😀"},
        {"0f", "2800", "02 01 0d" NAME, "04 93fa967b", "text:日本"},
        {"0f", "1400", "02 01 33" NAME, "02 cff0", "text:Пр"},
        {"0f", "5000", "02 03 fcff00" NAME, "02 c3a9", "text:é"},          /* utf8mb4_0900_ai_ci: not one byte */
        {"0f", "5000", "02 03 fc0009" NAME, "02 c3a9", "text:é"},          /* MariaDB's uca1400 */
        {"0f", "5000", "02 03 fcff07" NAME, "02 c3a9", "!collation 2047"}, /* nobody's */
        {"0f", "5000", UTF8, "02 c328", "!bytes that are no text of its character set (utf8mb4)"},
        {"0f", "1400", "02 01 0b" NAME, "01 80", "!(ascii)"},
        {"0f", "5000", UTF8, "09 61", "!ends within column c"},
        {"fc", "02", LATIN1, "0200 e961", "text:éa"},
        {"fc", "02", BINARY, "0100 00", "bytes:00"},
        {"fc", "04", UTF8, "01000000 61", "text:a"},
        {"fc", "05", UTF8, "0100000000 61", "!is not known"},
        {"ff", "04", "07 01 01" NAME, "19000000 00000000 01 01000000 000000000000f03f 0000000000000040",
         "bytes:000000000101000000000000000000f03f0000000000000040"},
        {"f2", "04", NAME, "0c000000 0000803f 00002040 000050c0", "json:[1,2.5,-3.25]"},
        {"f2", "04", NAME, "04000000 0000807f", "other:[Infinity]"},
        {"f2", "04", NAME, "03000000 000080", "!holds bytes"},
    };
    run(cases, WB_COUNT(cases), "8.0.36");
}

static void test_replaced_text(void **state)
{
    (void)state;
    my_options o = {.max_row = 100000, .policy = {.bad_text = MY_TEXT_REPLACE}};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    const value_case bad = {"0f", "5000", UTF8, "04 61c32862", ""};
    ok(decode_value(f, &bad));
    assert_said(f, "begin " SID ":1\ninsert t #0 +text:a\xEF\xBF\xBD(b\ncommit 1\n");
    fixture_free(f);
}

/* One representation, here and in a snapshot: the label. Index 0 is the empty label of what did not fit. */
static void test_d51_enum_and_set_as_labels(void **state)
{
    (void)state;
#define ENUM " 06 08 02 0161 0163 0178" /* too long on purpose */
    static const value_case cases[] = {
        {"fe", "f701", NAME " 0a 01 08 06 05 02 0161 01e9", "01", "text:a"},
        {"fe", "f701", NAME " 0a 01 08 06 05 02 0161 01e9", "02", "text:é"},
        {"fe", "f701", NAME " 0a 01 08 06 05 02 0161 01e9", "00", "text:"},
        {"fe", "f701", NAME " 0a 01 08 06 05 02 0161 01e9", "03", "!a label that its type enum('a','é') does not have"},
        {"fe", "f702", NAME " 0a 01 08 06 05 02 0161 01e9", "0200", "text:é"},
        {"fe", "f701", NAME, "01", "!the labels of column c are not known"},
        {"fe", "f701", NAME ENUM, "01", "!it is damaged"},
        {"fe", "f802", NAME " 0a 01 2d 05 13 09 0161 0162 0163 0164 0165 0166 0167 0168 0169", "0101", "text:a,i"},
        {"fe", "f802", NAME " 0a 01 2d 05 13 09 0161 0162 0163 0164 0165 0166 0167 0168 0169", "0000", "text:"},
        {"fe", "f802", NAME " 0a 01 2d 05 13 09 0161 0162 0163 0164 0165 0166 0167 0168 0169", "0002", "!a label"},
    };
    run(cases, WB_COUNT(cases), "8.0.36");
}

static void test_d60_compressed_columns(void **state)
{
    (void)state;
    static const value_case cases[] = {
        {"8d", "d007", UTF8, "0900 89 64 4b4ea63d0000", "!ends within"},
        {"8d", "d007", UTF8, "0800 89 64 4b4ea63d0000",
         "text:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"},
        {"8d", "d007", UTF8, "0300 00 6162", "text:ab"},
        {"8d", "d007", UTF8, "0000", "text:"},
        {"8d", "d007", UTF8, "0800 89 65 4b4ea63d0000", "!holds bytes"},
        {"8c", "02", BINARY, "0300 00 0102", "bytes:0102"},
        {"8d", "d007", UTF8, "0200 79 64", "!holds bytes"},
    };
    run(cases, WB_COUNT(cases), "10.11.6-MariaDB");
}

/* The log does not say that these are not just bytes: the schema does. */
static void test_mariadb_uuid_and_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *type, *meta, *bytes, *expect;
    } cases[] = {
        {"uuid", "fe10", "10 3d57c2e08f3a11eeb9d10242ac120002", "uuid:3d57c2e0-8f3a-11ee-b9d1-0242ac120002"},
        {"inet6", "fe10", "10 00000000000000000000000000000001", "text:::1"},
        {"inet6", "fe10", "10 00000000000000000000ffff01020304", "text:::ffff:1.2.3.4"},
        {"inet4", "fe04", "04 01020304", "text:1.2.3.4"},
        {"vector(1)", "0f 0400", "04 0000c03f", "json:[1.5]"},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        char want[200];
        bool vector = i == 4;
        fixture *f = fixture_started("11.8.2-MariaDB");
        my_schema_col col = {.name = WB_STR("c"), .type = wb_str_of(cases[i].type)};
        f->schema = (my_schema){.ncols = 1, .cols = &col};
        const value_case c = {vector ? "0f" : "fe", vector ? "0400" : cases[i].meta, BINARY, cases[i].bytes, ""};
        ok(feed_mariadb_gtid(f, 1, 4, ""));
        f->last.kind = MY_EV_NOTHING;
        ok(feed_map(f, 9, "t", c.type, c.meta, c.tlvs));
        char body[200];
        snprintf(body, sizeof body, "01 ff 00 %s", c.bytes);
        ok(feed_rows(f, MY_WRITE_ROWS_V1, 9, body));
        ok(feed_xid(f));
        snprintf(want, sizeof want, "begin 0-1-1\ninsert t #0 +%s\ncommit 1\n", cases[i].expect);
        assert_said(f, want);
        fixture_free(f);
    }
}

/* The bitmap of signs counts numeric columns only: YEAR does, BIT does not. */
static void test_d53_signedness(void **state)
{
    (void)state;
    static const struct {
        const char *types, *meta, *signs, *nulls_and_bytes, *expect;
    } cases[] = {
        /* tinyint, bit(1), tinyint unsigned, tinyint */
        {"01 10 01 01", "0100", "40", "00 ff 01 ff ff", "int:-1 other:1 uint:255 int:-1"},
        /* tinyint, year, tinyint unsigned, tinyint */
        {"01 0d 01 01", "", "60", "00 ff 01 ff ff", "int:-1 int:1901 uint:255 int:-1"},
        /* tinyint, decimal unsigned, float unsigned, double unsigned, tinyint */
        {"01 f6 04 05 01", "0200 04 08", "70", "00 ff 81 00000000 0000000000000000 ff",
         "int:-1 decimal:1 float:0 float:0 int:-1"},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        fixture *f = fixture_started("8.0.36");
        char tlvs[100], body[100], want[200];
        bool five = i == 2;
        snprintf(tlvs, sizeof tlvs, "01 01 %s 04 %s 0161 0162 0163 0164 %s", cases[i].signs, five ? "0a" : "08",
                 five ? "0165" : "");
        ok(feed_gtid(f, 1));
        ok(feed_query(f, "BEGIN"));
        ok(feed_map(f, 9, "t", cases[i].types, cases[i].meta, tlvs));
        snprintf(body, sizeof body, "%s ff %s", five ? "05" : "04", cases[i].nulls_and_bytes);
        ok(feed_rows(f, MY_WRITE_ROWS, 9, body));
        ok(feed_xid(f));
        snprintf(want, sizeof want, "begin " SID ":1\ninsert t #0 +%s\ncommit 1\n", cases[i].expect);
        assert_said(f, want);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_d52_times),
        cmocka_unit_test(test_d55_zero_and_partial_dates),
        cmocka_unit_test(test_text_and_bytes),
        cmocka_unit_test(test_replaced_text),
        cmocka_unit_test(test_d51_enum_and_set_as_labels),
        cmocka_unit_test(test_d60_compressed_columns),
        cmocka_unit_test(test_mariadb_uuid_and_addresses),
        cmocka_unit_test(test_d53_signedness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
