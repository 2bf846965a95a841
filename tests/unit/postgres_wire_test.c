/* Messages of pgoutput to changes: every type, every way to be wrong. */
#include "postgres_help.h"

#define KEY_N_T                                                                                                        \
    {"id", 23, -1, 1}, {"n", 23, -1, 0}, { "t", 25, -1, 0 }

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

/* ---------------------------------------------------------------- frames */

static void test_frames(void **state)
{
    (void)state;
    pg_frame f;
    wb_error err;
    const char w[] = "w\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\0\0\0\0\5BODY";
    wb_error_reset(&err);
    assert_int_equal(pg_frame_parse(w, sizeof w - 1, &f, &err), WB_OK);
    assert_int_equal(f.kind, 'w');
    assert_true(f.start == 0x100000002 && f.end == 0x300000004 && f.sent_us == 946684800000005);
    assert_int_equal(f.len, 4);
    assert_memory_equal(f.body, "BODY", 4);
    for (size_t n = 0; n < 25; n++) {
        wb_error_reset(&err);
        assert_int_equal(pg_frame_parse(w, n, &f, &err), WB_E_PROTOCOL);
    }
    const char k[] = "k\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\1";
    for (size_t n = 0; n <= sizeof k; n++) {
        wb_error_reset(&err);
        assert_int_equal(pg_frame_parse(k, n, &f, &err), n == 18 ? WB_OK : WB_E_PROTOCOL);
        if (n == 18) assert_true(f.end == 0x100000002 && f.start == 0 && f.reply);
    }
    wb_error_reset(&err);
    assert_int_equal(pg_frame_parse("x", 1, &f, &err), WB_E_PROTOCOL);
}

static void test_status_update(void **state)
{
    (void)state;
    uint8_t out[PG_STATUS_LEN];
    pg_status_make(out, 0x100000002, 0x100000001, 946684800000005, true);
    assert_memory_equal(out, "r\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\5\1", PG_STATUS_LEN);
}

/* ---------------------------------------------------------------- control messages */

static void test_begin_and_commit(void **state)
{
    fixture *f = *state;
    wb_out_put(&f->m, "B\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\7\0\0\2\xfd", 21);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_BEGIN);
    assert_true(f->ev.commit_lsn == 0x100000002 && f->ev.commit_us == 946684800000007 && f->ev.xid == 765);
    wb_out_put(&f->m, "C\0\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\x32\0\0\0\0\0\0\0\7", 26);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_COMMIT);
    assert_true(f->ev.commit_lsn == 0x100000002 && f->ev.end_lsn == 0x100000032);
    wb_out_put(&f->m, "C\1\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\x32\0\0\0\0\0\0\0\7", 26);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL); /* flags that nobody knows */
}

static void test_stream_control(void **state)
{
    fixture *f = *state;
    wb_out_put(&f->m, "S\0\0\2\xfd\1", 6);
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_STREAM_START && f->ev.xid == 765 && f->ev.first_segment);
    wb_out_put(&f->m, "E", 1);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_STREAM_STOP);
    wb_out_put(&f->m, "A\0\0\2\xfd\0\0\2\xfe", 9);
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_STREAM_ABORT && f->ev.xid == 765 && f->ev.subxid == 766);
    wb_out_put(&f->m, "A\0\0\2\xfd\0\0\2\xfe\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2", 25); /* streaming 'parallel' */
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_STREAM_ABORT && f->ev.subxid == 766);
    wb_out_put(&f->m, "c\0\0\2\xfd\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\7", 30);
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_STREAM_COMMIT && f->ev.xid == 765 && f->ev.commit_lsn == 5 && f->ev.end_lsn == 6);
}

static void test_stream_order(void **state)
{
    fixture *f = *state;
    wb_out_put(&f->m, "E", 1);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    wb_out_put(&f->m, "S\0\0\2\xfd\0", 6);
    decode_ok(f);
    assert_false(f->ev.first_segment);
    wb_out_put(&f->m, "S\0\0\2\xfd\0", 6);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    wb_out_put(&f->m, "B\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\7\0\0\2\xfd", 21);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    wb_out_put(&f->m, "O\0\0\0\0\0\0\0\1node\0", 14);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_ORIGIN);
    assert_true(wb_str_is(f->ev.name, "node"));
}

static void test_type(void **state)
{
    fixture *f = *state;
    wb_out_put(&f->m, "Y\0\0\x40\1\0int4\0", 11);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_TYPE);
    assert_int_equal(f->ev.type_oid, 16385);
    assert_true(wb_str_is(f->ev.schema, "pg_catalog") && wb_str_is(f->ev.name, "int4"));
}

