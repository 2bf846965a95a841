/* mysql_schema_test.c: what is known of a table, by the log and by information_schema, and what happens when they
 * differ; and text of the SQL protocol to the values of the log. */
#include "mysql_help.h"

#define COL(n, t, cs)                                                                                                  \
    {                                                                                                                  \
        .name = {n, sizeof n - 1}, .type = {t, sizeof t - 1}, .charset = { cs, sizeof cs - 1 }                         \
    }

/* binlog_row_metadata=FULL: rows from before an ALTER have the names of then, and a schema of now changes nothing. */
static void test_d31_full_metadata_names_yesterdays_columns(void **state)
{
    (void)state;
    static const my_schema_col now[] = {COL("id", "int", ""), COL("first", "varchar(20)", "utf8mb4"),
                                        COL("middle", "varchar(20)", "utf8mb4"), COL("last", "varchar(20)", "utf8mb4")};
    fixture *f = fixture_started("8.0.36");
    f->schema = (my_schema){.id = 7, .ncols = 4, .cols = now};
    begin(f, 1);
    ok(feed_map(f, 9, "t", "03 0f 0f", "5000 5000", "01 01 00 02 01 2d 04 0e 026964 056669727374 046c617374 08 01 00"));
    ok(feed_rows(f, MY_WRITE_ROWS, 9, "03 ff f8 01000000 0161 0162"));
    event_begin(f);
    put_hex(&f->event, "2a00000000000000");
    ok(event_feed(f, MY_XID));
    my_event ev;
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    const wb_table *t = f->b->changes[0].table;
    assert_int_equal(t->ncols, 3);
    assert_string_equal(t->cols[2].name.ptr, "last");
    assert_string_equal(t->cols[2].type.ptr, "varchar(20)");
    assert_int_equal(t->id, 7);
    assert_true(t->cols[0].flags & WB_COL_KEY);
    fixture_free(f);
}

/* Without names in the log a schema that does not fit is refused: column, both types, and the ways out. */
static void refuse_minimal(const my_schema_col *cols, uint32_t n, const char *why)
{
    fixture *f = fixture_started("8.0.36");
    f->schema = (my_schema){.ncols = n, .cols = cols};
    begin(f, 1);
    ok(feed_map(f, 9, "t", MAP_TYPES, MAP_META, "01 01 00 02 01 2d"));
    ok(feed_row(f, 9, 1, 'a'));
    wb_code code = feed_xid(f);
    if (!why) {
        ok(code);
        assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    } else {
        assert_error(f, code, WB_E_SCHEMA, why);
        assert_non_null(strstr(f->err.hint, "binlog_row_metadata = FULL"));
    }
    fixture_free(f);
}

static void test_d32_schemas_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const my_schema_col fits[] = {COL("id", "int(11)", ""), COL("v", "varchar(20)", "utf8mb4")};
    static const my_schema_col more[] = {COL("id", "int", ""), COL("v", "varchar(20)", "utf8mb4"), COL("x", "int", "")};
    static const my_schema_col other[] = {COL("id", "bigint", ""), COL("v", "varchar(20)", "utf8mb4")};
    static const my_schema_col wider[] = {COL("id", "int", ""), COL("v", "varchar(30)", "utf8mb4")};
    static const my_schema_col sign[] = {COL("id", "int unsigned", ""), COL("v", "varchar(20)", "utf8mb4")};
    static const my_schema_col swapped[] = {COL("v", "varchar(20)", "utf8mb4"), COL("id", "int", "")};
    refuse_minimal(fits, 2, NULL);
    refuse_minimal(more, 3, "it has 3 columns in the schema and 2 in the log");
    refuse_minimal(other, 2, "column 1 (id) is bigint in the schema and int in the log");
    refuse_minimal(wider, 2, "column 2 (v) is varchar(30) in the schema and varchar(20) in the log");
    refuse_minimal(sign, 2, "column 1 (id) is int unsigned in the schema and int in the log");
    refuse_minimal(swapped, 2, "column 1 (v) is varchar(20) in the schema and int in the log");
    refuse_minimal(NULL, 0, "the log has no names of columns (binlog_row_metadata is not FULL)");
}

