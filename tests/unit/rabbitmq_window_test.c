/* The window of unconfirmed messages: answers in any order, refusals, what is sent again, tickets. */
#include "check.h"

#include "targets/rabbitmq/rabbitmq.h"

static rq_place place = {.exchange = {"x", 1}, .key = {"k", 1}};

typedef struct wire { /* what was sent, by body */
    int sent[4096];
    size_t n;
} wire;

static void push(rq_window *w, int number)
{
    void *memory;
    rq_message *m = rq_window_push(w, sizeof number, &memory);
    assert_non_null(m);
    memcpy(memory, &number, sizeof number);
    m->body = (amqp_bytes_t){sizeof number, memory};
    m->place = &place;
}

static size_t send_all(rq_window *w, wire *out, int64_t now)
{
    size_t n = 0;
    for (rq_message *m; (m = rq_window_next(w, now)); n++) {
        memcpy(&out->sent[out->n++], m->body.bytes, sizeof(int));
        rq_window_sent(w);
    }
    return n;
}

static void expect_sent(wire *o, const char *want)
{
    char text[256] = "";
    for (size_t i = 0, at = 0; i < o->n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? " " : "", o->sent[i]);
    assert_string_equal(text, want);
    o->n = 0;
}

static void test_confirms(void **state)
{
    WB_UNUSED(state);
    rq_window w;
    wire o = {0};
    wb_ticket t = 0;
    assert_true(rq_window_open(&w, 4, 1 << 20));
    for (int i = 1; i <= 4; i++) push(&w, i);
    assert_false(rq_window_room(&w, 1));
    assert_true(rq_window_ticket(&w, 7));
    assert_true(rq_window_ticket(&w, 8)); /* one without messages */
    send_all(&w, &o, 0);
    expect_sent(&o, "1 2 3 4");
    assert_true(rq_window_answer(&w, 3, false, true));
    assert_false(rq_window_settle(&w, 0));
    assert_int_equal(w.first, 0); /* 1 and 2 are not confirmed */
    assert_true(rq_window_answer(&w, 2, true, true));
    assert_false(rq_window_settle(&w, 0));
    assert_int_equal(w.first, 3);
    assert_false(rq_window_done(&w, &t));
    assert_true(rq_window_room(&w, 1));
    assert_true(rq_window_answer(&w, 4, false, true));
    assert_true(rq_window_answer(&w, 4, true, true)); /* twice does no harm */
    assert_false(rq_window_settle(&w, 0));
    assert_true(rq_window_done(&w, &t));
    assert_int_equal(t, 7);
    assert_true(rq_window_done(&w, &t));
    assert_int_equal(t, 8);
    assert_true(rq_window_empty(&w));
    assert_false(rq_window_answer(&w, 5, false, true)); /* never sent */
    rq_window_close(&w);
}

/* A refused message is sent again with all after it, confirmed ones too, when nothing is on its way any more. */
static void test_goes_back(void **state)
{
    WB_UNUSED(state);
    rq_window w;
    wire o = {0};
    wb_ticket t;
    assert_true(rq_window_open(&w, 100, 1 << 20));
    for (int i = 1; i <= 5; i++) push(&w, i);
    assert_true(rq_window_ticket(&w, 1));
    send_all(&w, &o, 0);
    expect_sent(&o, "1 2 3 4 5");
    assert_true(rq_window_answer(&w, 1, false, true));
    assert_true(rq_window_answer(&w, 3, false, false));
    assert_false(rq_window_settle(&w, 0)); /* 2, 4, 5 are on their way */
    push(&w, 6);
    assert_int_equal(send_all(&w, &o, 0), 0); /* and nothing overtakes */
    assert_true(rq_window_answer(&w, 5, true, true));
    assert_true(rq_window_settle(&w, 1000));
    assert_int_equal(w.first, 2);
    assert_int_equal(send_all(&w, &o, 1000), 0); /* a pause */
    assert_int_equal(send_all(&w, &o, 1000 + RQ_PAUSE_MIN), 1);
    expect_sent(&o, "3"); /* asks with one */
    assert_true(rq_window_answer(&w, 6, false, false));
    assert_true(rq_window_settle(&w, 100000));
    assert_int_equal(w.until_us, 100000 + 2 * RQ_PAUSE_MIN);
    send_all(&w, &o, 200000);
    assert_true(rq_window_answer(&w, 7, false, true));
    assert_false(rq_window_settle(&w, 200000));
    send_all(&w, &o, 200000);
    expect_sent(&o, "3 4 5"); /* then two */
    assert_false(rq_window_done(&w, &t));
    assert_true(rq_window_answer(&w, 9, true, true));
    assert_false(rq_window_settle(&w, 200000));
    send_all(&w, &o, 200000);
    expect_sent(&o, "6");
    assert_true(rq_window_done(&w, &t));
    assert_true(rq_window_answer(&w, 0, true, true)); /* all there are */
    assert_false(rq_window_settle(&w, 200000));
    assert_true(rq_window_empty(&w));
    rq_window_close(&w);
}

