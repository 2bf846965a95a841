/* mysql_gtid_test.c: GTIDs, their sets, and the order of log files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "sources/mysql/gtid.h"
#include "sources/mysql/wire.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "4e11fa47-71ca-11e1-9e33-c80aa9429562"

static my_gtid_set *set_of(const char *text)
{
    wb_error err;
    wb_error_reset(&err);
    my_gtid_set *s = my_gtid_set_new();
    assert_non_null(s);
    if (my_gtid_set_parse(s, wb_str_of(text), &err) != WB_OK) fail_msg("%s: %s", text, err.message);
    return s;
}

static void assert_set(const my_gtid_set *s, const char *text)
{
    wb_out o = {0};
    my_gtid_set_text(s, &o);
    wb_out_byte(&o, 0);
    assert_string_equal(o.p, text);
    wb_out_fini(&o);
}

static void refuse(const char *text)
{
    wb_error err;
    wb_error_reset(&err);
    my_gtid_set *s = set_of(A ":7");
    assert_int_equal(my_gtid_set_parse(s, wb_str_of(text), &err), WB_E_CONFIG);
    assert_true(err.message[0] && err.hint[0]);
    assert_set(s, A ":7");
    my_gtid_set_free(s);
}

typedef bool (*operation)(my_gtid_set *, const my_gtid_set *);
static void check_op(operation op, const char *a, const char *b, const char *expect)
{
    my_gtid_set *x = set_of(a), *y = set_of(b);
    assert_true(op(x, y));
    assert_set(x, expect);
    my_gtid_set_free(x);
    my_gtid_set_free(y);
}

static bool within(const char *a, const char *b)
{
    my_gtid_set *x = set_of(a), *y = set_of(b);
    bool is = my_gtid_set_within(x, y);
    my_gtid_set_free(x);
    my_gtid_set_free(y);
    return is;
}

static my_gtid mysql_gtid(const char *text)
{
    my_gtid_set *s = set_of(text);
    my_gtid g = {.flavor = MY_MYSQL};
    wb_out o = {0};
    my_gtid_set_encode(s, &o);
    bool tagged = my_gtid_set_tagged(s);
    wb_rd r = wb_rd_of(o.p + 8, o.len - 8);
    memcpy(g.sid, wb_rd_bytes(&r, 16), 16);
    if (tagged) {
        uint64_t n = my_rd_varint(&r);
        memcpy(g.tag, wb_rd_bytes(&r, (size_t)n), (size_t)n);
    }
    my_rd_u64(&r);
    g.n = my_rd_u64(&r);
    wb_out_fini(&o);
    my_gtid_set_free(s);
    return g;
}

static bool holds(const char *set, const char *one)
{
    my_gtid_set *s = set_of(set);
    my_gtid g = mysql_gtid(one);
    bool is = my_gtid_set_holds(s, &g);
    my_gtid_set_free(s);
    return is;
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {A ":1-5:7", A ":1-5:7"},
        {A ":7:1-5:6", A ":1-7"},
        {" " A ": 1 - 3 ,\n" B ":2", A ":1-3," B ":2"},
        {B ":2," A ":1", A ":1," B ":2"},
        {A ":1-3:Tag_A:1-2:5:b:9", A ":1-3:b:9:tag_a:1-2:5"},
        {"3E11FA4771CA11E19E33C80AA9429562:5", A ":5"},
        {A ":9223372036854775806", A ":9223372036854775806"},
        {"5-3-7,0-1-100", "0-1-100,5-3-7"},
        {"0-1-18446744073709551615", "0-1-18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        my_gtid_set *s = set_of(cases[i].in);
        assert_set(s, cases[i].out);
        my_gtid_set_free(s);
    }
    static const char *const bad[] = {
        A,
        A ":",
        A ":0",
        A ":5-3",
        A ":1-",
        A ":1;2",
        A ":x-1",
        A ":tag",
        A ":1,",
        "0-1",
        "0-1-",
        "0-1-x",
        "4294967296-1-1",
        A ":9223372036854775807",
        "3e11fa47:1",
        A ":a123456789012345678901234567890123:1",
        "0-1-1," A ":1",
        "rubbish",
        "0-1-18446744073709551616",
        A ":é:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strcmp(bad[i], A ":1,") != 0) refuse(bad[i]);
}

static void test_one_gtid(void **state)
{
    (void)state;
    char text[MY_GTID_TEXT];
    my_gtid g = mysql_gtid(A ":23");
    assert_int_equal(my_gtid_text(&g, text), strlen(A ":23"));
    assert_string_equal(text, A ":23");
    g = mysql_gtid(A ":tag:9223372036854775806");
    my_gtid_text(&g, text);
    assert_string_equal(text, A ":tag:9223372036854775806");
    my_gtid m = {.flavor = MY_MARIADB, .n = 100, .domain = 4294967295u, .server = 1};
    my_gtid_text(&m, text);
    assert_string_equal(text, "4294967295-1-100");
    my_gtid none = {0};
    assert_int_equal(my_gtid_text(&none, text), 0);
    assert_string_equal(text, "");
}

/* Server has 1-10, we were restored at 1-3:5-10: transaction 4 is what is missing, and nothing else. */
static void test_d41_gtid_sets_are_sets(void **state)
{
    (void)state;
    check_op(my_gtid_set_subtract, A ":1-10", A ":1-3:5-10", A ":4");
    assert_false(holds(A ":1-3:5-10", A ":4"));
    assert_true(holds(A ":1-3:5-10", A ":3"));
    assert_true(holds(A ":1-3:5-10", A ":5"));
    assert_true(holds(A ":1-3:5-10", A ":10"));
    assert_false(holds(A ":1-3:5-10", A ":11"));
    assert_true(holds(A ":5", A ":5")); /* single numbers */
    assert_false(holds(A ":5", A ":6"));
    assert_false(holds(A ":5", B ":5"));
    assert_false(holds(A ":5", A ":t:5"));
    assert_true(holds(A ":5:t:5", A ":t:5"));
    check_op(my_gtid_set_unite, A ":1-3:5-10", A ":4", A ":1-10");
    check_op(my_gtid_set_unite, A ":1-3," B ":9", A ":7:t:1," B ":8-11", A ":1-3:7:t:1," B ":8-11");
    check_op(my_gtid_set_unite, "", A ":7", A ":7");
    check_op(my_gtid_set_meet, A ":1-10:20-30", A ":5-25," B ":1", A ":5-10:20-25");
    check_op(my_gtid_set_meet, A ":1-10", A ":t:1-10", "");
    check_op(my_gtid_set_subtract, A ":1-10:20-30," B ":1", A ":5-25", A ":1-4:26-30," B ":1");
    check_op(my_gtid_set_subtract, A ":1-10", A ":1-10", "");
    assert_true(within(A ":2-3", A ":1-5"));
    assert_true(within("", A ":1"));
    assert_false(within(A ":1", ""));
    assert_false(within(A ":2-6", A ":1-5"));
    assert_false(within(A ":1-10", A ":1-3:5-10"));
    assert_true(within(A ":1-3:7", A ":1-4:6-8"));
    assert_false(within(A ":1:t:1", A ":1-9"));
}