static void test_two_phase(void **state)
{
    fixture *f = *state;
    const struct {
        const char *p;
        size_t n;
    } all[] = {{"b\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 34},
               {"P\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 35},
               {"K\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 35},
               {"p\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 35},
               {"r\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4\0\0\3\1gid1", 43}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        wb_out_put(&f->m, all[i].p, all[i].n);
        decode_ok(f);
        assert_true(f->ev.kind == PG_EV_TWO_PHASE && f->ev.type == all[i].p[0] && f->ev.xid == 769);
        assert_true(f->ev.commit_lsn == 1 && f->ev.end_lsn == 2 && wb_str_is(f->ev.name, "gid1"));
    }
}

/* A message inside a transaction takes no ordinal, whatever its flag; only the flag says what it is. */
static void test_d08_transactional_message(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    wb_out_put(&f->m, "M\1\0\0\0\0\0\0\0\x7bpre\0\0\0\0\2ok", 20);
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_MESSAGE && f->ev.transactional && f->ev.message_lsn == 123);
    assert_true(wb_str_is(f->ev.prefix, "pre") && wb_str_is(f->ev.content, "ok"));
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'N', "1", "2", "x");
    decode_ok(f);
    assert_int_equal(f->b->changes[0].ordinal, 0);
    wb_out_put(&f->m, "M\0\0\0\0\0\0\0\0\x7bpre\0\0\0\0\0", 18);
    decode_ok(f);
    assert_false(f->ev.transactional);
    assert_int_equal(f->ev.content.len, 0);
}

/* ---------------------------------------------------------------- rows */

static void test_insert(void **state)
{
    fixture *f = *state;
    wb_batch_txn(f->b);
    wb_batch_txn(f->b);
    RELATION(f, 0, 77, 'd', KEY_N_T);
    decode_ok(f);
    assert_int_equal(f->ev.kind, PG_EV_RELATION);
    put_head(&f->m, 'I', 0, 77);
    TUPLE(f, 'N', "1", NUL_, "");
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_ROWS && f->ev.rows == 1 && f->ev.type == 'I');
    assert_string_equal(last_change(f), "INSERT public.t after(int:1, null, text:)");
    const wb_change *c = &f->b->changes[0];
    assert_true(c->place == 0x16b374d48 && c->ordinal == 0 && c->txn == 1);
    assert_ptr_equal(c->table, pg_decoder_table(f->d, 77));
    assert_int_equal(f->b->ntables, 1);
}

static void test_update_forms(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'N', "1", "2", UNCH_);
    decode_ok(f);
    assert_string_equal(last_change(f), "UPDATE public.t after(int:1, int:2, unchanged)");
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'K', "1", NUL_, NUL_);
    TUPLE(f, 'N', "5", NUL_, UNCH_);
    decode_ok(f);
    assert_string_equal(last_change(f),
                        "UPDATE public.t before(int:1, absent, absent) after(int:5, null, unchanged) key changed");
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'K', "5", NUL_, NUL_);
    TUPLE(f, 'N', "5", "1", "x");
    decode_ok(f);
    assert_string_equal(last_change(f), "UPDATE public.t before(int:5, absent, absent) after(int:5, int:1, text:x)");
}

/* Under FULL the message does not say what the key is; the table does, when the catalog was asked. */
static void test_key_changed_under_full(void **state)
{
    fixture *f = *state;
    f->key = true;
    RELATION(f, 0, 1, 'f', {"id", 23, -1, 1}, {"t", 25, -1, 1});
    decode_ok(f);
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'O', "1", "x");
    TUPLE(f, 'N', "1", "y");
    decode_ok(f);
    assert_string_equal(last_change(f), "UPDATE public.t before(int:1, text:x) after(int:1, text:y)");
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'O', "1", "x");
    TUPLE(f, 'N', "2", UNCH_);
    decode_ok(f);
    assert_string_equal(last_change(f), "UPDATE public.t before(int:1, text:x) after(int:2, text:x) key changed");
}

static void test_delete(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    put_head(&f->m, 'D', 0, 1);
    TUPLE(f, 'K', "1", NUL_, NUL_);
    decode_ok(f);
    assert_string_equal(last_change(f), "DELETE public.t before(int:1, absent, absent)");
    put_head(&f->m, 'D', 0, 1);
    TUPLE(f, 'N', "1", NUL_, NUL_);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
}

