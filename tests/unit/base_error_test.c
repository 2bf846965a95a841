/* wb_error: first error wins, texts are bounded, errno maps as promised. */
#include "base/base.h"
#include "walbrook/plugin.h"
#include "check.h"

#include <errno.h>

static void test_first_error_wins(void **state)
{
    WB_UNUSED(state);
    wb_error e;
    memset(&e, 0x55, sizeof e);
    wb_error_reset(&e);
    assert_int_equal(e.code, WB_OK);
    assert_int_equal(wb_fail(&e, WB_E_NET, WB_RECONNECT, "first %d", 1), WB_E_NET);
    assert_int_equal(wb_fail(&e, WB_E_DATA, WB_POISON, "second"), WB_E_DATA);
    assert_int_equal(wb_fail_errno(&e, ENOSPC, "third"), WB_E_FULL);
    assert_int_equal(e.code, WB_E_NET);
    assert_int_equal(e.next, WB_RECONNECT);
    assert_string_equal(e.message, "first 1");
    wb_hint(&e, "advice %s", "one");
    wb_hint(&e, "advice two");
    assert_string_equal(e.hint, "advice one");
    wb_error_where(&e, "shop.yaml:%d", 12);
    wb_error_where(&e, "elsewhere");
    assert_string_equal(e.where, "shop.yaml:12");
}

static void test_no_error_takes_no_hint(void **state)
{
    WB_UNUSED(state);
    wb_error e = {0};
    wb_hint(&e, "advice");
    wb_error_where(&e, "somewhere");
    assert_string_equal(e.hint, "");
    assert_string_equal(e.where, "");
}

static void test_null_error_is_fine(void **state)
{
    WB_UNUSED(state);
    assert_int_equal(wb_fail(NULL, WB_E_DATA, WB_NEVER, "x"), WB_E_DATA);
    assert_int_equal(wb_fail_errno(NULL, EDQUOT, "x"), WB_E_FULL);
    assert_int_equal(wb_fail_errno(NULL, EIO, "x"), WB_E_IO);
    wb_hint(NULL, "x");
    wb_error_where(NULL, "x");
    wb_error_reset(NULL);
}

static void test_filling_clears_what_was_there(void **state)
{
    WB_UNUSED(state);
    wb_error e;
    memset(&e, 'x', sizeof e);
    e.code = WB_OK;
    (void)wb_fail(&e, WB_E_DATA, WB_POISON, "bad");
    assert_int_equal(e.sys, 0);
    assert_string_equal(e.native, "");
    assert_string_equal(e.where, "");
    assert_string_equal(e.hint, "");
    assert_string_equal(e.message, "bad");
}

static void test_errno(void **state)
{
    WB_UNUSED(state);
    static const struct {
        int sys;
        wb_code code;
        wb_next next;
    } rows[] = {{ENOSPC, WB_E_FULL, WB_RETRY}, {EDQUOT, WB_E_FULL, WB_RETRY}, {EIO, WB_E_IO, WB_NEVER}};
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_error e = {0};
        assert_int_equal(wb_fail_errno(&e, rows[i].sys, "cannot write %s", "a.db"), rows[i].code);
        assert_int_equal(e.code, rows[i].code);
        assert_int_equal(e.next, rows[i].next);
        assert_int_equal(e.sys, rows[i].sys);
        assert_int_equal(strncmp(e.message, "cannot write a.db: ", 19), 0);
        assert_true(strlen(e.message) > 19);
    }
}

static void test_long_texts_end_in_dots(void **state)
{
    WB_UNUSED(state);
    char text[2000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    wb_error e = {0};
    (void)wb_fail(&e, WB_E_DATA, WB_NEVER, "%s", text);
    wb_hint(&e, "%s", text);
    wb_error_where(&e, "%s", text);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    assert_string_equal(e.message + sizeof e.message - 4, "...");
    assert_string_equal(e.hint + sizeof e.hint - 4, "...");
    assert_string_equal(e.where + sizeof e.where - 4, "...");
    wb_error n = {0};
    (void)wb_fail_errno(&n, ENOENT, "%s", text);
    assert_non_null(strstr(n.message, "...: No such file"));
}

static void test_a_character_is_never_cut(void **state)
{
    WB_UNUSED(state);
    char text[1200];
    for (size_t i = 0; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        wb_error e = {0};
        text[1197] = 0;
        (void)wb_fail(&e, WB_E_DATA, WB_NEVER, "%.*s%s", (int)shift, "xx", text);
        const char *dots = strstr(e.message, "...");
        assert_non_null(dots);
        assert_int_equal(((size_t)(dots - e.message) - shift) % 3, 0);
    }
}

static void test_own_message_may_be_an_argument(void **state)
{
    WB_UNUSED(state);
    wb_error e = {0};
    (void)wb_fail(&e, WB_E_NET, WB_RECONNECT, "inner");
    e.code = WB_OK;
    (void)wb_fail(&e, WB_E_SERVER, WB_NEVER, "outer: %s", e.message);
    assert_string_equal(e.message, "outer: inner");
}

static void test_success_is_no_failure(void **state)
{
    WB_UNUSED(state);
    wb_error e = {0};
    assert_int_equal(wb_fail(&e, WB_AGAIN, WB_RETRY, "x"), WB_E_INTERNAL);
    assert_int_equal(e.code, WB_E_INTERNAL);
}

static void test_every_code_has_a_name(void **state)
{
    WB_UNUSED(state);
    for (int i = 0; i <= WB_E_INTERNAL; i++) {
        assert_non_null(wb_code_name((wb_code)i));
        assert_string_not_equal(wb_code_name((wb_code)i), "unknown");
        for (int j = 0; j < i; j++) assert_string_not_equal(wb_code_name((wb_code)i), wb_code_name((wb_code)j));
    }
    assert_string_equal(wb_code_name(WB_E_CONFIG), "config");
    assert_string_equal(wb_code_name((wb_code)99), "unknown");
}

static void keep(void *arg, wb_level level, const char *what, const char *mend)
{
    (void)snprintf(arg, 200, "%d|%s|%s", (int)level, what, mend ? mend : "-");
}

static void test_report_counts_what_is_bad(void **state)
{
    WB_UNUSED(state);
    char last[200] = "";
    wb_report r = {.add = keep, .arg = last};
    wb_report_add(&r, WB_FINE, NULL, "server is %d", 15);
    assert_string_equal(last, "0|server is 15|-");
    wb_report_add(&r, WB_WARN, NULL, "hm");
    assert_int_equal(r.bad, 0);
    wb_report_add(&r, WB_BAD, "ALTER SYSTEM", "wal_level is replica");
    assert_string_equal(last, "2|wal_level is replica|ALTER SYSTEM");
    assert_int_equal(r.bad, 1);
    wb_report_add(NULL, WB_BAD, NULL, "nobody listens");
    wb_report silent = {0};
    wb_report_add(&silent, WB_BAD, NULL, "nobody listens");
    assert_int_equal(silent.bad, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_error_wins),
        cmocka_unit_test(test_no_error_takes_no_hint),
        cmocka_unit_test(test_null_error_is_fine),
        cmocka_unit_test(test_filling_clears_what_was_there),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_long_texts_end_in_dots),
        cmocka_unit_test(test_a_character_is_never_cut),
        cmocka_unit_test(test_own_message_may_be_an_argument),
        cmocka_unit_test(test_success_is_no_failure),
        cmocka_unit_test(test_every_code_has_a_name),
        cmocka_unit_test(test_report_counts_what_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
