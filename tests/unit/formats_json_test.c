/* formats_json_test.c: every kind of value as JSON, in both of its forms; escapes; what is refused. */
#include "formats_help.h"

static char *json(const wb_value *v, wb_json_options opt)
{
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    if (wb_json_value(&o, v, &opt, &err) != WB_OK) fail_msg("%s", err.message);
    wb_out_byte(&o, '\0');
    return o.p;
}

static void expect(wb_value v, const char *want)
{
    char *got = json(&v, (wb_json_options){0});
    assert_string_equal(got, want);
    free(got);
}

static void expect_hex(wb_value v, const char *want)
{
    char *got = json(&v, (wb_json_options){.hex = true});
    assert_string_equal(got, want);
    free(got);
}

static void test_simple_kinds(void **state)
{
    WB_UNUSED(state);
    expect(kind(WB_NULL), "null");
    expect(kind(WB_ABSENT), "null");
    expect(kind(WB_UNCHANGED), "null");
    expect(number(WB_BOOL, 1), "true");
    expect(number(WB_BOOL, 0), "false");
    expect(text(WB_BOOL, "t"), "true");
    expect(text(WB_BOOL, "f"), "false");
    expect(text(WB_INT, "-42"), "-42");
    expect(text(WB_INT, "9223372036854775807"), "9223372036854775807");
    expect(number(WB_INT, INT64_MIN), "-9223372036854775808");
    expect(number(WB_INT, INT64_MAX), "9223372036854775807");
    expect(number(WB_INT, 0), "0");
    expect(number(WB_UINT, -1), "18446744073709551615");
    expect(text(WB_UINT, "18446744073709551615"), "18446744073709551615");
    expect(text(WB_DECIMAL, "12345678901234567890.123456789"), "\"12345678901234567890.123456789\"");
    expect(text(WB_DECIMAL, "NaN"), "\"NaN\"");
    expect(text(WB_DECIMAL, "Infinity"), "\"Infinity\"");
    expect(text(WB_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"");
    expect(text(WB_INTERVAL, "1 year 2 mons -3 days +04:05:06.789"), "\"1 year 2 mons -3 days +04:05:06.789\"");
    expect(text(WB_ARRAY, "{1,2,NULL,\"a b\"}"), "\"{1,2,NULL,\\\"a b\\\"}\"");
    expect(text(WB_RANGE, "[1,10)"), "\"[1,10)\"");
    expect(text(WB_OTHER, "(1,2)"), "\"(1,2)\"");
    expect(text(WB_INT, ""), "\"\"");
}

static void test_floats(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_FLOAT, "1e+301"), "1e+301");
    expect(text(WB_FLOAT, "-0"), "-0");
    expect(text(WB_FLOAT, "NaN"), "\"NaN\"");
    expect(text(WB_FLOAT, "Infinity"), "\"Infinity\"");
    expect(text(WB_FLOAT, "-Infinity"), "\"-Infinity\"");
    expect(real(0.1), "0.1");
    expect(real(1.0 / 3), "0.3333333333333333");
    expect(real(1e301), "1e+301");
    expect(real(-0.0), "-0");
    expect(real(5e-324), "4.94065645841247e-324");
    expect(real(0.1 + 0.2), "0.30000000000000004");
    expect(real(__builtin_nan("")), "\"NaN\"");
    expect(real(__builtin_inf()), "\"Infinity\"");
    expect(real(-__builtin_inf()), "\"-Infinity\"");
}

