/* Batches, their budget, and table versions. proves G-09 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/batch.h"

static void test_budget(void **state)
{
    WB_UNUSED(state);
    wb_pool *p = wb_pool_new(4 << 20);
    wb_batch *held[64];
    size_t n = 0;
    while (n < 64 && (held[n] = wb_pool_take(p, 100))) n++;
    assert_in_range(n, 2, 63);
    assert_true(wb_pool_used(p) <= 4 << 20);
    assert_null(wb_pool_take(p, 100));
    wb_batch_weigh(held[0]); /* an empty one gives room back */
    wb_batch *one = wb_pool_take(p, 100);
    assert_non_null(one);
    wb_batch_unref(one);
    assert_null(wb_pool_take(p, 100 << 20)); /* a huge row must be alone … */
    for (size_t i = 0; i < n; i++) wb_batch_unref(held[i]);
    assert_int_equal(wb_pool_used(p), 0);
    one = wb_pool_take(p, 100 << 20); /* … and is then let through */
    assert_non_null(one);
    assert_null(wb_pool_take(p, 1));
    wb_batch_unref(one);
    wb_pool_free(p);
}

static void test_a_batch_keeps_its_tables(void **state)
{
    WB_UNUSED(state);
    wb_column cols[] = {{.name = WB_STR("id"), .type = WB_STR("integer"), .kind = WB_INT, .id = 1},
                        {.name = WB_STR("note"),
                         .type = WB_STR("text"),
                         .kind = WB_TEXT,
                         .id = 2,
                         .flags = WB_COL_DEFAULT_KNOWN,
                         .missing = {.kind = WB_TEXT, .flags = WB_V_TEXT, .len = 5, .as.ptr = "hello"}}};
    uint16_t key[] = {0};
    wb_table proto = {.schema = WB_STR("public"), .name = WB_STR("t"), .ncols = 2, .nkey = 1, .cols = cols, .key = key};
    wb_table *t = wb_table_new(&proto);
    assert_string_equal(t->source_name.ptr, "t");
    assert_string_equal(t->cols[1].source_name.ptr, "note");
    assert_ptr_not_equal(t->cols[1].missing.as.ptr, cols[1].missing.as.ptr);
    wb_batch *b = wb_batch_loose();
    wb_batch_table(b, t);
    wb_batch_table(b, t);
    uint64_t serial = t->serial;
    wb_table_unref(t);
    wb_change *c = wb_batch_change(b);
    c->table = t;
    assert_int_equal(c->table->serial, serial); /* alive: the batch holds it */
    for (int i = 0; i < 5000; i++) wb_batch_change(b);
    assert_true(wb_batch_full(b));
    assert_false(wb_batch_failed(b));
    wb_value *v = wb_batch_values(b, 3);
    assert_int_equal(v[2].kind, WB_ABSENT);
    wb_batch_clear(b);
    assert_int_equal(wb_batch_count(b), 0);
    wb_batch_unref(b);
}

/* In turn, and more than there are places for: each is held, none is looked for in a long list. */
static void test_many_tables_in_one_batch(void **state)
{
    WB_UNUSED(state);
    enum { N = 5000 };
    static wb_table *all[N];
    wb_column col = {.name = WB_STR("id"), .type = WB_STR("integer"), .kind = WB_INT};
    wb_table proto = {.schema = WB_STR("public"), .name = WB_STR("t"), .ncols = 1, .cols = &col};
    wb_batch *b = wb_batch_loose();
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < N; i++) all[i] = wb_table_new(&proto);
        for (int turn = 0; turn < 3; turn++)
            for (int i = 0; i < 1000; i++) wb_batch_table(b, all[i]);
        assert_int_equal(b->ntables, 1000);
        assert_false(wb_batch_full(b));
        for (int i = 0; i < N; i++) wb_batch_table(b, all[i]);
        assert_true(wb_batch_full(b));
        for (int i = 0; i < N; i++) wb_table_unref(all[i]);
        for (int i = 0; i < N; i++) assert_string_equal(all[i]->name.ptr, "t"); /* alive: the sanitizer looks */
        wb_batch_clear(b);
    }
    wb_batch_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_a_batch_keeps_its_tables),
        cmocka_unit_test(test_many_tables_in_one_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