static void test_truncate(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    RELATION(f, 0, 2, 'd', {"a", 23, -1, 1});
    decode_ok(f);
    pg_decoder_ordinal(f->d, 40);
    wb_out_put(&f->m, "T\0\0\0\2\3\0\0\0\1\0\0\0\2", 14);
    decode_ok(f);
    assert_true(f->ev.kind == PG_EV_ROWS && f->ev.rows == 2 && f->b->nchanges == 2);
    assert_string_equal(last_change(f), "TRUNCATE public.t");
    assert_true(f->b->changes[0].ordinal == 40 && f->b->changes[1].ordinal == 41 && f->b->changes[1].table->id == 2);
    assert_int_equal(pg_decoder_next_ordinal(f->d), 42);
    wb_out_put(&f->m, "T\0\0\0\2\3\0\0\0\1\0\0\0\3", 14); /* 3 is unknown: none of the two */
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    assert_int_equal(f->b->nchanges, 2);
}

/* Rows of one COPY share one place, which may be that of the Begin and of the last Commit: the ordinal tells them
 * apart. */
static void test_d04_d05_d06_ordinals(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    for (int txn = 0; txn < 2; txn++) {
        wb_out_put(&f->m, "B\0\0\0\0\0\0\0\x7b\0\0\0\0\0\0\0\7\0\0\2\xfd", 21);
        decode_ok(f);
        pg_decoder_ordinal(f->d, 0);
        for (uint64_t i = 0; i < 3; i++) {
            put_head(&f->m, 'I', 0, 1);
            TUPLE(f, 'N', "1", "2", "x");
            assert_int_equal(decode_bytes(f, f->m.p, f->m.len, 123), WB_OK);
            wb_out_reset(&f->m);
            const wb_change *c = &f->b->changes[f->b->nchanges - 1];
            assert_true(c->place == 123 && c->ordinal == i);
        }
        wb_out_put(&f->m, "C\0\0\0\0\0\0\0\0\x7b\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\7", 26);
        decode_ok(f);
        assert_true(f->ev.end_lsn > f->ev.commit_lsn); /* what a position is made of */
    }
}

/* FULL: a value that N leaves out is in O, whatever its type. */
static void test_d12_unchanged_from_full_row(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'f', {"id", 23, -1, 1}, {"a", 1007, -1, 1}, {"h", 16500, -1, 1}, {"y", 17, -1, 1},
             {"z", 25, -1, 1});
    decode_ok(f);
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'O', "1", "{1,NULL}", "\"a\"=>\"1\"", "\\x00ff", NUL_);
    TUPLE(f, 'N', "1", UNCH_, UNCH_, UNCH_, UNCH_);
    decode_ok(f);
    const char *row = "(int:1, array:{1,NULL}, other:\"a\"=>\"1\", bytes:\\x00ff, null)";
    char want[200];
    snprintf(want, sizeof want, "UPDATE public.t before%s after%s", row, row);
    assert_string_equal(last_change(f), want);
}

/* A key stored out of line: N leaves it out, K has it. */
static void test_d12_unchanged_key_from_old_key(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', {"k", 25, -1, 1}, {"n", 23, -1, 0}, {"big", 25, -1, 0});
    decode_ok(f);
    put_head(&f->m, 'U', 0, 1);
    TUPLE(f, 'K', "long key", NUL_, NUL_);
    TUPLE(f, 'N', UNCH_, "2", UNCH_);
    decode_ok(f);
    assert_string_equal(last_change(f),
                        "UPDATE public.t before(text:long key, absent, absent) after(text:long key, int:2, unchanged)");
}

static void test_d15_multi_byte_names(void **state)
{
    fixture *f = *state;
    const col cols[] = {{"größe", 23, -1, 1}, {"日本", 25, -1, 0}};
    put_relation(&f->m, 0, 5, "schéma", "büro", 'd', cols, 2);
    decode_ok(f);
    const wb_table *t = pg_decoder_table(f->d, 5);
    assert_true(wb_str_is(t->schema, "schéma") && wb_str_is(t->name, "büro"));
    assert_true(wb_str_is(t->cols[0].name, "größe") && wb_str_is(t->cols[1].name, "日本"));
}

/* NULL under FULL is NULL; in an old key it means "not sent". */
static void test_d20_null_in_old_row(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'f', {"a", 23, -1, 1}, {"b", 25, -1, 1});
    decode_ok(f);
    put_head(&f->m, 'D', 0, 1);
    TUPLE(f, 'O', "1", NUL_);
    decode_ok(f);
    assert_string_equal(last_change(f), "DELETE public.t before(int:1, null)");
}