/* Columns that changed places have the same types: where the log has names, they tell. */
static void test_d31_same_types_under_other_names(void **state)
{
    (void)state;
    static const my_schema_col cols[] = {COL("a", "int", ""), COL("b", "int", "")};
    static const my_map_col same[] = {{.type = MY_T_LONG, .name = {"A", 1}}, {.type = MY_T_LONG, .name = {"b", 1}}};
    static const my_map_col swapped[] = {{.type = MY_T_LONG, .name = {"b", 1}}, {.type = MY_T_LONG, .name = {"a", 1}}};
    static const my_map_col longer[] = {{.type = MY_T_LONG, .name = {"aa", 2}}, {.type = MY_T_LONG, .name = {"b", 1}}};
    const my_schema s = {.ncols = 2, .cols = cols};
    my_map m = {.ncols = 2, .cols = swapped};
    char why[200];
    assert_true(my_schema_fits(&s, &m, why, sizeof why));
    m.has_names = true;
    assert_false(my_schema_fits(&s, &m, why, sizeof why));
    assert_string_equal(why, "column 1 is called a in the schema and b in the log");
    m.cols = longer;
    assert_false(my_schema_fits(&s, &m, NULL, 0));
    m.cols = same;
    assert_true(my_schema_fits(&s, &m, why, sizeof why));
}

/* A DDL makes the next map of the table ask again, though its bytes are the same; others are not asked for. */
static void test_d34_ddl_invalidates(void **state)
{
    (void)state;
    static const my_schema_col before[] = {COL("id", "int", ""), COL("v", "varchar(20)", "utf8mb4")};
    static const my_schema_col after[] = {COL("id", "int", ""), COL("renamed", "varchar(20)", "utf8mb4")};
    fixture *f = fixture_started("8.0.36");
    f->schema = (my_schema){.ncols = 2, .cols = before};
    for (uint64_t i = 1; i < 6; i++) {
        begin(f, i);
        ok(feed_map(f, i < 4 ? 9 : 10, "t", MAP_TYPES, MAP_META, "01 01 00 02 01 2d"));
        ok(feed_row(f, i < 4 ? 9 : 10, 1, 'a'));
        ok(feed_xid(f));
        assert_int_equal(f->asked, i < 4 ? 1 : 2);
        f->schema.cols = after;
        if (i != 3) continue;
        ok(feed_gtid(f, 100));
        ok(feed_query(f, "ALTER TABLE other ADD c int"));
        ok(feed_gtid(f, 101));
        ok(feed_query(f, "ALTER TABLE `T` RENAME COLUMN v TO renamed"));
    }
    my_decoder_forget_table(f->d, WB_STR("shop"), WB_STR("t"));
    begin(f, 200);
    ok(feed_map(f, 10, "t", MAP_TYPES, MAP_META, "01 01 00 02 01 2d"));
    ok(feed_row(f, 10, 1, 'a'));
    ok(feed_xid(f));
    assert_int_equal(f->asked, 3);
    fixture_free(f);
}

/* Metadata that is newer than we is left out by its length. */
static void test_d45_unknown_metadata(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_map(f, 9, "t", MAP_TYPES, MAP_META, "80 03 aabbcc 01 01 00 02 01 2d f0 00 04 05 026964 0176 ff fc0100 00"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    begin(f, 2);
    ok(feed_map(f, 9, "t", MAP_TYPES, MAP_META, "80 09 aabbcc"));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "The TABLE_MAP event");
    fixture_free(f);
}

/* The hook may ask to wait: the same step comes again, and nothing is lost or doubled. */
static void test_hook_that_waits(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_small_map(f, 10, "u"));
    ok(feed_row(f, 10, 2, 'b'));
    f->hook_says = WB_AGAIN;
    assert_int_equal(feed_xid(f), WB_AGAIN);
    assert_int_equal(f->last.need, 0);
    f->hook_says = WB_OK;
    ok(deliver(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ninsert u #1 +int:2 text:b\ncommit 2\n");
    fixture_free(f);
}

static void test_unwanted_tables(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    f->unwanted = "u";
    begin(f, 1);
    ok(feed_map(f, 10, "u", MAP_TYPES, MAP_META, "")); /* not even its columns need be known */
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 10, 2, 'b'));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    fixture_free(f);
}

/* Invisible and generated columns are columns; the order of a key is its own; many columns need several bytes of bits.
 */
static void test_invisible_and_keys(void **state)
{
    (void)state;
    static const my_schema_col cols[] = {{.name = {"a", 1}, .type = {"int", 3}, .id = 3},
                                         {.name = {"b", 1}, .type = {"int", 3}, .flags = WB_COL_GENERATED, .id = 5}};
    fixture *f = fixture_started("8.0.36");
    f->schema = (my_schema){.ncols = 2, .cols = cols};
    begin(f, 1);
    ok(feed_map(f, 9, "t", "03 03", "", "01 01 00 04 04 0161 0162 09 04 0100 0000 0c 01 80"));
    ok(feed_rows(f, MY_WRITE_ROWS, 9, "02 ff fc 01000000 02000000"));
    event_begin(f);
    put_hex(&f->event, "2a00000000000000");
    ok(event_feed(f, MY_XID));
    my_event ev;
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    const wb_table *t = f->b->changes[0].table;
    assert_int_equal(t->nkey, 2);
    assert_int_equal(t->key[0], 1);
    assert_int_equal(t->key[1], 0);
    assert_int_equal(t->cols[0].flags, WB_COL_KEY);
    assert_int_equal(t->cols[1].flags, WB_COL_KEY | WB_COL_GENERATED | MY_COL_INVISIBLE);
    assert_int_equal(t->cols[1].id, 5);
    fixture_free(f);
}

