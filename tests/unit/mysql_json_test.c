/* mysql_json_test.c: JSON of the log to the text that the server prints, and partial updates of it. The bytes of
 * `golden` are what MySQL 9.7 wrote; the texts are what it printed for the same rows. */
#include "mysql_help.h"
#include "sources/mysql/jsonb.h"

typedef struct pair {
    const char *hex, *text;
} pair;

static void check(const pair *p)
{
    wb_out bytes = {0}, text = {0};
    put_hex(&bytes, p->hex);
    uint8_t *exact = malloc(bytes.len + 1);
    if (bytes.len) memcpy(exact, bytes.p, bytes.len);
    if (!my_json_text(exact, bytes.len, &text)) fail_msg("%s", p->hex);
    wb_out_byte(&text, 0);
    assert_string_equal(text.p, p->text);
    for (size_t n = 1; n < bytes.len; n++) { /* cut anywhere: no read beyond the end */
        uint8_t *cut = malloc(n);
        wb_out ignored = {.limit = 100000};
        memcpy(cut, exact, n);
        (void)my_json_text(cut, n, &ignored);
        wb_out_fini(&ignored);
        free(cut);
    }
    free(exact);
    wb_out_fini(&bytes);
    wb_out_fini(&text);
}

/* Order of keys, 1.0 against 1, integers beyond 2^53, decimals, times: as the server's own text. */
static void test_d50_text_of_the_server(void **state)
{
    (void)state;
    static const pair golden[] = {
        {"0000000400", "{}"},
        {"0200000400", "[]"},
        {"0400", "null"},
        {"0401", "true"},
        {"050100", "1"},
        {"05ffff", "-1"},
        {"07ffff0000", "65535"},
        {"09ffffffff00000000", "4294967295"},
        {"0700000080", "-2147483648"},
        {"0affffffffffffff7f", "9223372036854775807"},
        {"0affffffffffffffff", "18446744073709551615"},
        {"090100000000002000", "9007199254740993"},
        {"09ffffffffffffdfff", "-9007199254740993"},
        {"0b000000000000f03f", "1.0"},
        {"0b9a9999999999b93f", "0.1"},
        {"0b00003426f56b0c43", "1e15"},
        {"0b0000901ec4bcd642", "100000000000000.0"},
        {"0b355800662deb417e", "1.5e300"},
        {"0bf168e388b5f8e43e", "0.00001"},
        {"0b9b2ba1869b84063d", "0.00000000000001"},
        {"0b1656e79eaf03d23c", "0.000000000000001"},
        {"0bbc89d897b2d29c3c", "1e-16"},
        {"0b00008054346f9d41", "123456789.125"},
        {"0b0000000000000080", "-0.0"},
        {"0b6bfe9b81703dd6bc", "-0.0000000000000012345678901234568"}, /* as long as they get */
        {"0c03610062", "\"a\\u0000b\""},
        {"0c1271225c2f080c0a0d091f20c3a920f09f9880", "\"q\\\"\\\\/\\b\\f\\n\\r\\t\\u001f é 😀\""},
        {"0004005d00200000002000010021000100220008000c2a0002300005010000490061626c6f6e67206b657905656d70747903001900050"
         "100050200000d0001000c000b00010004000063010014000b0001000b0c0078000000000000f43f",
         "{\"\": \"empty\", \"a\": [1, 2, {\"c\": null}], \"b\": 1, \"long key\": {\"x\": 1.25}}"},
        {"0202002500050100020a0002001b00050200020a0002001100050300020a0001000700050400", "[1, [2, [3, [4]]]]"},
        {"0b7dc39425ad49b254", "1e100"},
        {"0b0100000000000000", "5e-324"},
        {"0b0000000000001000", "2.2250738585072014e-308"},
        {"0b0000901ec4bcd642", "100000000000000.0"},
        {"0b03eb2af2548b1143", "1234567890123456.8"},
        {"0bf168e388b5f8e43e", "0.00001"},
        {"0b50efe2d6e41a4b44", "1e21"},
        {"0a0100000000002000", "9007199254740993"},
        {"0003003100190002001b0003001e0003000501000a21000b2900696462696776616c0100000000002000000000000000f03f",
         "{\"id\": 1, \"big\": 9007199254740993, \"val\": 1.0}"},
        {"0ff6101e038000000c149aa4350dfb38d2007b", "12345678901234567890.123"},
        {"0f0a080000000000bab219", "\"2024-02-29\""},
        {"0f0c0820a107b8c8bab219", "\"2024-02-29 12:34:56.500000\""},
        {"0f0b08f8f5f34737ffffff", "\"-12:34:56.789000\""},
        {"000200230012000100130001000f14000f190062740f030001ff0b0800000000c0000000",
         "{\"b\": \"base64:type15:AAH/\", \"t\": \"12:00:00.000000\"}"},
        {"0f0fc80161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616"
         "1616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161"
         "6161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616161616"
         "161616161616161616161616161616161616161616161616161616161616161616161616161616161",
         "\"base64:type15:"
         "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\\nYWFhYWFhYWFhYWFhYWFhYWFhYWFhYW"
         "FhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\\nYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
         "YWFhYWFhYWFhYWFh\\nYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\""},
        {"06e807", "2024"},
        {"0f0f0105", "\"base64:type15:BQ==\""},
        {"000100a4000b000100000c006703009800190003001c00040020000b00002b000c7800027e0063727374797065636f6f7264696e61746"
         "57302004d001200040016000a000c20000025007479706570726f70657274696573046e616d65010028000b0004000c0f006e616d6518"
         "75726e3a6f67633a6465663a6372733a4d7953514c3a3a3005506f696e7402001a000b0a000b1200000000000000f03f0000000000000"
         "040",
         "{\"g\": {\"crs\": {\"type\": \"name\", \"properties\": {\"name\": \"urn:ogc:def:crs:MySQL::0\"}}, \"type\": "
         "\"Point\", \"coordinates\": [1.0, 2.0]}}"},
        {"0ff6080c037ffffffffe0b", "-0.500"},
        {"0002005c0012000100130001000014000c2d00617a010019000b000100020c006203000d000501000502000503002e787878787878787"
         "87878787878787878787878787878787878787878787878787878787878787878787878787878",
         "{\"a\": {\"b\": [1, 2, 3]}, \"z\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"},
    };
    for (size_t i = 0; i < WB_COUNT(golden); i++) check(&golden[i]);
}

