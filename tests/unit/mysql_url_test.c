/* URLs of MySQL: what they say, and what is refused without a piece of the password in the sentence. */
#include "check.h"
#include "sources/mysql/my.h"

static my_url parse(wb_arena *a, const char *text)
{
    my_url u;
    wb_error err;
    wb_error_reset(&err);
    assert_int_equal(my_url_parse(text, a, &u, &err), WB_OK);
    return u;
}

static void test_parts(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    my_url u = parse(&a, "mysql://me:p%40ss%2f@db.internal:3307/shop?ssl-mode=verify-full&ssl_ca=/etc/ca.pem");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "p@ss/");
    assert_string_equal(u.host, "db.internal");
    assert_int_equal(u.port, 3307);
    assert_string_equal(u.database, "shop");
    assert_int_equal(u.tls, MY_TLS_VERIFY_FULL);
    assert_string_equal(u.ca, "/etc/ca.pem");
    u = parse(&a, "mariadb://root@[::1]:3310");
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 3310);
    assert_null(u.database);
    assert_null(u.password);
    assert_int_equal(u.tls, MY_TLS_PREFERRED);
    u = parse(&a, "mysql:///shop?socket=/run/mysqld/mysqld.sock&connect_timeout=3&sslmode=disable");
    assert_null(u.host);
    assert_string_equal(u.socket, "/run/mysqld/mysqld.sock");
    assert_int_equal(u.connect_timeout, 3);
    assert_int_equal(u.tls, MY_TLS_DISABLED);
    u = parse(&a, "mysql://localhost");
    assert_int_equal(u.port, 3306);
    wb_arena_fini(&a);
}

static void test_refused(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[] = {
        "postgres://me@db/shop",
        "db.internal",
        "mysql://me:sesame@open@db/shop",
        "mysql://me:sesame/open@db/shop",
        "mysql://me:sesame?open@db/shop",
        "mysql://me:sesame#open@db/shop",
        "mysql://me:sesame%zz@db/shop",
        "mysql://me:sesame%00@db/shop",
        "mysql://me:sesame@db:0/shop",
        "mysql://me:sesame@db:65536/shop",
        "mysql://me:sesame@db:port/shop",
        "mysql://me:sesame@[::1/shop",
        "mysql://me:sesame@db/shop/more",
        "mysql://me:sesame@db/shop?ssl-mode=sometimes",
        "mysql://me:sesame@db/shop?ssl-moed=required",
        "mysql://me:sesame@db/shop?connect_timeout=0",
        "mysql://me:sesame@db/shop?alone",
    };
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_arena a;
        my_url u;
        wb_error err;
        wb_error_reset(&err);
        wb_arena_init(&a, 1024, 0);
        if (my_url_parse(bad[i], &a, &u, &err) != WB_E_CONFIG) fail_msg("%s was taken", bad[i]);
        if (strstr(err.message, "sesame") || strstr(err.hint, "sesame"))
            fail_msg("the password was printed: %s", err.message);
        assert_int_not_equal(err.message[0], 0);
        wb_arena_fini(&a);
    }
}

static void test_the_nearest_parameter_is_named(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    my_url u;
    wb_error err;
    wb_error_reset(&err);
    wb_arena_init(&a, 1024, 0);
    assert_int_equal(my_url_parse("mysql://db/shop?ssl-moed=required", &a, &u, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.hint, "ssl-mode"));
    wb_arena_fini(&a);
}

static void test_errors_of_a_dump(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *text;
        my_dump_error is;
    } known[] = {
        {"Could not find first log file name in binary log index file", MY_DUMP_GAP},
        {"Cannot replicate because the source purged required binary logs.", MY_DUMP_GAP},
        {"Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and "
         "required "
         "binlog files have been purged.",
         MY_DUMP_GAP},
        {"Client requested master to start replication from impossible position", MY_DUMP_AHEAD},
        {"Error: connecting slave requested to start from GTID 0-7-1600, which is not in the master's binlog",
         MY_DUMP_AHEAD},
        {"A slave with the same server_uuid/server_id as this slave has connected to the master", MY_DUMP_CLASH},
        {"log event entry exceeded max_allowed_packet; Increase max_allowed_packet on master", MY_DUMP_SIZE},
        {"could not find next log", MY_DUMP_AGAIN},
        {"something new", MY_DUMP_OTHER},
    };
    for (size_t i = 0; i < WB_COUNT(known); i++) assert_int_equal(my_classify_dump(known[i].text), known[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_the_nearest_parameter_is_named),
        cmocka_unit_test(test_errors_of_a_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
