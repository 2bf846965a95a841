/* Texts with words in ${}. */
#include "check.h"

#include "base/template.h"

static wb_code make(wb_arena *a, const char *text, uint32_t allowed, wb_template **t, wb_error *err)
{
    wb_error_reset(err);
    return wb_template_new(text, allowed, "option \"topic\"", a, t, err);
}

static void expect(const char *text, const wb_words *words, const char *want)
{
    wb_arena a;
    wb_template *t = NULL;
    wb_out out = {0};
    wb_error err;
    wb_arena_init(&a, 1024, 0);
    assert_int_equal(make(&a, text, ~0u, &t, &err), WB_OK);
    wb_template_put(t, words, &out);
    wb_out_byte(&out, 0);
    assert_false(out.failed);
    assert_string_equal(out.p, want);
    wb_out_fini(&out);
    wb_arena_fini(&a);
}

static void test_fills_in(void **state)
{
    WB_UNUSED(state);
    wb_table t = {.schema = WB_STR("public"),
                  .name = WB_STR("orders"),
                  .source_schema = WB_STR("app"),
                  .source_name = WB_STR("bestellungen"),
                  .route = WB_STR("far/away")};
    wb_txn txn = {.database = WB_STR("shop")};
    wb_change c = {.op = WB_UPDATE, .table = &t};
    wb_words w = {.of[WB_WORD_NAME] = WB_STR("lab"), .of[WB_WORD_TOPIC] = WB_STR("x.y")};
    char lower[16];
    wb_words_fill(&w, &txn, &c, lower);
    expect("${name}.${schema}.${table}", &w, "lab.public.orders");
    expect("a${source_schema}b${source_table}c", &w, "aappbbestellungenc");
    expect("${operation}${route}${database}${topic}", &w, "updatefar/awayshopx.y");
    expect("plain $ {x} }", &w, "plain $ {x} }");
    expect("", &w, "");
    txn.database = (wb_str){NULL, 0};
    c.op = WB_READ;
    wb_words_fill(&w, &txn, &c, lower);
    expect("${database}-${operation}", &w, "app-read");
    wb_words_fill(&w, NULL, NULL, lower);
    expect("[${schema}${table}${operation}]", &w, "[]");
}

static void test_refuses(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_template *t = NULL;
    wb_error err;
    wb_arena_init(&a, 1024, 0);
    uint32_t some = WB_WORD_BIT(WB_WORD_SCHEMA) | WB_WORD_BIT(WB_WORD_TABLE) | WB_WORD_BIT(WB_WORD_NAME);
    assert_int_equal(make(&a, "a.${tabel}", some, &t, &err), WB_E_CONFIG);
    assert_string_equal(err.message, "option \"topic\": there is no word ${tabel}.");
    assert_string_equal(err.hint, "Did you mean ${table}? The words are ${name}, ${schema} and ${table}.");
    assert_int_equal(make(&a, "a.${operation}", some, &t, &err), WB_E_CONFIG);
    assert_int_equal(make(&a, "a.${}", some, &t, &err), WB_E_CONFIG);
    assert_int_equal(make(&a, "a.${table", some, &t, &err), WB_E_CONFIG);
    assert_string_equal(err.message, "option \"topic\": a ${ is never closed with }.");
    assert_int_equal(make(&a, "${table}${table}", some, &t, &err), WB_OK);
    assert_int_equal(wb_template_uses(t), WB_WORD_BIT(WB_WORD_TABLE));
    wb_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fills_in), cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