/* ---------------------------------------------------------------- text of the SQL protocol */

static void check_text(const char *type, const char *charset, const char *text, size_t n, const char *expect)
{
    my_schema_col col = {.name = WB_STR("c"), .type = wb_str_of(type), .charset = wb_str_of(charset)};
    my_schema s = {.schema = WB_STR("shop"), .name = WB_STR("t"), .ncols = 1, .cols = &col};
    wb_batch *b = wb_batch_loose();
    wb_out o = {0};
    wb_value v;
    wb_error err;
    wb_error_reset(&err);
    wb_table *t = my_table_of_schema(&s, MY_MYSQL, &err);
    assert_non_null(t);
    wb_code code = my_value_of_text(t, 0, text, n, NULL, b, &v, &err);
    if (code == WB_OK)
        say_value(&o, &v);
    else
        wb_out_printf(&o, "!%s", err.message);
    wb_out_byte(&o, 0);
    assert_string_equal(o.p, expect);
    wb_out_fini(&o);
    wb_batch_unref(b);
    wb_table_unref(t);
}

/* Snapshot and stream show the same: the expectations are those of mysql_values_test.c for the same rows. */
static void test_d49_d51_text_as_the_stream_shows_it(void **state)
{
    (void)state;
    static const struct {
        const char *type, *charset, *text, *expect;
    } cases[] = {
        {"tinyint(4)", "", "-128", "int:-128"},
        {"tinyint(3) unsigned zerofill", "", "007", "uint:7"},
        {"bigint unsigned", "", "18446744073709551615", "uint:18446744073709551615"},
        {"bigint", "", "-9223372036854775808", "int:-9223372036854775808"},
        {"bigint", "", "9223372036854775808",
         "!The server sent '9223372036854775808' as a value of column c (bigint) of table shop.t."},
        {"int", "", "12x", "!The server sent '12x' as a value of column c (int) of table shop.t."},
        {"float", "", "1.100000023841858", "float:1.1"},
        {"double", "", "0.1", "float:0.10000000000000001"},
        {"decimal(14,4)", "", "-1234567890.1234", "decimal:-1234567890.1234"},
        {"decimal(8,2) unsigned zerofill", "", "000003.50", "decimal:3.50"},
        {"year(4)", "", "0000", "int:0"},
        {"date", "", "2024-02-29", "date:2024-02-29"},
        {"date", "", "0000-00-00", "other:0000-00-00"},
        {"date", "", "2024-02-31", "other:2024-02-31"},
        {"time(3)", "", "-12:34:56.789", "other:-12:34:56.789"},
        {"time", "", "838:59:59", "other:838:59:59"},
        {"time(1)", "", "12:00:00.9", "time:12:00:00.9"},
        {"datetime(6)", "", "2024-02-29 12:34:56.123456", "ts:2024-02-29 12:34:56.123456"},
        {"timestamp(2)", "", "2024-02-29 12:34:56.78", "tstz:2024-02-29 12:34:56.78+00"},
        {"timestamp", "", "0000-00-00 00:00:00", "other:0000-00-00 00:00:00"},
        {"varchar(20)", "latin1", "ÄÖ€", "text:ÄÖ€"},
        {"varbinary(10)", "", "ab", "bytes:6162"},
        {"enum('a','b')", "utf8mb4", "b", "text:b"},
        {"set('a','b')", "utf8mb4", "a,b", "text:a,b"},
        {"json", "", "{\"a\": 1}", "json:{\"a\": 1}"},
        {"uuid", "", "3d57c2e0-8f3a-11ee-b9d1-0242ac120002", "uuid:3d57c2e0-8f3a-11ee-b9d1-0242ac120002"},
        {"inet6", "", "::1", "text:::1"},
        {"longtext", "utf8mb4", "x", "text:x"},
        {"some new type", "", "x", "other:x"},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++)
        check_text(cases[i].type, cases[i].charset, cases[i].text, strlen(cases[i].text), cases[i].expect);
    check_text("bit(10)", "", "\2\1", 2, "other:1000000001");
    check_text("bit(1)", "", "\1", 1, "other:1");
    check_text("vector(2)", "", "\0\0\200?\0\0 @", 8, "json:[1,2.5]");
    check_text("geometry", "", "\0\0\0\0\1", 5, "bytes:0000000001");
}

