/* Built-in types: kind, name with modifier, and which texts their kinds can hold. */
#include "postgres_help.h"

static void test_names(void **state)
{
    (void)state;
    const struct {
        uint32_t oid;
        int32_t mod;
        const char *name;
    } rows[] = {
        {16, -1, "boolean"},
        {20, -1, "bigint"},
        {21, -1, "smallint"},
        {23, -1, "integer"},
        {25, -1, "text"},
        {700, -1, "real"},
        {701, -1, "double precision"},
        {1700, -1, "numeric"},
        {1700, ((12 << 16) | 2) + 4, "numeric(12,2)"},
        {1700, ((1000 << 16) | 1000) + 4, "numeric(1000,1000)"},
        {1700, ((2 << 16) | (-3 & 0x7ff)) + 4, "numeric(2,-3)"},
        {1700, ((5 << 16) | (-1000 & 0x7ff)) + 4, "numeric(5,-1000)"},
        {1231, ((12 << 16) | 2) + 4, "numeric(12,2)[]"},
        {1043, -1, "character varying"},
        {1043, 24, "character varying(20)"},
        {1015, 24, "character varying(20)[]"},
        {1042, 5, "character(1)"},
        {1042, -1, "bpchar"},
        {18, -1, "\"char\""},
        {1560, 5, "bit(5)"},
        {1562, 7, "bit varying(7)"},
        {1562, -1, "bit varying"},
        {1082, -1, "date"},
        {1083, 3, "time(3)"},
        {1114, -1, "timestamp"},
        {1114, 3, "timestamp(3)"},
        {1184, 0, "timestamptz(0)"},
        {1266, 6, "timetz(6)"},
        {1186, -1, "interval"},
        {1186, (0x7fff << 16) | 3, "interval(3)"},
        {1186, (4 << 16) | 0xffff, "interval year"},
        {1186, (0x1c08 << 16) | 2, "interval day to second(2)"},
        {1186, ((0x1c08) << 16) | 0xffff, "interval day to second"},
        {1007, -1, "integer[]"},
        {3904, -1, "int4range"},
        {4451, -1, "int4multirange"},
        {16421, 7, "type 16421"},
        {0, -1, "type 0"},
    };
    wb_out o = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wb_out_reset(&o);
        pg_type_name(rows[i].oid, rows[i].mod, &o);
        wb_out_byte(&o, 0);
        assert_string_equal(o.p, rows[i].name);
    }
    wb_out_fini(&o);
}

static void test_kinds(void **state)
{
    (void)state;
    const struct {
        wb_kind kind;
        uint32_t oids[12];
    } rows[] = {
        {WB_BOOL, {16}},
        {WB_INT, {20, 21, 23}},
        {WB_UINT, {26, 28, 29, 5069}},
        {WB_FLOAT, {700, 701}},
        {WB_DECIMAL, {1700}},
        {WB_TEXT, {18, 19, 25, 142, 1042, 1043}},
        {WB_BYTES, {17}},
        {WB_DATE, {1082}},
        {WB_TIME, {1083}},
        {WB_TIMESTAMP, {1114}},
        {WB_TIMESTAMPTZ, {1184}},
        {WB_INTERVAL, {1186}},
        {WB_UUID, {2950}},
        {WB_JSON, {114, 3802}},
        {WB_ARRAY, {1000, 1001, 1007, 1009, 1016, 1185, 1231, 2951, 3807, 3905, 199}},
        {WB_RANGE, {3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536}},
        {WB_OTHER, {790, 1266, 1560, 1562, 869, 650, 829, 600, 3220, 16384, 22, 30}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < 12 && rows[i].oids[k]; k++)
            assert_int_equal(pg_type_kind(rows[i].oids[k]), rows[i].kind);
    assert_int_equal(pg_type_kind(0), WB_OTHER);
}

typedef struct fit {
    wb_kind kind;
    const char *text;
    bool fits;
} fit;

static void check(const fit *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(rows[i].text);
        char *exact = malloc(len ? len : 1); /* the sanitizer sees a byte read too many */
        memcpy(exact, rows[i].text, len);
        wb_value v = pg_value_of_text(rows[i].kind, exact, (uint32_t)len);
        if ((v.kind == rows[i].kind) != rows[i].fits) fail_msg("\"%s\" became kind %d", rows[i].text, v.kind);
        assert_true(v.kind == rows[i].kind || v.kind == WB_OTHER);
        assert_true(v.flags == WB_V_TEXT && v.len == len && v.as.ptr == exact);
        free(exact);
    }
}

