/* The ledger of a copy: who has which chunk, over notes, other targets and other plans. proves G-06 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sources/sql/ledger.h"

static const sql_names two = {.of = {"a", "b"}}, turned = {.of = {"b", "new", "a"}};
static const wb_str none = {NULL, 0};

static wb_str text(wb_out *o, const char *value)
{
    wb_out_reset(o);
    sql_tuple_put(o, wb_str_of(value));
    return (wb_str){o->p, o->len};
}

static sql_job *plan(sql_ledger *l, uint64_t table, uint64_t targets)
{
    wb_out low = {0};
    sql_job *j = sql_ledger_plan(l, table, WB_STR("1:23"), targets);
    assert_non_null(j);
    j->flags = SQL_JOB_KEYED;
    assert_non_null(sql_job_add(l, j, SQL_CHUNK_RANGE, none, text(&low, "10")));
    assert_non_null(sql_job_add(l, j, SQL_CHUNK_RANGE, text(&low, "10"), none));
    wb_out_fini(&low);
    return j;
}

static void reload(sql_ledger *l, const sql_names *was, const sql_names *is)
{
    wb_out o = {0};
    sql_plan_encode(l, was, &o);
    sql_ledger_fini(l);
    sql_ledger_init(l);
    assert_true(sql_plan_decode(l, is, (wb_str){o.p, o.len}));
    for (size_t n = 0; n < o.len; n++) { /* a torn one is refused, not half taken */
        sql_ledger torn;
        sql_ledger_init(&torn);
        assert_false(sql_plan_decode(&torn, is, (wb_str){o.p, n}));
        sql_ledger_fini(&torn);
    }
    wb_out_fini(&o);
}

static void test_notes_and_names(void **state)
{
    WB_UNUSED(state);
    sql_ledger l;
    sql_ledger_init(&l);
    sql_job *j = plan(&l, 7, 3);
    plan(&l, 5, 1);
    l.seq = 9;
    sql_ref refs[] = {{7, j->stamp, 1}, {7, j->stamp, 99}, {6, 1, 0}, {7, j->stamp + 5, 0}};
    wb_out o = {0};
    sql_note_encode(&(sql_note){.seq = 10, .targets = 3, .refs = refs, .n = WB_COUNT(refs)}, &two, &o);
    reload(&l, &two, &turned); /* the file names them in another order now, and one more */
    assert_int_equal(l.seq, 9);
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    sql_note note;
    assert_true(sql_note_decode(&note, &turned, (wb_str){o.p, o.len}, &a));
    for (size_t n = 0; n < o.len; n++) {
        sql_note torn;
        assert_false(sql_note_decode(&torn, &turned, (wb_str){o.p, n}, &a));
    }
    assert_int_equal(note.seq, 10);
    assert_int_equal(note.targets, 1 | 4);
    sql_note_settle(&l, &note, 4); /* a has it, b has not */
    j = sql_ledger_find(&l, 7);
    assert_int_equal(sql_chunk_lacks(j, &j->chunks[0], ~(uint64_t)0), 1 | 4);
    assert_int_equal(sql_chunk_lacks(j, &j->chunks[1], ~(uint64_t)0), 1);
    assert_int_equal(sql_job_lacks(j, 2), 0); /* the new one has no part in it */
    assert_true(sql_ledger_lacks(&l, 4));
    sql_ledger_remove(&l, 7);
    sql_ledger_remove(&l, 7);
    assert_int_equal(sql_job_lacks(sql_ledger_find(&l, 5), ~(uint64_t)0), 4);
    sql_ledger_remove(&l, 5);
    assert_true(sql_ledger_whole(&l));
    wb_out_fini(&o);
    wb_arena_fini(&a);
    sql_ledger_fini(&l);
}