static void test_select_expressions(void **state)
{
    (void)state;
    static const my_schema_col cols[] = {COL("a`b", "int", ""), COL("f", "float(7,4)", ""), COL("d", "double", "")};
    my_schema s = {.schema = WB_STR("shop"), .name = WB_STR("t"), .ncols = 3, .cols = cols};
    wb_out o = {0};
    wb_table *t = my_table_of_schema(&s, MY_MYSQL, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        if (i) wb_out_byte(&o, ' ');
        my_select_expression(t, i, MY_MYSQL, &o);
    }
    wb_out_byte(&o, 0);
    assert_string_equal(o.p, "`a``b` (`f` + 0e0) `d`");
    wb_out_fini(&o);
    wb_table_unref(t);
}

/* ---------------------------------------------------------------- character sets */

static void test_charsets(void **state)
{
    (void)state;
    static const struct {
        const char *name, *hex, *text;
    } cases[] = {
        {"latin1", "80 9f 81 e9", "€Ÿ\xC2\x81é"},
        {"latin2", "a1 b1", "Ąą"},
        {"cp850", "80 81", "Çü"},
        {"koi8r", "c1 d1", "ая"},
        {"cp1251", "cf f0", "Пр"},
        {"greek", "c1 e1", "Αα"},
        {"hebrew", "e0", "א"},
        {"swe7", "5b 5c 41", "ÄÖA"},
        {"ascii", "41", "A"},
        {"sjis", "815f 93fa b6 5c", "\\日ｶ\\"},
        {"cp932", "815f", "＼"},
        {"ujis", "a1c0 c6fc", "\\日"},
        {"eucjpms", "a1c0", "＼"},
        {"euckr", "b0a1", "가"},
        {"gb2312", "d6d0", "中"},
        {"gbk", "d6d0 61", "中a"},
        {"big5", "a4a4 a145", "中•"},
        {"gb18030", "d6d0 8139ee39", "中㐀"},
        {"ucs2", "00e9 4e2d", "é中"},
        {"utf16", "d83dde00", "😀"},
        {"utf16le", "3dd800de", "😀"},
        {"utf32", "0001f600", "😀"},
        {"utf8", "c3a9", "é"},
        {"utf8mb4", "f09f9880", "😀"},
    };
    my_conv conv = {0};
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        wb_out in = {0};
        char q[200];
        put_hex(&in, cases[i].hex);
        const my_charset *cs = my_charset_of_name(wb_str_of(cases[i].name));
        assert_non_null(cs);
        char *end = my_to_utf8(&conv, cs, q, (const uint8_t *)in.p, in.len, false);
        if (!end) fail_msg("%s", cases[i].name);
        *end = 0;
        assert_string_equal(q, cases[i].text);
        wb_out_fini(&in);
    }
    static const struct {
        const char *name, *hex;
    } bad[] = {{"utf8mb4", "c3"},     {"utf8mb4", "c080"},   {"utf8mb4", "eda080"}, {"utf8mb4", "f4908080"},
               {"ascii", "80"},       {"utf16", "d83d"},     {"utf16", "de00d83d"}, {"utf16", "00"},
               {"utf32", "00110000"}, {"utf32", "0000d800"}, {"gbk", "81"},         {"sjis", "81"},
               {"euckr", "ff41"},     {"hebrew", "ff"},      {"swe7", "80"}};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_out in = {0};
        char q[200];
        put_hex(&in, bad[i].hex);
        const my_charset *cs = my_charset_of_name(wb_str_of(bad[i].name));
        if (my_to_utf8(&conv, cs, q, (const uint8_t *)in.p, in.len, false)) fail_msg("%s %s", bad[i].name, bad[i].hex);
        assert_non_null(my_to_utf8(&conv, cs, q, (const uint8_t *)in.p, in.len, true));
        wb_out_fini(&in);
    }
    my_conv_fini(&conv);
    assert_null(my_charset_of_name(WB_STR("klingon")));
    assert_string_equal(my_charset_of_collation(255)->name, "utf8mb4");
    assert_string_equal(my_charset_of_collation(63)->name, "binary");
    assert_string_equal(my_charset_of_collation(1032)->name, "latin1");
    assert_string_equal(my_charset_of_collation(2304)->name, "utf8mb4");
    assert_null(my_charset_of_collation(0));
    assert_null(my_charset_of_collation(100000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d31_full_metadata_names_yesterdays_columns),
        cmocka_unit_test(test_d31_same_types_under_other_names),
        cmocka_unit_test(test_d32_schemas_that_do_not_fit_are_refused),
        cmocka_unit_test(test_d34_ddl_invalidates),
        cmocka_unit_test(test_d45_unknown_metadata),
        cmocka_unit_test(test_hook_that_waits),
        cmocka_unit_test(test_unwanted_tables),
        cmocka_unit_test(test_invisible_and_keys),
        cmocka_unit_test(test_d49_d51_text_as_the_stream_shows_it),
        cmocka_unit_test(test_select_expressions),
        cmocka_unit_test(test_charsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
