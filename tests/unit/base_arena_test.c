/* wb_arena: alignment, limits, sticky failure, reset, no overflow. */
#include "base/arena.h"
#include "check.h"

#include <pthread.h>

static void test_pieces_are_aligned_and_apart(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1000, 0);
    unsigned char *last = NULL;
    for (size_t n = 0; n < 600; n++) {
        unsigned char *p = wb_arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)(n & 0xFF), n);
        if (last && n > 1) assert_int_equal(last[n - 2], (n - 1) & 0xFF);
        last = p;
    }
    assert_false(a.failed);
    wb_arena_fini(&a);
    assert_int_equal(a.bytes, 0);
}

static void test_nothing_is_not_null(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 0, 0);
    assert_non_null(wb_arena_alloc(&a, 0));
    assert_false(a.failed);
    wb_arena_fini(&a);
}

static void test_large_piece_leaves_the_current_block_in_use(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    char *first = wb_arena_alloc(&a, 16);
    char *large = wb_arena_alloc(&a, 100000);
    char *second = wb_arena_alloc(&a, 16);
    memset(large, 1, 100000);
    assert_true(second > first && second < first + 4096);
    wb_arena_fini(&a);
}

static void test_limit_is_sticky(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 4096);
    for (int i = 0; i < 100; i++) {
        char *p = wb_arena_alloc(&a, 200);
        assert_non_null(p);
        memset(p, 'x', 200);
    }
    assert_true(a.failed);
    assert_true(a.bytes <= 4096);
    /* From now on: zeroed dummies, whatever was written to the one before. */
    for (int i = 0; i < 2; i++) {
        char *p = wb_arena_alloc(&a, WB_ARENA_DUMMY);
        assert_non_null(p);
        for (size_t k = 0; k < WB_ARENA_DUMMY; k++) assert_int_equal(p[k], 0);
        memset(p, 'y', WB_ARENA_DUMMY);
    }
    assert_null(wb_arena_alloc(&a, WB_ARENA_DUMMY + 1));
    assert_string_equal(wb_arena_strdup(&a, "lost"), "");
    assert_string_equal(wb_arena_printf(&a, "%d", 5), "");
    wb_arena_reset(&a);
    assert_false(a.failed);
    assert_string_equal(wb_arena_strdup(&a, "found"), "found");
    wb_arena_fini(&a);
}

static void test_sizes_that_overflow_fail(void **state)
{
    WB_UNUSED(state);
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX - 47, SIZE_MAX / 2};
    for (size_t i = 0; i < WB_COUNT(sizes); i++) {
        wb_arena a;
        wb_arena_init(&a, 0, 1 << 20);
        assert_null(wb_arena_alloc(&a, sizes[i]));
        assert_true(a.failed);
        assert_null(wb_arena_zalloc(&a, sizes[i]));
        wb_arena_fini(&a);
        wb_arena_init(&a, 0, 1 << 20);
        assert_null(wb_arena_strndup(&a, "", SIZE_MAX));
        assert_true(a.failed);
        wb_arena_fini(&a);
    }
}

static void test_reset_keeps_one_block(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    for (int i = 0; i < 50; i++) memset(wb_arena_alloc(&a, 200), 1, 200);
    memset(wb_arena_alloc(&a, 50000), 1, 50000);
    assert_true(a.bytes > 60000);
    for (int round = 0; round < 3; round++) {
        wb_arena_reset(&a);
        assert_true(a.bytes <= 1100);
        memset(wb_arena_alloc(&a, 200), 1, 200);
        assert_true(a.bytes > 0 && a.bytes <= 1100);
    }
    wb_arena_fini(&a);
    wb_arena_fini(&a); /* twice is fine */
}

static void test_texts(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    wb_arena_init(&a, 64, 0);
    assert_string_equal(wb_arena_strdup(&a, "abc"), "abc");
    assert_string_equal(wb_arena_strdup(&a, NULL), "");
    assert_string_equal(wb_arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(wb_arena_strndup(&a, NULL, 0), "");
    assert_string_equal(wb_arena_printf(&a, "%s-%d", "x", 42), "x-42");
    char *long_one = wb_arena_printf(&a, "%0500d", 7);
    assert_int_equal(strlen(long_one), 500);
    const char *z = wb_arena_zalloc(&a, 40);
    for (int i = 0; i < 40; i++) assert_int_equal(z[i], 0);
    wb_arena_fini(&a);
}

static void *use_dummies(void *arg)
{
    wb_arena a;
    wb_arena_init(&a, 64, 1); /* nothing fits: always failed */
    for (int i = 0; i < 1000; i++) {
        char *p = wb_arena_alloc(&a, 64);
        memset(p, *(char *)arg, 64);
        for (int k = 0; k < 64; k++)
            if (p[k] != *(char *)arg) return arg;
    }
    wb_arena_fini(&a);
    return NULL;
}

static void test_threads_do_not_share_the_dummy(void **state)
{
    WB_UNUSED(state);
    pthread_t t[2];
    char mark[2] = {'a', 'b'};
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, use_dummies, &mark[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        assert_int_equal(pthread_join(t[i], &result), 0);
        assert_null(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_nothing_is_not_null),
        cmocka_unit_test(test_large_piece_leaves_the_current_block_in_use),
        cmocka_unit_test(test_limit_is_sticky),
        cmocka_unit_test(test_sizes_that_overflow_fail),
        cmocka_unit_test(test_reset_keeps_one_block),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_threads_do_not_share_the_dummy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
