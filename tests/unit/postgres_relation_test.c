/* The relation cache: versions, and those of streamed transactions. */
#include "postgres_help.h"

static int setup(void **state)
{
    *state = fixture_new(1 << 20);
    return 0;
}
static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

/* A version of relation 1 is known by the name of its second column. */
static void put_version(fixture *f, uint32_t xid, uint32_t oid, const char *column)
{
    const col cols[] = {{"id", 23, -1, 1}, {column, 25, -1, 0}};
    put_relation(&f->m, xid, oid, "public", "t", 'd', cols, 2);
}
static void put_row(fixture *f, uint32_t xid, uint32_t oid)
{
    put_head(&f->m, 'I', xid, oid);
    TUPLE(f, 'N', "1", "x");
}
static const char *version(const fixture *f, uint32_t oid)
{
    const wb_table *t = pg_decoder_table(f->d, oid);
    return t ? t->cols[1].name.ptr : "none";
}
static const char *row_version(const fixture *f) { return f->b->changes[f->b->nchanges - 1].table->cols[1].name.ptr; }

static void test_same_relation_again(void **state)
{
    fixture *f = *state;
    put_version(f, 0, 1, "a");
    decode_ok(f);
    const wb_table *t = pg_decoder_table(f->d, 1);
    put_version(f, 0, 1, "a");
    decode_ok(f);
    assert_int_equal(f->asked, 1);
    assert_ptr_equal(pg_decoder_table(f->d, 1), t);
    put_version(f, 0, 1, "b");
    decode_ok(f);
    assert_int_equal(f->asked, 2);
    assert_string_equal(version(f, 1), "b");
}

/* Yesterday's rows keep yesterday's table, which lives as long as their batch. */
static void test_old_rows_keep_their_version(void **state)
{
    fixture *f = *state;
    put_version(f, 0, 1, "a");
    decode_ok(f);
    put_row(f, 0, 1);
    decode_ok(f);
    put_version(f, 0, 1, "b");
    decode_ok(f);
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(f->b->changes[0].table->cols[1].name.ptr, "a");
    assert_string_equal(f->b->changes[1].table->cols[1].name.ptr, "b");
    assert_true(f->b->changes[0].table->serial != f->b->changes[1].table->serial);
    pg_decoder_forget(f->d);
    assert_string_equal(f->b->changes[0].table->cols[1].name.ptr, "a");
    put_row(f, 0, 1);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
}

static void test_many_relations(void **state)
{
    fixture *f = *state;
    for (uint32_t oid = 1; oid <= 5000; oid++) {
        put_version(f, 0, oid * 64, "a");
        decode_ok(f);
    }
    for (uint32_t oid = 1; oid <= 5000; oid++) {
        assert_int_equal(pg_decoder_table(f->d, oid * 64)->id, oid * 64);
        assert_null(pg_decoder_table(f->d, oid * 64 + 1));
    }
}

static void replay(fixture *f, uint64_t seq)
{
    pg_decoder_seq(f->d, seq);
    decode_ok(f);
}
static void replay_end(fixture *f) { assert_int_equal(pg_decoder_replay_end(f->d, &f->err), WB_OK); }

/* The server counts what a committed stream brought as sent: rows outside come without a Relation message. */
static void test_replay_brings_its_version(void **state)
{
    fixture *f = *state;
    uint64_t r = pg_decoder_arrival(f->d), i = pg_decoder_arrival(f->d);
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "a");
    replay(f, r);
    put_row(f, 766, 1);
    replay(f, i);
    assert_int_equal(f->ev.xid, 766);
    replay_end(f);
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(row_version(f), "a");
    assert_int_equal(f->asked, 1);
}

/* Spooled: a. Outside, later: b. The replay decodes with a, and b stays. */
static void test_newer_version_outside_stays(void **state)
{
    fixture *f = *state;
    uint64_t r = pg_decoder_arrival(f->d);
    put_version(f, 0, 1, "b");
    decode_ok(f);
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(row_version(f), "b");
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "a");
    replay(f, r);
    put_row(f, 765, 1);
    replay(f, r + 100);
    assert_string_equal(row_version(f), "a");
    replay_end(f);
    assert_string_equal(version(f, 1), "b");
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(row_version(f), "b");
}

/* Outside: a. Spooled, later: b. Until the commit rows outside are decoded with a, afterwards with b. */
static void test_newer_version_in_stream_comes_at_commit(void **state)
{
    fixture *f = *state;
    put_version(f, 0, 1, "a");
    decode_ok(f);
    uint64_t r = pg_decoder_arrival(f->d);
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(row_version(f), "a");
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "b");
    replay(f, r);
    replay_end(f);
    put_row(f, 0, 1);
    decode_ok(f);
    assert_string_equal(row_version(f), "b");
}

/* The same version again outside renews the arrival, without asking for the table. */
static void test_equal_version_renews_arrival(void **state)
{
    fixture *f = *state;
    put_version(f, 0, 1, "b");
    decode_ok(f);
    uint64_t r = pg_decoder_arrival(f->d);
    put_version(f, 0, 1, "b");
    decode_ok(f);
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "a");
    replay(f, r);
    replay_end(f);
    assert_string_equal(version(f, 1), "b");
    assert_int_equal(f->asked, 2);
}

