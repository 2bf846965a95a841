/* Positions of PostgreSQL: LSNs, and what they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sources/postgres/position.h"

typedef struct held {
    uint8_t bytes[PG_POS_LEN];
} held;

static wb_pos pos_of(held *h, pg_lsn lsn)
{
    pg_pos_make(h->bytes, lsn);
    return (wb_pos){h->bytes, PG_POS_LEN};
}

static bool holds(pg_lsn pos, pg_lsn at)
{
    held a, b;
    wb_txn txn = {.at = pos_of(&b, at)};
    return pg_pos_holds(pos_of(&a, pos), &txn);
}

static void test_round_trip(void **state)
{
    WB_UNUSED(state);
    static const char *const texts[] = {"0/0", "0/1", "0/16B3748", "1/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"};
    for (size_t i = 0; i < WB_COUNT(texts); i++) {
        uint8_t pos[16];
        size_t len = 0;
        char out[32];
        wb_error err;
        wb_error_reset(&err);
        assert_int_equal(pg_pos_parse(wb_str_of(texts[i]), pos, sizeof pos, &len, &err), WB_OK);
        assert_int_equal(len, PG_POS_LEN);
        assert_int_equal(pg_pos_render((wb_pos){pos, len}, out, sizeof out), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
}

static void test_refused(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[] = {"",     "0",   "/",           "0/",          "/0",    "0/0 ",
                                      " 0/0", "x/0", "0/123456789", "123456789/0", "0/1/2", "0x1/2"};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        uint8_t pos[16];
        size_t len = 7;
        wb_error err;
        wb_error_reset(&err);
        if (pg_pos_parse(wb_str_of(bad[i]), pos, sizeof pos, &len, &err) != WB_E_CONFIG)
            fail_msg("taken: '%s'", bad[i]);
        assert_int_equal(len, 0);
        assert_true(err.hint[0]);
    }
}

static void test_render_is_cut_not_overrun(void **state)
{
    WB_UNUSED(state);
    held h;
    char out[5] = "....";
    assert_int_equal(pg_pos_render(pos_of(&h, 0x123456789), out, sizeof out), 4);
    assert_string_equal(out, "1/23");
    assert_int_equal(pg_pos_render(pos_of(&h, 1), out, 0), 0);
}

/* A numeric order, which big-endian bytes share; texts would not. */
static void test_compare(void **state)
{
    WB_UNUSED(state);
    held a, b;
    assert_int_equal(pg_pos_compare(pos_of(&a, 0x9), pos_of(&b, 0x10)), -1);
    assert_int_equal(pg_pos_compare(pos_of(&a, 0x100000000), pos_of(&b, 0xFFFFFFFF)), 1);
    assert_int_equal(pg_pos_compare(pos_of(&a, 5), pos_of(&b, 5)), 0);
    assert_true(memcmp(a.bytes, b.bytes, PG_POS_LEN) == 0);
}

static void test_meet_is_the_earlier(void **state)
{
    WB_UNUSED(state);
    held a, b;
    uint8_t out[8];
    size_t len = 0;
    pg_pos_meet(pos_of(&a, 10), pos_of(&b, 7), out, sizeof out, &len);
    assert_int_equal(len, PG_POS_LEN);
    assert_int_equal(pg_pos_lsn((wb_pos){out, len}), 7);
    pg_pos_meet(pos_of(&a, 10), pos_of(&b, 7), out, 4, &len);
    assert_int_equal(len, 0);
}

typedef struct turn_pos {
    uint8_t bytes[PG_TURN_LEN];
} turn_pos;

static wb_pos turn_of(turn_pos *h, pg_lsn lsn, uint64_t seq)
{
    size_t n = pg_pos_make_turn(h->bytes, lsn, seq);
    return (wb_pos){h->bytes, n};
}