/* A message that comes back is confirmed by the broker all the same. */
static void test_returned(void **state)
{
    WB_UNUSED(state);
    rq_window w;
    wire o = {0};
    assert_true(rq_window_open(&w, 100, 1 << 20));
    for (int i = 1; i <= 3; i++) push(&w, i);
    send_all(&w, &o, 0);
    o.n = 0;
    assert_null(rq_window_returned(&w, WB_STR("x"), WB_STR("other")));
    rq_message *m = rq_window_returned(&w, place.exchange, place.key);
    assert_non_null(m);
    m->returned = true;
    assert_true(rq_window_returned(&w, place.exchange, place.key) != m); /* the next one */
    assert_true(rq_window_answer(&w, 3, true, true));
    assert_true(rq_window_settle(&w, 0));
    assert_int_equal(w.first, 0);
    for (int64_t now = 1000000; !rq_window_empty(&w); now += 1000000) {
        send_all(&w, &o, now);
        assert_true(rq_window_answer(&w, 0, true, true));
        rq_window_settle(&w, now);
    }
    expect_sent(&o, "1 2 3");
    rq_window_close(&w);
}

static void test_memory(void **state)
{
    WB_UNUSED(state);
    rq_window w;
    void *p;
    wire o = {0};
    assert_true(rq_window_open(&w, 1000, 256 * 1024));
    assert_true(rq_window_room(&w, 20 << 20)); /* alone it may be as large as it is */
    rq_message *m = rq_window_push(&w, 20 << 20, &p);
    memset(p, 1, 20 << 20);
    m->place = &place;
    m->body = (amqp_bytes_t){sizeof(int), p};
    assert_false(rq_window_room(&w, 1));
    send_all(&w, &o, 0);
    assert_true(rq_window_answer(&w, 1, false, true));
    rq_window_settle(&w, 0);
    assert_int_equal(w.bytes, 0);
    for (int round = 0; round < 50; round++) { /* chunks come and go */
        size_t n = 0;
        for (; rq_window_room(&w, 1000); n++) {
            m = rq_window_push(&w, 1000, &p);
            memset(p, round, 1000);
            m->place = &place;
            m->body = (amqp_bytes_t){sizeof(int), p};
        }
        assert_in_range(n, 200, 262);
        o.n = 0;
        send_all(&w, &o, 0);
        assert_true(rq_window_answer(&w, 0, true, true));
        rq_window_settle(&w, 0);
        assert_int_equal(w.bytes, 0);
    }
    rq_window_close(&w);
}

/* Against a broker that refuses, gives back and confirms as it likes: in the end everything is there, and what it took
 * last of each number comes in order. */
static void test_random(void **state)
{
    WB_UNUSED(state);
    enum { ALL = 400 };
    for (unsigned seed = 1; seed <= 200; seed++) {
        rq_window w;
        int taken[ALL * 40], last = 0, pushed = 0;
        size_t ntaken = 0, answered = 0, tickets = 0, told = 0;
        int wire_of[ALL * 40];
        uint64_t tag = 0, nwire = 0;
        wb_ticket t;
        int64_t now = 0;
        unsigned r = seed;
        assert_true(rq_window_open(&w, 1 + seed % 50, 1 << 20));
        while (pushed < ALL || !rq_window_empty(&w)) {
            r = r * 1103515245 + 12345;
            now += RQ_PAUSE_MAX;
            for (unsigned i = r >> 16 & 15; i && pushed < ALL && rq_window_room(&w, 16); i--) {
                push(&w, ++pushed);
                if (pushed % 7 == 0) assert_true(rq_window_ticket(&w, ++tickets));
            }
            for (rq_message *m; (m = rq_window_next(&w, now)) && nwire < ALL * 39;) {
                memcpy(&wire_of[nwire++], m->body.bytes, sizeof(int));
                rq_window_sent(&w);
            }
            for (unsigned i = r >> 20 & 31; i && tag < nwire; i--) {
                bool take = (r = r * 1103515245 + 12345) >> 16 & 7;
                tag++;
                if (take) taken[ntaken++] = wire_of[tag - 1];
                assert_true(rq_window_answer(&w, tag, false, take));
            }
            rq_window_settle(&w, now);
            while (rq_window_done(&w, &t)) assert_int_equal(t, ++answered);
            assert_true(nwire < ALL * 39);
        }
        assert_int_equal(answered, tickets);
        WB_UNUSED(told);
        for (size_t i = 0; i < ntaken; i++) { /* first arrivals come in order: nothing is overtaken for good */
            bool again = false;
            for (size_t k = i + 1; k < ntaken && !again; k++) again = taken[k] == taken[i];
            if (again) continue;
            assert_true(taken[i] > last);
            last = taken[i];
        }
        assert_int_equal(last, ALL);
        rq_window_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confirms), cmocka_unit_test(test_goes_back), cmocka_unit_test(test_returned),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