/* An equal version in a stream renews it too, sharing the table; then an older stream's cannot come over it. */
static void test_equal_version_in_replay(void **state)
{
    fixture *f = *state;
    put_version(f, 0, 1, "b");
    decode_ok(f);
    uint64_t older = pg_decoder_arrival(f->d), newer = pg_decoder_arrival(f->d);
    pg_decoder_replay_begin(f->d);
    put_version(f, 766, 1, "b");
    replay(f, newer);
    replay_end(f);
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "a");
    replay(f, older);
    assert_string_equal(version(f, 1), "a");
    replay_end(f);
    assert_string_equal(version(f, 1), "b");
    assert_int_equal(f->asked, 2);
}

/* Two versions in one transaction, an ALTER between them. */
static void test_versions_inside_a_replay(void **state)
{
    fixture *f = *state;
    uint64_t seq[4];
    for (int i = 0; i < 4; i++) seq[i] = pg_decoder_arrival(f->d);
    pg_decoder_replay_begin(f->d);
    put_version(f, 765, 1, "a");
    replay(f, seq[0]);
    put_row(f, 765, 1);
    replay(f, seq[1]);
    put_version(f, 765, 1, "b");
    replay(f, seq[2]);
    put_row(f, 765, 1);
    replay(f, seq[3]);
    replay_end(f);
    assert_string_equal(f->b->changes[0].table->cols[1].name.ptr, "a");
    assert_string_equal(f->b->changes[1].table->cols[1].name.ptr, "b");
    assert_string_equal(version(f, 1), "b");
}

static void test_replay_takes_only_changes(void **state)
{
    fixture *f = *state;
    pg_decoder_replay_begin(f->d);
    wb_out_put(&f->m, "E", 1);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    wb_out_put(&f->m, "S\0\0\2\xfd\0", 6);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    replay_end(f);
}

static wb_table *no_table(void *arg, const pg_relation *r, wb_error *err)
{
    if (arg) wb_fail(err, WB_E_SCHEMA, WB_NEVER, "The catalog does not know %.*s.", (int)r->name.len, r->name.ptr);
    return NULL;
}

static void test_hook_fails(void **state)
{
    fixture *f = *state;
    pg_event ev;
    wb_error err;
    put_version(f, 0, 1, "a");
    for (int i = 0; i < 2; i++) {
        pg_decoder *d = pg_decoder_new(no_table, i ? f : NULL, 1000);
        wb_error_reset(&err);
        assert_int_equal(pg_decode(d, f->m.p, f->m.len, 0, NULL, &ev, &err), i ? WB_E_SCHEMA : WB_E_NOMEM);
        assert_int_equal(pg_decode(d, f->m.p, f->m.len, 0, NULL, &ev, NULL), i ? WB_E_SCHEMA : WB_E_NOMEM);
        assert_null(pg_decoder_table(d, 1));
        pg_decoder_free(d);
    }
}

static void test_table_of_relation(void **state)
{
    fixture *f = *state;
    const col cols[] = {{"a", 1700, ((12 << 16) | 2) + 4, 0}, {"b", 1043, 24, 1}, {"c", 20, -1, 1}};
    put_relation(&f->m, 0, 7, "", "pg_thing", 'i', cols, 3);
    decode_ok(f);
    const wb_table *t = pg_decoder_table(f->d, 7);
    assert_true(t->id == 7 && wb_str_is(t->schema, "pg_catalog") && wb_str_is(t->source_name, "pg_thing"));
    assert_true(t->ncols == 3 && t->nkey == 2 && t->key[0] == 1 && t->key[1] == 2 && t->flags == 0);
    assert_string_equal(t->cols[0].type.ptr, "numeric(12,2)");
    assert_string_equal(t->cols[1].type.ptr, "character varying(20)");
    assert_true(t->cols[1].flags == WB_COL_KEY && t->cols[1].type_id == 1043 && t->cols[1].type_mod == 24);
    assert_true(t->cols[0].kind == WB_DECIMAL && t->cols[2].kind == WB_INT && t->cols[2].id == 0);
    put_relation(&f->m, 0, 8, "s", "full", 'f', cols, 3);
    decode_ok(f);
    t = pg_decoder_table(f->d, 8);
    assert_true(t->nkey == 0 && t->flags == WB_TABLE_FULL_BEFORE && t->cols[1].flags == 0);
    put_relation(&f->m, 0, 9, "s", "empty", 'n', cols, 0);
    decode_ok(f);
    assert_int_equal(pg_decoder_table(f->d, 9)->ncols, 0);
    put_head(&f->m, 'I', 0, 9);
    put_tuple(&f->m, 'N', NULL, 0);
    decode_ok(f);
    assert_string_equal(last_change(f), "INSERT s.empty after()");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_same_relation_again),
        T(test_old_rows_keep_their_version),
        T(test_many_relations),
        T(test_replay_brings_its_version),
        T(test_newer_version_outside_stays),
        T(test_newer_version_in_stream_comes_at_commit),
        T(test_equal_version_renews_arrival),
        T(test_equal_version_in_replay),
        T(test_versions_inside_a_replay),
        T(test_replay_takes_only_changes),
        T(test_hook_fails),
        T(test_table_of_relation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
