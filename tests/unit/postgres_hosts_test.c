/* hosts.c: lists of hosts, addresses and ports, as a url names them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "sources/postgres/pg.h"

static pg_hosts h;

static void test_one(void **state)
{
    WB_UNUSED(state);
    assert_true(pg_hosts_split(NULL, NULL, NULL, &h));
    assert_int_equal(h.n, 1);
    assert_null(h.host[0]);
    assert_true(pg_hosts_split("db", NULL, "5433", &h));
    assert_int_equal(h.n, 1);
    assert_string_equal(h.host[0], "db");
    assert_string_equal(h.port[0], "5433");
}

static void test_several(void **state)
{
    WB_UNUSED(state);
    assert_true(pg_hosts_split("a,b,c", NULL, "1,2,3", &h));
    assert_int_equal(h.n, 3);
    assert_string_equal(h.host[2], "c");
    assert_string_equal(h.port[2], "3");
    assert_true(pg_hosts_split("a,b", NULL, "5433", &h)); /* one port for all */
    assert_string_equal(h.port[1], "5433");
    assert_true(pg_hosts_split("a,b", NULL, NULL, &h));
    assert_null(h.port[1]);
    assert_true(pg_hosts_split("a,", "10.0.0.1,10.0.0.2", NULL, &h));
    assert_string_equal(h.addr[1], "10.0.0.2");
    assert_string_equal(h.host[1], "");
}

static void test_what_does_not_fit(void **state)
{
    WB_UNUSED(state);
    char many[64] = "a", longer[2000];
    for (size_t i = 0; i < PG_HOSTS; i++) memcpy(many + 1 + 2 * i, ",a", 3);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_false(pg_hosts_split("a,b", NULL, "1,2,3", &h));
    assert_false(pg_hosts_split("a,b", "1.1.1.1", NULL, &h));
    assert_false(pg_hosts_split(many, NULL, NULL, &h));
    assert_false(pg_hosts_split(longer, NULL, NULL, &h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_several),
                                       cmocka_unit_test(test_what_does_not_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