/* ---------------------------------------------------------------- what is refused */

static void test_row_refusals(void **state)
{
    fixture *f = *state;
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'N', "1");
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    assert_non_null(strstr(f->err.message, "relation 1 was never described"));
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'N', "1", "2");
    assert_int_equal(decode_made(f), WB_E_SCHEMA);
    assert_non_null(strstr(f->err.message, "table public.t at 1/6B374D48 has 2 columns"));
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'N', "1", BIN_, "x");
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    assert_non_null(strstr(f->err.message, "column n is in binary form"));
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'N', "1", "2", BAD_);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    put_head(&f->m, 'I', 0, 1);
    TUPLE(f, 'O', "1", "2", "x");
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    assert_int_equal(f->b->nchanges, 0);
    assert_int_equal(pg_decoder_next_ordinal(f->d), 0);
}

static void test_row_too_large(void **state)
{
    (void)state;
    fixture *f = fixture_new(100);
    RELATION(f, 0, 1, 'd', {"t", 25, -1, 1});
    decode_ok(f);
    char big[90];
    memset(big, 'x', sizeof big);
    for (size_t n = 80; n < 90; n++) {
        put_head(&f->m, 'I', 0, 1);
        big[n] = 0;
        TUPLE(f, 'N', big);
        big[n] = 'x';
        assert_int_equal(decode_made(f), n + 13 <= 100 ? WB_OK : WB_E_LIMIT);
    }
    assert_non_null(
        strstr(f->err.message, "A row of table public.t at 1/6B374D48 has 102 bytes, more than max_row allows (100)"));
    fixture_free(f);
}

static void test_relation_refusals(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'x', KEY_N_T);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    RELATION(f, 0, 0, 'd', KEY_N_T);
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    wb_out_put(&f->m, "R\0\0\0\1\0t\0d\xff\xff", 10); /* 65,535 columns in no bytes */
    assert_int_equal(decode_made(f), WB_E_PROTOCOL);
    assert_int_equal(decode_bytes(f, "", 0, 0), WB_E_PROTOCOL);
    assert_int_equal(decode_bytes(f, "X", 1, 0), WB_E_PROTOCOL);
    assert_int_equal(f->asked, 0);
}