/* A failover changes the server in a domain: only the number counts. */
static void test_d44_mariadb_compares_by_domain(void **state)
{
    (void)state;
    my_gtid_set *s = set_of("0-1-100,5-3-7");
    my_gtid g = {.flavor = MY_MARIADB, .n = 99, .domain = 0, .server = 2};
    assert_true(my_gtid_set_holds(s, &g));
    g.n = 101;
    assert_false(my_gtid_set_holds(s, &g));
    assert_true(my_gtid_set_add(s, &g));
    assert_set(s, "0-2-101,5-3-7");
    g.n = 3;
    g.server = 1;
    assert_true(my_gtid_set_add(s, &g)); /* an old number does not go back */
    assert_set(s, "0-2-101,5-3-7");
    g.domain = 9;
    assert_false(my_gtid_set_holds(s, &g));
    my_gtid_set_free(s);
    assert_true(within("0-1-100", "0-2-100"));
    assert_false(within("0-1-100", "0-2-99"));
    assert_false(within("0-1-100", "1-1-100"));
    check_op(my_gtid_set_meet, "0-1-100,5-3-7", "0-2-90,6-1-1", "0-2-90");
    check_op(my_gtid_set_subtract, "0-1-100,5-3-7", "0-2-90,5-3-8", "0-1-100");
    check_op(my_gtid_set_unite, "0-1-100", "0-2-101,3-3-3", "0-2-101,3-3-3");
}

static void test_flavors_do_not_mix(void **state)
{
    (void)state;
    my_gtid_set *a = set_of(A ":1"), *m = set_of("0-1-1");
    my_gtid g = {.flavor = MY_MARIADB, .n = 1}, none = {0};
    assert_false(my_gtid_set_unite(a, m));
    assert_false(my_gtid_set_meet(m, a));
    assert_false(my_gtid_set_subtract(m, a));
    assert_false(my_gtid_set_add(a, &g));
    assert_false(my_gtid_set_add(a, &none));
    assert_false(my_gtid_set_within(a, m));
    assert_false(my_gtid_set_holds(a, &g));
    assert_set(a, A ":1");
    assert_set(m, "0-1-1");
    my_gtid_set_free(a);
    my_gtid_set_free(m);
}

