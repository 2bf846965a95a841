/* Names as people write them in a pipeline file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/patterns.h"

static wb_patterns *compile(wb_arena *a, const char *const *items, size_t n)
{
    wb_error err;
    wb_error_reset(&err);
    wb_patterns *p = NULL;
    wb_list list = {n, items};
    wb_code code = wb_patterns_new(&list, a, &p, &err);
    if (code != WB_OK) print_error("%s\n", err.message);
    assert_int_equal(code, WB_OK);
    return p;
}

typedef struct row {
    const char *items[4];
    const char *schema, *name;
    bool want;
} row;

static const row rows[] = {
    {{"public.users"}, "public", "users", true},
    {{"public.users"}, "public", "users2", false},
    {{"public.users"}, "public2", "users", false},
    {{"public.users"}, "Public", "users", false},
    {{"users"}, "any", "users", true},
    {{"users"}, "any", "xusers", false},
    {{"public.*"}, "public", "users", true},
    {{"public.*"}, "public", "a.b", true},
    {{"*.users"}, "a", "users", true},
    {{"*"}, "a", "b", true},
    {{"public.u*s"}, "public", "users", true},
    {{"public.u*s"}, "public", "us", true},
    {{"public.u*s*r"}, "public", "ussr", true},
    {{"public.u*s*r"}, "public", "ussrx", false},
    {{"public.user?"}, "public", "users", true},
    {{"public.user?"}, "public", "user", false},
    {{"public.user?"}, "public", "user\xC3\xA9", true},
    {{"public.*?s"}, "public", "\xC3\xA9s", true},
    {{"public.*", "!public.audit_*"}, "public", "audit_log", false},
    {{"public.*", "!public.audit_*"}, "public", "audits", true},
    {{"public.*", "!public.audit_*", "public.audit_me"}, "public", "audit_me", true},
    {{"!public.audit_*"}, "public", "users", true},
    {{"!public.audit_*"}, "public", "audit_x", false},
    {{"!audit_*"}, "s", "audit_x", false},
    {{"public.\"a*b\""}, "public", "a*b", true},
    {{"public.\"a*b\""}, "public", "axb", false},
    {{"\"we.ird\".t"}, "we.ird", "t", true},
    {{"\"we.ird\""}, "s", "we.ird", true},
    {{"\"q\"\"q\""}, "s", "q\"q", true},
    {{"pre\"*\"*"}, "s", "pre*fix", true},
    {{"pre\"*\"*"}, "s", "prefix", false},
    {{"a.b.c"}, "b", "c", false},
};

static size_t count(const char *const *items)
{
    size_t n = 0;
    while (n < 4 && items[n]) n++;
    return n;
}

static void test_tables(void **state)
{
    WB_UNUSED(state);
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_arena a;
        wb_arena_init(&a, 1024, 0);
        wb_patterns *p = compile(&a, rows[i].items, count(rows[i].items));
        if (wb_patterns_match(p, wb_str_of(rows[i].schema), wb_str_of(rows[i].name)) != rows[i].want)
            fail_msg("row %zu: %s on %s.%s", i, rows[i].items[0], rows[i].schema, rows[i].name);
        wb_arena_fini(&a);
    }
}

/* a_b and axb are two tables: "_" is no wildcard. */
static void test_d14_underscore_is_literal(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, (const char *const[]){"public.a_b"}, 1);
    assert_true(wb_patterns_match(p, WB_STR("public"), WB_STR("a_b")));
    assert_false(wb_patterns_match(p, WB_STR("public"), WB_STR("axb")));
    wb_arena_fini(&a);
}

/* A schema whose name begins with another one's is another schema. */
static void test_d72_anchored(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, (const char *const[]){"app.*"}, 1);
    assert_true(wb_patterns_match(p, WB_STR("app"), WB_STR("t")));
    assert_false(wb_patterns_match(p, WB_STR("app_old"), WB_STR("t")));
    assert_false(wb_patterns_match(p, WB_STR("myapp"), WB_STR("t")));
    assert_false(wb_patterns_match(p, WB_STR("APP"), WB_STR("t")));
    wb_arena_fini(&a);
}

