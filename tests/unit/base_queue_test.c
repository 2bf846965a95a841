/* wb_queue: order, bounds, closing, waiting; two threads that push, one that pops. */
#include "base/clock.h"
#include "base/queue.h"
#include "check.h"

static void test_first_in_first_out(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    int v[5];
    assert_true(wb_queue_init(&q, 3));
    for (int round = 0; round < 4; round++) { /* goes around the ring */
        assert_true(wb_queue_push(&q, &v[0]));
        assert_true(wb_queue_push(&q, &v[1]));
        assert_ptr_equal(wb_queue_pop(&q, 0), &v[0]);
        assert_true(wb_queue_push(&q, &v[2]));
        assert_ptr_equal(wb_queue_pop(&q, -1), &v[1]);
        assert_ptr_equal(wb_queue_pop(&q, 1000), &v[2]);
        assert_null(wb_queue_pop(&q, 0));
    }
    wb_queue_fini(&q);
    wb_queue_fini(&q);
}

static void test_full_refuses(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    int v;
    assert_true(wb_queue_init(&q, 2));
    assert_true(wb_queue_push(&q, &v));
    assert_true(wb_queue_push(&q, &v));
    assert_false(wb_queue_push(&q, &v));
    assert_int_equal(wb_queue_count(&q), 2);
    assert_ptr_equal(wb_queue_pop(&q, 0), &v);
    assert_true(wb_queue_push(&q, &v));
    wb_queue_fini(&q);
}

static void test_impossible_sizes(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    assert_false(wb_queue_init(&q, 0));
    wb_queue_fini(&q);
    assert_false(wb_queue_init(&q, SIZE_MAX));
    wb_queue_fini(&q);
}

static void test_closed_drains(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    int v;
    assert_true(wb_queue_init(&q, 2));
    assert_true(wb_queue_push(&q, &v));
    wb_queue_close(&q);
    assert_false(wb_queue_push(&q, &v));
    assert_ptr_equal(wb_queue_pop(&q, -1), &v);
    assert_null(wb_queue_pop(&q, -1)); /* at once, not for ever */
    wb_queue_fini(&q);
}

static void test_timeout_is_kept(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    assert_true(wb_queue_init(&q, 1));
    int64_t start = wb_mono_us();
    assert_null(wb_queue_pop(&q, 20000));
    assert_true(wb_mono_us() - start >= 19000);
    wb_queue_fini(&q);
}

enum { EACH = 20000 };
typedef struct pusher {
    wb_queue *q;
    uintptr_t base;
} pusher;

static void *push_all(void *arg)
{
    const pusher *p = arg;
    for (uintptr_t i = 1; i <= EACH; i++)
        while (!wb_queue_push(p->q, (void *)(p->base + i))) wb_sleep_us(50);
    return NULL;
}

static void test_two_threads_push_one_pops(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    assert_true(wb_queue_init(&q, 16));
    pusher p[2] = {{&q, 0}, {&q, 1000000}};
    pthread_t t[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, push_all, &p[i]), 0);
    uintptr_t last[2] = {0, 1000000};
    for (int n = 0; n < 2 * EACH; n++) {
        uintptr_t v = (uintptr_t)wb_queue_pop(&q, 10000000);
        assert_true(v != 0);
        int who = v > 1000000;
        assert_int_equal(v, last[who] + 1); /* each one's own order, nothing lost, nothing twice */
        last[who] = v;
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(wb_queue_count(&q), 0);
    wb_queue_fini(&q);
}

static void *pop_forever(void *arg) { return wb_queue_pop(arg, -1); }

static void test_close_wakes_who_waits(void **state)
{
    WB_UNUSED(state);
    wb_queue q;
    assert_true(wb_queue_init(&q, 1));
    pthread_t t[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, pop_forever, &q), 0);
    wb_sleep_us(20000);
    wb_queue_close(&q);
    for (int i = 0; i < 2; i++) {
        void *got = &q;
        assert_int_equal(pthread_join(t[i], &got), 0);
        assert_null(got);
    }
    wb_queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),    cmocka_unit_test(test_full_refuses),
        cmocka_unit_test(test_impossible_sizes),      cmocka_unit_test(test_closed_drains),
        cmocka_unit_test(test_timeout_is_kept),       cmocka_unit_test(test_two_threads_push_one_pops),
        cmocka_unit_test(test_close_wakes_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