static void check_bytes(const char *text)
{
    wb_error err;
    wb_error_reset(&err);
    my_gtid_set *s = set_of(text), *back = my_gtid_set_new();
    wb_out o = {0};
    my_gtid_set_encode(s, &o);
    assert_int_equal(my_gtid_set_decode(back, o.p, o.len, &err), WB_OK);
    assert_true(my_gtid_set_equal(s, back));
    my_gtid_set_clear(back);
    for (size_t n = 0; n < o.len; n++) {
        wb_error_reset(&err);
        char *exact = malloc(n + 1);
        memcpy(exact, o.p, n);
        assert_int_equal(my_gtid_set_decode(back, exact, n, &err), WB_E_PROTOCOL);
        assert_true(my_gtid_set_empty(back));
        free(exact);
    }
    wb_out_fini(&o);
    my_gtid_set_free(s);
    my_gtid_set_free(back);
}

static void test_binary_form(void **state)
{
    (void)state;
    check_bytes("");
    check_bytes(A ":1-5:7");
    check_bytes(A ":1-5:7," B ":1-9223372036854775806");
    check_bytes(A ":1-5:tag:3:zz_top:9," B ":x:1");
    my_gtid_set *s = set_of(A ":1-5:7");
    wb_out o = {0};
    my_gtid_set_encode(s, &o);
    static const uint8_t expect[] = {1,    0,    0,    0,    0,    0,    0,    0,    0x3e, 0x11, 0xfa, 0x47, 0x71,
                                     0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62, 2,    0,
                                     0,    0,    0,    0,    0,    0,    1,    0,    0,    0,    0,    0,    0,
                                     0,    6,    0,    0,    0,    0,    0,    0,    0,    7,    0,    0,    0,
                                     0,    0,    0,    0,    8,    0,    0,    0,    0,    0,    0,    0};
    assert_int_equal(o.len, sizeof expect);
    assert_memory_equal(o.p, expect, sizeof expect);
    wb_out_fini(&o);
    my_gtid_set_free(s);
}

static void test_d40_log_files_by_number(void **state)
{
    (void)state;
    assert_int_equal(my_log_compare(WB_STR("binlog.999999"), WB_STR("binlog.1000000")), -1);
    assert_int_equal(my_log_compare(WB_STR("binlog.1000000"), WB_STR("binlog.999999")), 1);
    assert_int_equal(my_log_compare(WB_STR("binlog.000042"), WB_STR("binlog.000042")), 0);
    assert_int_equal(my_log_compare(WB_STR("a.b.000001"), WB_STR("a.b.000002")), -1);
    assert_int_equal(my_log_compare(WB_STR("binlog.000042"), WB_STR("mysql-bin.000042")), 2);
    assert_int_equal(my_log_compare(WB_STR("binlog2.000042"), WB_STR("binlog.000042")), 2);
    assert_int_equal(my_log_compare(WB_STR(""), WB_STR("")), 0);
}

static void test_varint(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[9];
        size_t n;
        uint64_t value;
    } cases[] = {{{0}, 1, 0},
                 {{2}, 1, 1},
                 {{0xfe}, 1, 127},
                 {{0x01, 0x02}, 2, 128},
                 {{0xfd, 0x03}, 2, 255},
                 {{0xfd, 0xff}, 2, 16383},
                 {{0x03, 0x00, 0x02}, 3, 16384},
                 {{0x7f, 1, 2, 3, 4, 5, 6, 7}, 8, 0x07060504030201},
                 {{0xff, 1, 2, 3, 4, 5, 6, 7, 0x88}, 9, 0x8807060504030201}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_rd r = wb_rd_of(cases[i].bytes, cases[i].n);
        assert_true(my_rd_varint(&r) == cases[i].value);
        assert_false(r.failed);
        assert_int_equal(wb_rd_left(&r), 0);
        r = wb_rd_of(cases[i].bytes, cases[i].n - 1);
        (void)my_rd_varint(&r);
        assert_true(r.failed);
    }
    static const uint8_t minus[] = {1 << 1};
    wb_rd r = wb_rd_of(minus, 1);
    assert_int_equal(my_rd_svarint(&r), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_one_gtid),
        cmocka_unit_test(test_d41_gtid_sets_are_sets),
        cmocka_unit_test(test_d44_mariadb_compares_by_domain),
        cmocka_unit_test(test_flavors_do_not_mix),
        cmocka_unit_test(test_binary_form),
        cmocka_unit_test(test_d40_log_files_by_number),
        cmocka_unit_test(test_varint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