/* NUL within a string, quotes and backslashes in keys. */
static void test_d48_strings_have_lengths(void **state)
{
    (void)state;
    static const pair cases[] = {
        {"0c 03 610062", "\"a\\u0000b\""},
        {"00 0100 0e00 0b00 0300 04 0200 22 5c 0a", "{\"\\\"\\\\\\n\": false}"},
        {"0c 00", "\"\""},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) check(&cases[i]);
}

/* After an update in place keys and values lie anywhere, with gaps between. */
static void test_d47_offsets_not_order(void **state)
{
    (void)state;
    /* {"a": "x", "b": "y"}: values before keys, a hole, b's key before a's */
    static const pair moved = {"00 0200 2000 1f00 0100 1e00 0100 0c 1a00 0c 1400 0000 0179 00000000 0178 0000 62 61",
                               "{\"a\": \"x\", \"b\": \"y\"}"};
    check(&moved);
}

static void test_empty_is_null(void **state)
{
    (void)state;
    static const pair nothing = {"", "null"};
    check(&nothing);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0d",
        "0c 05 61",
        "0c ffffffffff 61",
        "04 03",
        "05 01",
        "00 0100 ff00",
        "00 0100 0b00 ff00 0100 04 0100",
        "02 0100 0700 02 0000",
        "02 0100 0700 02 0400",
        "0f f6 04 0a00 8000",
        "0f 0c 02 0000",
        "0f 0a 08 ffffffffffffffff",
        "ff",
        "02 0200 0a00 0c 0a00 0c 0b00",
        "0b 0000",
    };
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_out bytes = {0}, text = {.limit = 1000};
        put_hex(&bytes, bad[i]);
        if (my_json_text(bytes.p, bytes.len, &text)) fail_msg("%s", bad[i]);
        wb_out_fini(&bytes);
        wb_out_fini(&text);
    }
}

/* ---------------------------------------------------------------- partial updates */

static const char *diffed(const char *before, const char *diffs, wb_out *text)
{
    wb_out b = {0}, d = {0};
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    put_hex(&b, before);
    put_hex(&d, diffs);
    wb_out_reset(text);
    const char *why = my_json_apply(b.p, b.len, d.p, d.len, &a, text);
    wb_out_byte(text, 0);
    wb_out_fini(&b);
    wb_out_fini(&d);
    wb_arena_fini(&a);
    return why;
}

/* {"a": [1, 2], "bb": true} */
#define DOC "00 0200 2200 1200 0100 1300 0200 02 1500 04 0100 61 6262 0200 0a00 05 0100 05 0200 000000"