/* Two counters, each by itself: what a turn of a copy brings says nothing of the log. */
static void test_turns(void **state)
{
    WB_UNUSED(state);
    turn_pos a, b;
    held h;
    wb_txn turn = {.flags = WB_TXN_SNAPSHOT}, txn = {.at = pos_of(&h, 100)};
    turn.at = turn_of(&b, 500, 3);
    assert_true(pg_pos_holds(turn_of(&a, 7, 3), &turn));
    assert_true(pg_pos_holds(turn_of(&a, 7, 4), &turn));
    assert_false(pg_pos_holds(turn_of(&a, 900, 2), &turn));
    assert_false(pg_pos_holds(turn_of(&a, 900, 0), &turn));
    assert_true(pg_pos_holds(turn_of(&a, 101, 9), &txn));
    assert_false(pg_pos_holds(turn_of(&a, 100, 9), &txn));
    assert_int_equal(turn_of(&a, 5, 0).len, PG_POS_LEN); /* as older versions wrote it */
    assert_int_equal(pg_pos_compare(turn_of(&a, 5, 0), turn_of(&b, 5, 1)), -1);
    assert_int_equal(pg_pos_compare(turn_of(&a, 6, 1), turn_of(&b, 5, 1)), 1);
    assert_int_equal(pg_pos_compare(turn_of(&a, 6, 2), turn_of(&b, 5, 1)), 1);
    assert_int_equal(pg_pos_compare(turn_of(&a, 6, 0), turn_of(&b, 5, 1)), 2);
    assert_int_equal(pg_pos_compare(turn_of(&a, 5, 2), turn_of(&b, 6, 1)), 2);
    uint8_t out[PG_TURN_LEN];
    size_t len = 0;
    pg_pos_meet(turn_of(&a, 6, 1), turn_of(&b, 5, 4), out, sizeof out, &len);
    assert_int_equal(pg_pos_compare((wb_pos){out, len}, turn_of(&a, 5, 1)), 0);
    pg_pos_join(turn_of(&a, 6, 1), turn_of(&b, 5, 4), out, sizeof out, &len);
    assert_int_equal(pg_pos_compare((wb_pos){out, len}, turn_of(&a, 6, 4)), 0);
    pg_pos_join(turn_of(&a, 6, 1), turn_of(&b, 5, 4), out, PG_POS_LEN, &len);
    assert_int_equal(len, 0);
    char text[64];
    wb_error err;
    wb_error_reset(&err);
    pg_pos_render(turn_of(&a, 0x16B3748, 12), text, sizeof text);
    assert_string_equal(text, "0/16B3748+12");
    assert_int_equal(pg_pos_parse(wb_str_of(text), out, sizeof out, &len, &err), WB_OK);
    assert_int_equal(pg_pos_compare((wb_pos){out, len}, turn_of(&a, 0x16B3748, 12)), 0);
    static const char *const bad[] = {"0/1+", "0/1+0", "0/1+x", "0/1+1+1", "+1", "0/1+99999999999999999999"};
    for (size_t i = 0; i < WB_COUNT(bad); i++)
        assert_int_equal(pg_pos_parse(wb_str_of(bad[i]), out, sizeof out, &len, &err), WB_E_CONFIG);
}

/* A part of the next transaction is no place of its own: orders do not know of it, and who has its end has no part. */
static void test_parts(void **state)
{
    WB_UNUSED(state);
    turn_pos a, b;
    held h;
    uint8_t part[PG_PART_LEN], out[PG_PART_LEN];
    wb_txn txn = {.at = pos_of(&h, 100)};
    size_t len = 0;
    for (uint64_t seq = 0; seq < 9; seq += 4) {
        pg_pos_make_part(part, turn_of(&a, 101, seq), 77);
        wb_pos pos = {part, sizeof part};
        assert_int_equal(pg_pos_counted(pos), 77);
        assert_int_equal(pg_pos_lsn(pos), 101);
        assert_int_equal(pg_pos_seq(pos), seq);
        assert_true(pg_pos_holds(pos, &txn));
        assert_int_equal(pg_pos_compare(pos, turn_of(&a, 101, seq)), 0);
        assert_int_equal(pg_pos_compare(pos, turn_of(&a, 102, seq)), -1);
        pg_pos_join(pos, turn_of(&b, 200, 0), out, sizeof out, &len);
        assert_int_equal(pg_pos_counted((wb_pos){out, len}), 0);
        assert_int_equal(pg_pos_compare((wb_pos){out, len}, turn_of(&a, 200, seq)), 0);
        pg_pos_meet(pos, pos, out, sizeof out, &len);
        assert_int_equal(pg_pos_counted((wb_pos){out, len}), 0);
        pg_pos_make_part(out, pos, 78); /* of a part: the same place */
        assert_int_equal(pg_pos_compare((wb_pos){out, sizeof out}, pos), 0);
        assert_int_equal(pg_pos_counted((wb_pos){out, sizeof out}), 78);
    }
    assert_int_equal(pg_pos_counted(pos_of(&h, 100)), 0);
    assert_int_equal(pg_pos_counted(turn_of(&a, 100, 3)), 0);
}

/* The end of one transaction may be the very LSN of the next one's commit record: that next one is not inside. */
static void test_d5_commit_begin_at_one_lsn(void **state)
{
    WB_UNUSED(state);
    assert_true(holds(101, 100));
    assert_false(holds(100, 100));
    assert_false(holds(99, 100));
}

/* A position far beyond is a comparison, not "until equal seen". */
static void test_d7_far_beyond(void **state)
{
    WB_UNUSED(state);
    assert_true(holds(UINT64_C(0x100000000000), 100));
    assert_false(holds(1, UINT64_C(0x100000000000)));
}

static void test_nothing_is_inside_no_position(void **state)
{
    WB_UNUSED(state);
    held b;
    wb_txn txn = {.at = pos_of(&b, 100)}, snapshot = {.flags = WB_TXN_SNAPSHOT};
    assert_false(pg_pos_holds((wb_pos){NULL, 0}, &txn));
    assert_false(pg_pos_holds(pos_of(&b, 100), &snapshot));
    assert_int_equal(pg_pos_lsn((wb_pos){"abc", 3}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_render_is_cut_not_overrun),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_meet_is_the_earlier),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_d5_commit_begin_at_one_lsn),
        cmocka_unit_test(test_d7_far_beyond),
        cmocka_unit_test(test_nothing_is_inside_no_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