static void test_times(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_DATE, "2024-02-29"), "\"2024-02-29\"");
    expect(number(WB_DATE, 19782), "\"2024-02-29\"");
    expect(number(WB_DATE, 0), "\"1970-01-01\"");
    expect(number(WB_DATE, -1), "\"1969-12-31\"");
    expect(number(WB_DATE, -719162), "\"0001-01-01\"");
    expect(number(WB_DATE, 2932896), "\"9999-12-31\"");
    expect(number(WB_DATE, 2932897), "\"+10000-01-01\"");
    expect(number(WB_DATE, -719529), "\"-0001-12-31\"");
    expect(text(WB_TIME, "10:00:00.5"), "\"10:00:00.5\"");
    expect(number(WB_TIME, INT64_C(36000500000)), "\"10:00:00.5\"");
    expect(number(WB_TIME, INT64_C(86399999999)), "\"23:59:59.999999\"");
    expect(number(WB_TIME, 0), "\"00:00:00\"");
    expect(text(WB_TIMESTAMP, "2024-02-29 10:00:00.123456"), "\"2024-02-29T10:00:00.123456\"");
    expect(text(WB_TIMESTAMP, "2024-02-29 10:00:00"), "\"2024-02-29T10:00:00\"");
    expect(number(WB_TIMESTAMP, INT64_C(1709200800123456)), "\"2024-02-29T10:00:00.123456\"");
    expect(number(WB_TIMESTAMP, -1), "\"1969-12-31T23:59:59.999999\"");
    expect(text(WB_TIMESTAMPTZ, "2024-02-29 10:00:00.1+00"), "\"2024-02-29T10:00:00.1Z\"");
    expect(text(WB_TIMESTAMPTZ, "2024-02-29 10:00:00+00"), "\"2024-02-29T10:00:00Z\"");
    expect(text(WB_TIMESTAMPTZ, "2024-02-29 10:00:00+05:30"), "\"2024-02-29T10:00:00+05:30\"");
    expect(number(WB_TIMESTAMPTZ, INT64_C(1709200800100000)), "\"2024-02-29T10:00:00.1Z\"");
    /* a time zone's +00 belongs to timestamptz alone */
    expect(text(WB_TIMESTAMP, "2024-02-29 10:00:00+00"), "\"2024-02-29T10:00:00+00\"");
}

/* The kind could not hold it, so it came as WB_OTHER, and stays as the source wrote it. */
static void test_d17_infinity_and_bc(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_OTHER, "infinity"), "\"infinity\"");
    expect(text(WB_OTHER, "0044-03-15 00:00:00 BC"), "\"0044-03-15 00:00:00 BC\"");
    expect(text(WB_TIMESTAMP, "infinity"), "\"infinity\"");
    expect(text(WB_OTHER, "24:00:00"), "\"24:00:00\"");
}

static void test_d16_numeric_infinity(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_DECIMAL, "-Infinity"), "\"-Infinity\"");
}

static void test_escapes(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_TEXT, ""), "\"\"");
    expect(text(WB_TEXT, "a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    expect(text(WB_TEXT, "\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"");
    expect(text_n(WB_TEXT, "\0\001\033\037\177", 5), "\"\\u0000\\u0001\\u001b\\u001f\177\"");
    expect(text(WB_TEXT, "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"),
           "\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF\"");
    expect(text(WB_TEXT, "\xE2\x80\xA8"), "\"\xE2\x80\xA8\"");
}

#define BAD "\xEF\xBF\xBD"
static void test_invalid_utf8_becomes_a_replacement(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"\xFF", BAD},
        {"a\x80z", "a" BAD "z"},
        {"\xC3", BAD},
        {"\xC3(", BAD "("},
        {"\xC0\xAF", BAD BAD},
        {"\xE2\x82", BAD BAD},
        {"\xE0\x80\x80", BAD BAD BAD},
        {"\xED\xA0\x80", BAD BAD BAD},
        {"\xF0\x9F\x98", BAD BAD BAD},
        {"\xF4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xF5\x80\x80\x80", BAD BAD BAD BAD},
        {"\xC3\xA9\xC3", "\xC3\xA9" BAD},
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        char want[64];
        snprintf(want, sizeof want, "\"%s\"", cases[i].want);
        expect(text(WB_TEXT, cases[i].in), want);
        assert_false(wb_utf8_valid(cases[i].in, strlen(cases[i].in)));
    }
    assert_true(wb_utf8_valid("gr\xC3\xBC\xC3\x9F", 6));
}

/* What is special may stand at any place of any length: blocks of 16, of 8, of 4, and what is left. The text ends where
 * its memory ends, so that a sanitizer sees a read behind it. */