static void test_d36_json_diffs(void **state)
{
    (void)state;
    static const struct {
        const char *diffs, *text;
    } cases[] = {
        {"", "{\"a\": [1, 2], \"bb\": true}"},
        {"00 04 24 2e 6262 02 04 02", "{\"a\": [1, 2], \"bb\": false}"},            /* replace $.bb */
        {"00 06 24 2e 61 5b 31 5d 03 05 0900", "{\"a\": [1, 9], \"bb\": true}"},    /* replace $.a[1] */
        {"01 06 24 2e 61 5b 30 5d 03 05 0700", "{\"a\": [7, 1, 2], \"bb\": true}"}, /* insert $.a[0] */
        {"01 06 24 2e 61 5b 39 5d 03 05 0700", "{\"a\": [1, 2, 7], \"bb\": true}"}, /* insert $.a[9] */
        {"01 03 24 2e 62 02 04 00", "{\"a\": [1, 2], \"b\": null, \"bb\": true}"},  /* insert $.b */
        {"01 07 24 2e 22 6b 22 79 22 02 04 00", "!a JSON diff leads to what the value before does not have"},
        {"01 07 24 2e 22 6b 20 79 22 02 04 00", "{\"a\": [1, 2], \"bb\": true, \"k y\": null}"}, /* insert $."k y" */
        {"01 08 24 2e 22 6b 5c 22 79 22 02 04 00",
         "{\"a\": [1, 2], \"bb\": true, \"k\\\"y\": null}"},       /* D48: $."k\"y" */
        {"02 03 24 2e 61", "{\"bb\": true}"},                      /* remove $.a */
        {"02 06 24 2e 61 5b 30 5d", "{\"a\": [2], \"bb\": true}"}, /* remove $.a[0] */
        {"02 03 24 2e 61 02 04 24 2e 6262", "{}"},                 /* two of them */
        {"00 01 24 02 04 01", "true"},                             /* replace $ */
        {"02 03 24 2e 7a", "!a JSON diff leads to what the value before does not have"},
        {"01 05 24 2e 6262 2e 02 04 00", "!the path of a JSON diff is damaged"},
        {"03 01 24", "!a JSON diff is damaged"},
        {"00 09 24", "!a JSON diff is damaged"},
    };
    wb_out text = {0};
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        const char *why = diffed(DOC, cases[i].diffs, &text);
        if (cases[i].text[0] == '!')
            assert_string_equal(why ? why : "", cases[i].text + 1);
        else if (why)
            fail_msg("%s: %s", cases[i].diffs, why);
        else
            assert_string_equal(text.p, cases[i].text);
    }
    wb_out_fini(&text);
}

#define JSON_MAP "03 f5", "04", "01 01 00 04 05 026964 016a 08 01 00"

static wb_code feed_partial(fixture *f, const char *body)
{
    ok(feed_gtid(f, 1));
    ok(feed_query(f, "BEGIN"));
    ok(feed_map(f, 9, "t", JSON_MAP));
    ok(feed_rows(f, MY_PARTIAL_UPDATE_ROWS, 9, body));
    return feed_xid(f);
}

/* The whole event: full values, diffs, no change, and a diff without the row before, which stops. */
static void test_d36_partial_update_rows(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    /* before (1, [1]); options 1, column 1 is a diff: replace $[0] with 2 */
    ok(feed_partial(
        f,
        "02 ff ff fc 01000000 08000000 02 0100 0700 05 0100 01 01 fc 01000000 0a000000 00 04 24 5b 30 5d 03 05 0200"));
    assert_said(f, "begin " SID ":1\nupdate t #0 -int:1 json:[1] +int:1 json:[2]\ncommit 1\n");
    ok(feed_partial(f, "02 ff ff fc 01000000 02000000 04 01 01 01 fc 02000000 00000000"));
    assert_said(f, "begin " SID ":1\nupdate(key) t #0 -int:1 json:true +int:2 json:true\ncommit 1\n");
    ok(feed_partial(f, "02 ff ff fc 01000000 02000000 04 01 00 fc 01000000 02000000 04 02"));
    assert_said(f, "begin " SID ":1\nupdate t #0 -int:1 json:true +int:1 json:false\ncommit 1\n");
    assert_error(f, feed_partial(f, "02 01 02 fe 01000000 01 01 fe 0a000000 00 04 24 5b 30 5d 03 05 0200"),
                 WB_E_UNSUPPORTED,
                 "has only what changed within the JSON column j, and the row before is not in the log");
    assert_non_null(strstr(f->err.hint, "binlog_row_value_options"));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d50_text_of_the_server),
        cmocka_unit_test(test_d48_strings_have_lengths),
        cmocka_unit_test(test_d47_offsets_not_order),
        cmocka_unit_test(test_empty_is_null),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_d36_json_diffs),
        cmocka_unit_test(test_d36_partial_update_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
