/* SQL text, and the names that the source gives to what it makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sources/postgres/pg.h"

static const char *pipeline;
const char *wb_host_pipeline(wb_host *h)
{
    WB_UNUSED(h);
    return pipeline;
}

static void check_text(void (*put)(wb_out *, const char *), const char *in, const char *want)
{
    wb_out o = {0};
    put(&o, in);
    assert_string_equal(wb_out_cstr(&o), want);
    wb_out_fini(&o);
}

static void test_quoting(void **state)
{
    WB_UNUSED(state);
    check_text(pg_put_ident_z, "plain", "\"plain\"");
    check_text(pg_put_ident_z, "we\"ird", "\"we\"\"ird\"");
    check_text(pg_put_ident_z, "\xC3\xA9t\xC3\xA9", "\"\xC3\xA9t\xC3\xA9\"");
    check_text(pg_put_literal, "it's", "'it''s'");
    check_text(pg_put_literal, "back\\slash", " E'back\\\\slash'");
}

static void test_default_names(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *pipeline, *slot;
    } rows[] = {{"shop", "walbrook_shop"},
                {"My-Shop_2", "walbrook_my_shop_2"},
                {"0123456789012345678901234567890123456789", "walbrook_0123456789012345678901234567890123456789"}};
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        pg_source s = {0};
        pg_names n;
        wb_error err;
        wb_error_reset(&err);
        pipeline = rows[i].pipeline;
        assert_int_equal(pg_names_make(&s, NULL, &n, &err), WB_OK);
        assert_string_equal(n.slot, rows[i].slot);
        assert_string_equal(n.pub, rows[i].slot);
        assert_true(strlen(n.insert_pub) < PG_NAME);
        assert_memory_equal(n.insert_pub + strlen(n.insert_pub) - 7, "_insert", 7);
        assert_false(n.slot_named);
    }
}

static void test_given_names(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[] = {"",           "Upper",
                                      "with space", "quote\"",
                                      "dash-ed",    "a123456789012345678901234567890123456789012345678901234567890123"};
    pipeline = "shop";
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        pg_source s = {.slot_option = bad[i]};
        pg_names n;
        wb_error err;
        wb_error_reset(&err);
        if (pg_names_make(&s, NULL, &n, &err) != WB_E_CONFIG) fail_msg("taken: '%s'", bad[i]);
    }
    pg_source s = {.slot_option = "mine_1", .publication_option = "My \"Pub\""};
    pg_names n;
    assert_int_equal(pg_names_make(&s, NULL, &n, NULL), WB_OK);
    assert_string_equal(n.slot, "mine_1");
    assert_string_equal(n.pub, "My \"Pub\"");
    assert_true(n.slot_named && n.pub_named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_default_names),
        cmocka_unit_test(test_given_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