/* One valid message of every type; `in` opens or closes a stream first. */
static void make_message(fixture *f, char type, uint32_t xid)
{
    switch (type) {
    case 'B': wb_out_put(&f->m, "B\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\7\0\0\2\xfd", 21); break;
    case 'C': wb_out_put(&f->m, "C\0\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\x32\0\0\0\0\0\0\0\7", 26); break;
    case 'O': wb_out_put(&f->m, "O\0\0\0\0\0\0\0\1node\0", 14); break;
    case 'R': RELATION(f, xid, 9, 'd', KEY_N_T); break;
    case 'Y':
        put_head(&f->m, 'Y', xid, 16385);
        wb_out_put(&f->m, "s\0mood\0", 7);
        break;
    case 'I':
        put_head(&f->m, 'I', xid, 1);
        TUPLE(f, 'N', "1", NUL_, "abc");
        break;
    case 'U':
        put_head(&f->m, 'U', xid, 1);
        TUPLE(f, 'K', "1", NUL_, NUL_);
        TUPLE(f, 'N', "2", UNCH_, "abc");
        break;
    case 'D':
        put_head(&f->m, 'D', xid, 1);
        TUPLE(f, 'O', "1", NUL_, "abc");
        break;
    case 'T':
        put_head(&f->m, 'T', xid, 2);
        wb_out_put(&f->m, "\0\0\0\0\1\0\0\0\1", 9);
        break;
    case 'M':
        wb_out_byte(&f->m, 'M');
        if (xid) wb_out_be32(&f->m, xid);
        wb_out_put(&f->m, "\1\0\0\0\0\0\0\0\x7bpre\0\0\0\0\2ok", 19);
        break;
    case 'S': wb_out_put(&f->m, "S\0\0\2\xfd\1", 6); break;
    case 'E': wb_out_put(&f->m, "E", 1); break;
    case 'c': wb_out_put(&f->m, "c\0\0\2\xfd\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\7", 30); break;
    case 'A': wb_out_put(&f->m, "A\0\0\2\xfd\0\0\2\xfe\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2", 25); break;
    case 'b': wb_out_put(&f->m, "b\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 34); break;
    case 'r':
        wb_out_put(&f->m, "r\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4\0\0\3\1gid1", 43);
        break;
    default:
        wb_out_byte(&f->m, type);
        wb_out_put(&f->m, "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\3\1gid1", 34);
        break;
    }
}

/* Cut at every byte, and one byte more: an error each time, nothing appended, the decoder still works. */
static void cut_everywhere(fixture *f, const char *types, uint32_t xid)
{
    for (; *types; types++) {
        wb_out_reset(&f->m);
        make_message(f, *types, xid);
        wb_out_byte(&f->m, 0);
        size_t whole = f->m.len - 1, before = f->b->nchanges;
        for (size_t n = 0; n <= whole + 1; n++) {
            if (n == whole || (*types == 'A' && n == 9) || (*types == 'E' && n == 1)) continue;
            pg_decoder_in_stream(f->d, xid != 0 || *types == 'E');
            wb_code code = decode_bytes(f, f->m.p, n, 1);
            if (code != WB_E_PROTOCOL) fail_msg("%c cut at %zu of %zu gave %d", *types, n, whole, (int)code);
        }
        assert_int_equal(f->b->nchanges, before);
        pg_decoder_in_stream(f->d, xid != 0 || *types == 'E');
        assert_int_equal(decode_bytes(f, f->m.p, whole, 1), WB_OK);
        assert_int_equal(f->ev.xid, strchr("RYIUDTM", *types) ? xid : f->ev.xid);
    }
    wb_out_reset(&f->m);
}

static void test_cut_at_every_byte(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    cut_everywhere(f, "BCORYIUDTMSEcAbPKrp", 0);
    cut_everywhere(f, "ORYIUDTM", 765);
}

/* Any one byte changed: no crash, and a row or an error. */
static void test_change_every_byte(void **state)
{
    fixture *f = *state;
    RELATION(f, 0, 1, 'd', KEY_N_T);
    decode_ok(f);
    for (const char *type = "BCORYIUDTMSEcAbPKrp"; *type; type++) {
        make_message(f, *type, 0);
        for (size_t i = 1; i < f->m.len; i++) {
            char was = f->m.p[i];
            for (int v = 0; v < 256; v += 5) {
                f->m.p[i] = (char)v;
                pg_decoder_in_stream(f->d, *type == 'E');
                (void)decode_bytes(f, f->m.p, f->m.len, 1);
            }
            f->m.p[i] = was;
            if (f->b->nchanges > 1000) wb_batch_clear(f->b);
        }
        wb_out_reset(&f->m);
    }
}

static void test_peek(void **state)
{
    fixture *f = *state;
    for (const char *type = "BCORYIUDTMSEcAbPKrp"; *type; type++) {
        pg_peek peek;
        wb_error_reset(&f->err);
        make_message(f, *type, 0);
        assert_int_equal(pg_wire_peek(f->m.p, f->m.len, false, &peek, &f->err), WB_OK);
        assert_true(peek.type == *type && peek.xid == 0 && peek.rows == (strchr("IUDT", *type) != NULL));
        wb_out_reset(&f->m);
        make_message(f, *type, 765);
        assert_int_equal(pg_wire_peek(f->m.p, f->m.len, true, &peek, &f->err), WB_OK);
        assert_int_equal(peek.xid, strchr("RYIUDTM", *type) ? 765 : 0);
        wb_out_reset(&f->m);
    }
    pg_peek peek;
    assert_int_equal(pg_wire_peek("I\0\0", 3, true, &peek, &f->err), WB_E_PROTOCOL);
    wb_error_reset(&f->err);
    assert_int_equal(pg_wire_peek("", 0, false, &peek, &f->err), WB_E_PROTOCOL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_status_update),
        T(test_begin_and_commit),
        T(test_stream_control),
        T(test_stream_order),
        T(test_type),
        T(test_two_phase),
        T(test_d08_transactional_message),
        T(test_insert),
        T(test_update_forms),
        T(test_key_changed_under_full),
        T(test_delete),
        T(test_truncate),
        T(test_d04_d05_d06_ordinals),
        T(test_d12_unchanged_from_full_row),
        T(test_d12_unchanged_key_from_old_key),
        T(test_d15_multi_byte_names),
        T(test_d20_null_in_old_row),
        T(test_row_refusals),
        cmocka_unit_test(test_row_too_large),
        T(test_relation_refusals),
        T(test_cut_at_every_byte),
        T(test_change_every_byte),
        T(test_peek),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