static void test_escape_at_every_place(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *in, *want;
    } special[] = {
        {"\n", "\\n"}, {"\"", "\\\""}, {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"}, {"\x7F", "\x7F"}, {"\x80", BAD}};
    for (size_t s = 0; s < WB_COUNT(special); s++) {
        size_t k = strlen(special[s].in);
        for (size_t n = k; n < 70; n++) {
            for (size_t at = 0; at + k <= n; at++) {
                char *in = malloc(n), want[256];
                memset(in, 'x', n);
                memcpy(in + at, special[s].in, k);
                snprintf(want, sizeof want, "\"%.*s%s%.*s\"", (int)at,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", special[s].want,
                         (int)(n - at - k), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
                expect(text_n(WB_TEXT, in, n), want);
                free(in);
            }
        }
    }
}

static void test_bytes(void **state)
{
    WB_UNUSED(state);
    expect(raw("", 0), "\"\"");
    expect(raw("f", 1), "\"Zg==\"");
    expect(raw("fo", 2), "\"Zm8=\"");
    expect(raw("foo", 3), "\"Zm9v\"");
    expect(raw("foobar", 6), "\"Zm9vYmFy\"");
    expect(raw("\xFB\xFF\xBF", 3), "\"+/+/\"");
    expect(text(WB_BYTES, "\\x"), "\"\"");
    expect(text(WB_BYTES, "\\x666f6F"), "\"Zm9v\"");
    expect_hex(raw("", 0), "\"\"");
    expect_hex(raw("\x00\xFF\x1A", 3), "\"00ff1a\"");
    expect_hex(text(WB_BYTES, "\\x00FF1a"), "\"00ff1a\"");
}

static void test_refused_values(void **state)
{
    WB_UNUSED(state);
    wb_json_options opt = {0};
    wb_value bad[] = {text(WB_BYTES, "\\x0"), text(WB_BYTES, "\\xzz"), text(WB_BYTES, "abc"), kind(WB_DOCUMENT)};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_out o = {0};
        wb_error err;
        wb_error_reset(&err);
        assert_int_equal(wb_json_value(&o, &bad[i], &opt, &err), i == 3 ? WB_E_UNSUPPORTED : WB_E_DATA);
        assert_int_equal(err.next, WB_POISON);
        assert_int_equal(o.len, 0);
        wb_out_fini(&o);
    }
}

static void test_json_stays_one_line(void **state)
{
    WB_UNUSED(state);
    expect(text(WB_JSON, "{\n  \"a\": \"x\\ny\",\r\n  \"b\": [1, 2.50]\n}"),
           "{   \"a\": \"x\\ny\",    \"b\": [1, 2.50] }");
    expect(text(WB_JSON, "null"), "null");
    expect(text(WB_JSON, "12345678901234567890.10"), "12345678901234567890.10");
}

static void test_values_of_ten_megabytes(void **state)
{
    WB_UNUSED(state);
    size_t n = 10 * 1024 * 1024;
    char *in = malloc(n + 4);
    for (size_t i = 0; i < n; i++) in[i] = i % 3 == 0 ? '\xE2' : i % 3 == 1 ? '\x82' : '\xAC';
    wb_value v = text_n(WB_TEXT, in, n - n % 3);
    char *got = json(&v, (wb_json_options){0}); /* no character may be cut where the work is done in pieces */
    assert_int_equal(strlen(got), v.len + 2);
    assert_memory_equal(got + 1, in, v.len);
    free(got);
    memset(in, '\n', n);
    v = text_n(WB_TEXT, in, n);
    got = json(&v, (wb_json_options){0});
    assert_int_equal(strlen(got), 2 * n + 2);
    free(got);
    v = text_n(WB_JSON, in, n);
    got = json(&v, (wb_json_options){0});
    assert_int_equal(strspn(got, " "), n);
    free(got);
    memcpy(in, "\\x", 2);
    memset(in + 2, 'f', n - 2);
    v = text_n(WB_BYTES, in, n);
    got = json(&v, (wb_json_options){0});
    assert_int_equal(strlen(got), (n / 2 - 1 + 2) / 3 * 4 + 2);
    free(got);
    v = raw(in, n);
    got = json(&v, (wb_json_options){.hex = true});
    assert_int_equal(strlen(got), 2 * n + 2);
    free(got);
    free(in);
}

/* Both ways print the same: the small one in one piece, the large one in many. */
static void test_small_and_large_agree(void **state)
{
    WB_UNUSED(state);
    for (size_t n = WB_JSON_SMALL - 3; n < WB_JSON_SMALL + 20; n++) {
        char *in = malloc(n);
        for (size_t i = 0; i < n; i++) in[i] = (char)("a\xC3\xA9\"\xF0\x9F\x98\x80")[i % 8];
        wb_value v = text_n(WB_TEXT, in, n / 8 * 8);
        char *got = json(&v, (wb_json_options){0});
        assert_int_equal(strlen(got), 2 + v.len / 8 * 9);
        free(got);
        free(in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple_kinds),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_d17_infinity_and_bc),
        cmocka_unit_test(test_d16_numeric_infinity),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_invalid_utf8_becomes_a_replacement),
        cmocka_unit_test(test_escape_at_every_place),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_json_stays_one_line),
        cmocka_unit_test(test_values_of_ten_megabytes),
        cmocka_unit_test(test_small_and_large_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