static void test_columns(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, (const char *const[]){"*.email", "!public.users.email", "secret"}, 3);
    assert_int_equal(wb_patterns_parts(p), 3);
    assert_true(wb_patterns_match_column(p, WB_STR("s"), WB_STR("t"), WB_STR("email")));
    assert_false(wb_patterns_match_column(p, WB_STR("public"), WB_STR("users"), WB_STR("email")));
    assert_true(wb_patterns_match_column(p, WB_STR("x"), WB_STR("y"), WB_STR("secret")));
    assert_false(wb_patterns_match_column(p, WB_STR("x"), WB_STR("y"), WB_STR("email2")));
    wb_arena_fini(&a);
}

static void test_no_patterns_match_all(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, NULL, 0);
    assert_null(p);
    assert_true(wb_patterns_match(NULL, WB_STR("a"), WB_STR("b")));
    assert_int_equal(wb_patterns_parts(NULL), 0);
    wb_arena_fini(&a);
}

static void test_each_pattern_alone(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, (const char *const[]){"public.*", "!x"}, 2);
    bool negative = true;
    assert_string_equal(wb_patterns_text(p, 0, &negative), "public.*");
    assert_false(negative);
    assert_string_equal(wb_patterns_text(p, 1, &negative), "!x");
    assert_true(negative);
    assert_null(wb_patterns_text(p, 2, &negative));
    assert_true(wb_patterns_match_one(p, 1, WB_STR("s"), WB_STR("x")));
    assert_false(wb_patterns_match_one(p, 1, WB_STR("s"), WB_STR("y")));
    wb_arena_fini(&a);
}

/* Could a table of the schema match? */
static void test_schemas(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *items[4];
        const char *schema;
        bool want;
    } all[] = {
        {{"shop.*"}, "shop", true},
        {{"shop.*"}, "shop2", false},
        {{"shop.orders"}, "shop", true},
        {{"sh?p.orders"}, "shop", true},
        {{"orders"}, "shop", true},
        {{"shop.*", "!shop.audit_*"}, "shop", true},
        {{"shop.*", "!shop.*"}, "shop", false},
        {{"shop.a", "!shop.*", "shop.b"}, "shop", true},
        {{"shop.*", "!shop.*", "other.b"}, "shop", false},
        {{"*", "!shop.*"}, "shop", false},
        {{"*", "!shop.*"}, "other", true},
        {{"shop.a?", "!shop.a?"}, "shop", false},
        {{"shop.ab", "!a?"}, "shop", false},
        {{"shop.a*", "!a?"}, "shop", true},
        {{"!shop.audit"}, "shop", true},
        {{"!shop.*"}, "shop", false},
        {{"!shop.*"}, "other", true},
        {{"!*"}, "shop", false},
        {{"!*", "shop.t"}, "shop", true},
        {{"!*", "shop.t"}, "other", false},
        {{"a.b.c"}, "a", false},
    };
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        wb_arena a;
        size_t n = 0;
        wb_arena_init(&a, 1024, 0);
        while (n < 4 && all[i].items[n]) n++;
        wb_patterns *p = compile(&a, all[i].items, n);
        if (wb_patterns_match_schema(p, wb_str_of(all[i].schema)) != all[i].want)
            fail_msg("%zu: %s, ... on %s", i, all[i].items[0], all[i].schema);
        wb_arena_fini(&a);
    }
    assert_true(wb_patterns_match_schema(NULL, WB_STR("any")));
}

static void test_refused(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[] = {"", "!", "a.", ".a", "a..b", "a.b.c.d", "\"open", "\"\"", "a.\"\""};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        wb_arena a;
        wb_arena_init(&a, 1024, 0);
        wb_error err;
        wb_error_reset(&err);
        wb_patterns *p = NULL;
        wb_list list = {1, &bad[i]};
        assert_int_equal(wb_patterns_new(&list, &a, &p, &err), WB_E_CONFIG);
        assert_null(p);
        if (!strstr(err.message, bad[i])) fail_msg("the message does not name '%s'", bad[i]);
        wb_arena_fini(&a);
    }
}

/* Many stars must not take exponential time. */
static void test_many_stars(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_patterns *p = compile(&a, (const char *const[]){"a*a*a*a*a*a*a*a*a*a*a*b"}, 1);
    char name[5000];
    memset(name, 'a', sizeof name);
    assert_false(wb_patterns_match(p, WB_STR("s"), (wb_str){name, sizeof name}));
    wb_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_d14_underscore_is_literal),
        cmocka_unit_test(test_d72_anchored),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_no_patterns_match_all),
        cmocka_unit_test(test_each_pattern_alone),
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_stars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
