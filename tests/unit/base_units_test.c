/* wb_parse_size, wb_parse_msec, wb_parse_int: every unit, every way to get it wrong. */
#include "base/options.h"
#include "check.h"

static void test_units(void **state)
{
    WB_UNUSED(state);
    wb_error err = {0};
    typedef wb_code (*parser)(const char *, int64_t *, wb_error *);
    const int64_t no = -424242;
    const struct {
        parser parse;
        const char *text;
        int64_t want;
    } rows[] = {
        {wb_parse_size, "0", 0},
        {wb_parse_size, "100", 100},
        {wb_parse_size, "100B", 100},
        {wb_parse_size, "64kB", 65536},
        {wb_parse_size, "64KB", 65536},
        {wb_parse_size, "64k", 65536},
        {wb_parse_size, "64KiB", 65536},
        {wb_parse_size, "64 kB", 65536},
        {wb_parse_size, "32MB", 32 << 20},
        {wb_parse_size, "10GB", (int64_t)10 << 30},
        {wb_parse_size, "2TB", (int64_t)2 << 40},
        {wb_parse_size, "1.5GB", (int64_t)3 << 29},
        {wb_parse_size, "8388607TB", (int64_t)8388607 << 40},
        {wb_parse_size, "8388608TB", no},
        {wb_parse_size, "1.5", no},
        {wb_parse_size, "1.1234567GB", no},
        {wb_parse_size, "10PB", no},
        {wb_parse_size, "10kBB", no},
        {wb_parse_size, "kB", no},
        {wb_parse_size, "", no},
        {wb_parse_size, "-1", no},
        {wb_parse_size, "- 1", no},
        {wb_parse_size, "1.", no},
        {wb_parse_size, "0x10", no},
        {wb_parse_size, "99999999999999999999999", no},
        {wb_parse_msec, "50ms", 50},
        {wb_parse_msec, "10s", 10000},
        {wb_parse_msec, "5m", 300000},
        {wb_parse_msec, "2h", 7200000},
        {wb_parse_msec, "1d", 86400000},
        {wb_parse_msec, "0s", 0},
        {wb_parse_msec, "1.5s", 1500},
        {wb_parse_msec, "0.25h", 900000},
        {wb_parse_msec, "0.5ms", no},
        {wb_parse_msec, "10", no},
        {wb_parse_msec, "0", no},
        {wb_parse_msec, "10us", no},
        {wb_parse_msec, "10S", no},
        {wb_parse_msec, "10M", no},
        {wb_parse_msec, "1h30m", no},
        {wb_parse_msec, "-1s", no},
        {wb_parse_msec, "ms", no},
        {wb_parse_msec, "106751991168d", no},
        {wb_parse_int, "0", 0},
        {wb_parse_int, "-7", -7},
        {wb_parse_int, "+7", 7},
        {wb_parse_int, "007", 7},
        {wb_parse_int, "9223372036854775807", INT64_MAX},
        {wb_parse_int, "-9223372036854775808", INT64_MIN},
        {wb_parse_int, "9223372036854775808", no},
        {wb_parse_int, "-9223372036854775809", no},
        {wb_parse_int, "1 ", no},
        {wb_parse_int, " 1", no},
        {wb_parse_int, "1e3", no},
        {wb_parse_int, "--1", no},
        {wb_parse_int, "-", no},
        {wb_parse_int, "", no},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        int64_t v = -1;
        wb_error_reset(&err);
        wb_code code = rows[i].parse(rows[i].text, &v, &err);
        if (rows[i].want == no) {
            if (code != WB_E_CONFIG) fail_msg("`%s` was accepted as %lld", rows[i].text, (long long)v);
            assert_int_equal(err.code, WB_E_CONFIG);
            assert_true(err.hint[0] != 0);
        } else if (code != WB_OK || v != rows[i].want) {
            fail_msg("`%s` is %lld (%s)", rows[i].text, (long long)v, err.message);
        }
    }
    wb_error_reset(&err);
    int64_t v;
    assert_int_equal(wb_parse_msec("10", &v, &err), WB_E_CONFIG);
    assert_string_equal(err.message, "`10` has no unit; write a unit: 10s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