/* A copy that begins again empties the table first, for those for whom it does, and older notes do not count. */
static void test_again(void **state)
{
    WB_UNUSED(state);
    sql_ledger l;
    sql_ledger_init(&l);
    sql_job *j = plan(&l, 7, 3);
    sql_ref old = {7, j->stamp, 0};
    j->chunks[0].done = j->chunks[1].done = 3;
    assert_true(sql_job_again(&l, j, 2));
    assert_int_equal(j->n, 3);
    assert_int_equal(j->chunks[0].kind, SQL_CHUNK_TRUNCATE);
    for (size_t i = 0; i < j->n; i++) assert_int_equal(sql_chunk_lacks(j, &j->chunks[i], ~(uint64_t)0), 2);
    sql_note_settle(&l, &(sql_note){.seq = 1, .targets = 3, .refs = &old, .n = 1}, 3);
    assert_int_equal(sql_job_lacks(j, 2), 2);
    assert_true(sql_job_again(&l, j, 1));
    assert_int_equal(j->n, 3);
    assert_int_equal(sql_chunk_lacks(j, &j->chunks[0], ~(uint64_t)0), 3);
    sql_ledger_fini(&l);
}

static void put_ident(wb_out *o, wb_str s) { wb_out_str(o, s); }
static void put_literal(wb_out *o, wb_str s)
{
    wb_out_byte(o, '\'');
    wb_out_str(o, s);
    wb_out_byte(o, '\'');
}

static void expect(const sql_chunk *c, size_t n, bool spelled, const char *want)
{
    const sql_dialect dialect = {put_ident, put_literal, spelled};
    static const wb_str columns[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    wb_out o = {0};
    sql_put_range(&o, &dialect, columns, n, c);
    wb_out_byte(&o, 0);
    assert_false(o.failed);
    assert_string_equal(o.p, want);
    wb_out_fini(&o);
}

static void expect_range(const sql_chunk *c, size_t n, const char *want) { expect(c, n, false, want); }

/* Where a comparison of rows would not use the index. The two sides of a bound leave out nothing and share nothing. */
static void test_spelled_ranges(void **state)
{
    WB_UNUSED(state);
    wb_out one = {0}, three = {0};
    wb_str low = text(&one, "7");
    for (int i = 1; i < 4; i++) sql_tuple_put(&three, (wb_str){&"123"[i - 1], 1});
    wb_str all = {three.p, three.len};
    expect(&(sql_chunk){.low = low}, 1, true, "a >= '7'");
    expect(&(sql_chunk){.low = all}, 3, true, "(a > '1' OR (a = '1' AND (b > '2' OR (b = '2' AND c >= '3'))))");
    expect(&(sql_chunk){.high = all}, 3, true, "(a < '1' OR (a = '1' AND (b < '2' OR (b = '2' AND c < '3'))))");
    expect(&(sql_chunk){.kind = SQL_CHUNK_ROW, .low = all}, 3, true, "a = '1' AND b = '2' AND c = '3'");
    expect(&(sql_chunk){.low = low, .high = low}, 3, true, "a >= '7' AND a < '7'"); /* of the first column only */
    wb_out_fini(&one);
    wb_out_fini(&three);
}

static void test_ranges(void **state)
{
    WB_UNUSED(state);
    wb_out one = {0}, pair = {0};
    wb_str low = text(&one, "-5");
    sql_tuple_put(&pair, WB_STR("1"));
    sql_tuple_put(&pair, WB_STR(""));
    wb_str both = {pair.p, pair.len};
    expect_range(&(sql_chunk){0}, 1, "");
    expect_range(&(sql_chunk){.low = low}, 1, "a >= '-5'");
    expect_range(&(sql_chunk){.high = low}, 1, "a < '-5'");
    expect_range(&(sql_chunk){.low = low, .high = low}, 1, "a >= '-5' AND a < '-5'");
    expect_range(&(sql_chunk){.low = both, .high = both}, 2, "(a, b) >= ('1', '') AND (a, b) < ('1', '')");
    expect_range(&(sql_chunk){.kind = SQL_CHUNK_ROW, .low = both}, 2, "(a, b) = ('1', '')");
    wb_out_fini(&one);
    wb_out_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes_and_names),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_spelled_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