static void test_plain_values(void **state)
{
    (void)state;
    const fit rows[] = {
        {WB_BOOL, "t", true},          {WB_BOOL, "f", true},
        {WB_BOOL, "true", false},      {WB_BOOL, "", false},
        {WB_INT, "0", true},           {WB_INT, "-9223372036854775808", true},
        {WB_INT, "-", false},          {WB_INT, "", false},
        {WB_INT, "x", false},          {WB_INT, "123456789012345678901", false},
        {WB_UINT, "4294967295", true}, {WB_UINT, "-1", false},
        {WB_TEXT, "", true},           {WB_BYTES, "\\x", true},
        {WB_BYTES, "\\x00ff", true},   {WB_BYTES, "\\336\\255", false},
        {WB_BYTES, "\\x0", false},     {WB_UUID, "3d57c2e0-8f3a-11ee-b9d1-0242ac120002", true},
        {WB_UUID, "3d57c2e0", false},  {WB_JSON, "null", true},
        {WB_JSON, "", false},          {WB_INTERVAL, "1 year 2 mons -3 days +04:05:06.789", true},
        {WB_RANGE, "empty", true},     {WB_TIME, "04:05:06.789", true},
        {WB_TIME, "23:59:59", true},   {WB_TIME, "24:00:00", false},
        {WB_TIME, "23:59:59.", false}, {WB_TIME, "23:59:59.1234567", false},
        {WB_TIME, "10:00", false},     {WB_TIME, "10:00:00+00", false},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_d16_infinite_numbers(void **state)
{
    (void)state;
    const fit rows[] = {
        {WB_DECIMAL, "NaN", true},  {WB_DECIMAL, "Infinity", true}, {WB_DECIMAL, "-Infinity", true},
        {WB_FLOAT, "NaN", true},    {WB_FLOAT, "-Infinity", true},  {WB_FLOAT, "1e+301", true},
        {WB_DECIMAL, "0.00", true}, {WB_DECIMAL, "", false},        {WB_FLOAT, "", false},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_d17_infinity_and_bc(void **state)
{
    (void)state;
    const fit rows[] = {
        {WB_DATE, "2024-02-29", true},
        {WB_DATE, "9999-12-31", true},
        {WB_DATE, "infinity", false},
        {WB_DATE, "-infinity", false},
        {WB_DATE, "0044-03-15 BC", false},
        {WB_DATE, "10000-01-01", false},
        {WB_DATE, "5874897-12-31", false},
        {WB_DATE, "2024-02-2x", false},
        {WB_DATE, "2024/02/29", false},
        {WB_DATE, "29-02-2024", false},
        {WB_DATE, "2024-02-", false},
        {WB_DATE, "", false},
        {WB_TIMESTAMP, "2024-02-29 10:00:00", true},
        {WB_TIMESTAMP, "2024-02-29 10:00:00.123456", true},
        {WB_TIMESTAMP, "2024-02-29 10:00:00.5", true},
        {WB_TIMESTAMP, "2024-02-29 10:00:00.", false},
        {WB_TIMESTAMP, "2024-02-29 10:00:00.1234567", false},
        {WB_TIMESTAMP, "2024-02-29 10:00:00.12x456", false},
        {WB_TIMESTAMP, "2024-02-29T10:00:00", false},
        {WB_TIMESTAMP, "2024-02-29 10:00:0x", false},
        {WB_TIMESTAMP, "infinity", false},
        {WB_TIMESTAMP, "-infinity", false},
        {WB_TIMESTAMP, "0044-03-15 10:00:00 BC", false},
        {WB_TIMESTAMP, "10000-01-01 00:00:00", false},
        {WB_TIMESTAMP, "2024-02-29", false},
        {WB_TIMESTAMPTZ, "2024-02-29 10:00:00.123456+00", true},
        {WB_TIMESTAMPTZ, "2024-02-29 10:00:00+00", true},
        {WB_TIMESTAMPTZ, "2024-02-29 10:00:00", false},
        {WB_TIMESTAMPTZ, "2024-02-29 10:00:00+01", false},
        {WB_TIMESTAMPTZ, "2024-02-29 10:00:00+05:30", false},
        {WB_TIMESTAMPTZ, "0044-03-15 10:00:00+00 BC", false},
        {WB_TIMESTAMPTZ, "10000-01-01 00:00:00+00", false},
        {WB_TIMESTAMPTZ, "infinity", false},
        {WB_TIMESTAMPTZ, "+00", false},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

/* The bytes before the digits and after them are not digits, in every place. */
static void test_date_digits(void **state)
{
    (void)state;
    const char good[] = "2024-02-29 23:59:58.123456";
    for (size_t i = 0; i < sizeof good - 1; i++) {
        for (int c = 1; c < 256; c++) {
            char bad[sizeof good];
            memcpy(bad, good, sizeof good);
            bad[i] = (char)c;
            bool digit = good[i] >= '0' && good[i] <= '9';
            bool fits = digit ? c >= '0' && c <= '9' : (char)c == good[i];
            const fit row = {WB_TIMESTAMP, bad, fits};
            check(&row, 1);
        }
    }
}

static void test_d18_money(void **state)
{
    (void)state;
    const fit rows[] = {{WB_OTHER, "-$92,233,720,368,547,758.08", true}, {WB_OTHER, "$0.00", true}};
    assert_int_equal(pg_type_kind(790), WB_OTHER);
    check(rows, 2);
}

static void test_d19_arrays(void **state)
{
    (void)state;
    const fit rows[] = {{WB_ARRAY, "[0:1]={7,8}", true},
                        {WB_ARRAY, "{{NULL},{NULL}}", true},
                        {WB_ARRAY, "{}", true},
                        {WB_ARRAY, "{\"NULL\"}", true}};
    check(rows, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_plain_values),
        cmocka_unit_test(test_d16_infinite_numbers),
        cmocka_unit_test(test_d17_infinity_and_bc),
        cmocka_unit_test(test_date_digits),
        cmocka_unit_test(test_d18_money),
        cmocka_unit_test(test_d19_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
