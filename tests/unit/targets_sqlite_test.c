/* The SQLite target: rows, keys, values, stands, failures. */
#include "targets_sqlite_help.h"

static const uint16_t first[] = {0};
static const uint16_t two[] = {0, 1};
static const col users_cols[] = {{"id", WB_INT, "integer", NULL, 23, 0},
                                 {"name", WB_TEXT, "text", NULL, 25, 0},
                                 {"bio", WB_TEXT, "text", NULL, 25, 0}};

static wb_table *users(void) { return TABLE("users", 5001, users_cols, first, 0); }

static void test_insert_update_delete_and_stand(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    assert_false(f->o.own);
    INSERT(f, t, "1", "Ann", "a");
    INSERT(f, t, "2", "Ben", NULL);
    INSERT(f, t, "-9223372036854775808", "min", "");
    deliver(f);
    SQL(f, "select * from users order by id", "-9223372036854775808|min|\n1|Ann|a\n2|Ben|NULL");
    SQL(f, "select sql from sqlite_master where name = 'users'",
        "CREATE TABLE \"users\" (\"id\" INTEGER PRIMARY KEY, \"name\" TEXT, \"bio\" TEXT)");
    UPDATE(f, t, "1", "Anna", UNCHANGED);
    UPDATE(f, t, "2", ABSENT, "b");
    DELETE(f, t, "-9223372036854775808", ABSENT, ABSENT);
    DELETE(f, t, "77", ABSENT, ABSENT);
    deliver(f);
    SQL(f, "select * from users order by id", "1|Anna|a\n2|Ben|b");
    SQL(f, "select hex(pos), ordinal, epoch, pipeline, mode from _walbrook_stand", "0000000000000066|0|1|loose|mirror");
    assert_int_equal(f->ndone, 2);
    assert_int_equal(f->nfreed, 2);
    reopen(f);
    assert_true(f->o.own);
    assert_int_equal(own_pos(f), f->pos);
    change(f, WB_TRUNCATE, t, NULL, NULL);
    INSERT(f, t, "3", "Cid", NULL);
    deliver(f);
    SQL(f, "select * from users", "3|Cid|NULL");
    SQL(f, "select name, mirror_column, source_type, class, key_position from _walbrook_columns order by position",
        "id|id|integer|INTEGER|1\nname|name|text|TEXT|0\nbio|bio|text|TEXT|0");
    wb_table_unref(t);
    fix_close(f);
}

/* A transaction in pieces is never seen in part, and its memory goes at once (G-05). */
static void test_transaction_in_pieces(void **state)
{
    (void)state;
    fix *f = fix_open(ROW("commit_rows", "2", NULL));
    wb_table *t = users();
    INSERT(f, t, "1", "Ann", NULL);
    deliver(f);
    for (int i = 2; i < 8; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        if (i == 2)
            txn_begin(f);
        else
            wb_batch_txn(batch(f))->id = WB_STR("same");
        INSERT(f, t, id, "x", NULL);
        must(f, give(f, false, 0));
        assert_int_equal(flush(f), WB_AGAIN);
        SQL(f, "select count(*) from users", "1");
        assert_int_equal(f->nfreed, (size_t)i);
    }
    assert_int_equal(f->ndone, 1);
    wb_batch_txn(batch(f))->id = WB_STR("same");
    INSERT(f, t, "8", "x", NULL);
    must(f, give(f, true, 0)); /* over commit_rows: at once */
    SQL(f, "select count(*) from users", "8");
    assert_int_equal(f->ndone, 8);
    /* stopped in the middle: nothing of it stays, the answers say so */
    INSERT(f, t, "9", "x", NULL);
    must(f, give(f, false, 0));
    assert_int_equal(wb_target_sqlite.flush(f->ctx, -1, &f->err), WB_OK);
    assert_int_equal(f->nfailed, 1);
    assert_int_equal(f->last.next, WB_RECONNECT);
    SQL(f, "select count(*) from users", "8");
    wb_table_unref(t);
    fix_close(f);
}

/* Every kind in its class, and nothing altered on the way. */
static void test_values_are_exact(void **state)
{
    (void)state;
    static const struct {
        wb_kind kind;
        uint32_t type_id;
        const char *in, *type, *out; /* out: quote() */
    } rows[] = {
        {WB_BOOL, 16, "t", "integer", "1"},
        {WB_BOOL, 16, "f", "integer", "0"},
        {WB_INT, 20, "9223372036854775807", "integer", "9223372036854775807"},
        {WB_INT, 20, "-9223372036854775808", "integer", "-9223372036854775808"},
        {WB_INT, 20, "-7", "integer", "-7"},
        {WB_UINT, 26, "4294967295", "integer", "4294967295"},
        {WB_UINT, 5069, "9223372036854775807", "integer", "9223372036854775807"},
        {WB_UINT, 5069, "9223372036854775808", "text", "'9223372036854775808'"},
        {WB_UINT, 5069, "18446744073709551615", "text", "'18446744073709551615'"},
        {WB_FLOAT, 701, "0.1", "real", "0.1"},
        {WB_FLOAT, 701, "-2.5", "real", "-2.5"},
        {WB_FLOAT, 701, "1e+301", "real", "1.0e+301"},
        {WB_FLOAT, 701, "5e-324", "real", "4.94065645841247e-324"},
        {WB_FLOAT, 701, "9007199254740993", "real", "9.00719925474099e+15"},
        {WB_FLOAT, 701, "NaN", "text", "'NaN'"},
        {WB_FLOAT, 701, "Infinity", "real", "Inf"},
        {WB_FLOAT, 701, "-Infinity", "real", "-Inf"},
        {WB_DECIMAL, 1700, "1.10", "text", "'1.10'"},
        {WB_DECIMAL, 1700, "123456789012345678901234567890.000000001", "text",
         "'123456789012345678901234567890.000000001'"},
        {WB_TEXT, 25, "0012", "text", "'0012'"},
        {WB_TEXT, 25, "", "text", "''"},
        {WB_TEXT, 25, "it's \xc3\xa9", "text", "'it''s \xc3\xa9'"},
        {WB_BYTES, 17, "\\x", "blob", "X''"},
        {WB_BYTES, 17, "\\x00ff1eAB", "blob", "X'00FF1EAB'"},
        {WB_DATE, 1082, "2024-02-29", "text", "'2024-02-29'"},
        {WB_TIME, 1083, "10:00:00.000001", "text", "'10:00:00.000001'"},
        {WB_TIMESTAMP, 1114, "2024-02-29 10:00:00.123456", "text", "'2024-02-29 10:00:00.123456'"},
        {WB_TIMESTAMPTZ, 1184, "2024-02-29 10:00:00.123456+00", "text", "'2024-02-29 10:00:00.123456+00:00'"},
        {WB_TIMESTAMPTZ, 1184, "2024-02-29 10:00:00-03:30", "text", "'2024-02-29 10:00:00-03:30'"},
        {WB_UUID, 2950, "00112233-4455-6677-8899-aabbccddeeff", "text", "'00112233-4455-6677-8899-aabbccddeeff'"},
        {WB_JSON, 114, "{\"a\":1.0}", "text", "'{\"a\":1.0}'"},
        {WB_ARRAY, 1007, "{1,NULL}", "text", "'{1,NULL}'"},
        {WB_RANGE, 3904, "[1,5)", "text", "'[1,5)'"},
        {WB_INTERVAL, 1186, "1 mon", "text", "'1 mon'"},
        {WB_OTHER, 600, "(1,2)", "text", "'(1,2)'"},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        fix *f = fix_open(NULL);
        col c[] = {{"id", WB_INT, "integer", NULL, 23, 0}, {"v", rows[i].kind, "x", NULL, rows[i].type_id, 0}};
        wb_table *t = TABLE("v", 7, c, first, 0);
        char expected[256];
        INSERT(f, t, "1", rows[i].in);
        deliver(f);
        UPDATE(f, t, "1", rows[i].in);
        INSERT(f, t, "2", NULL);
        deliver(f);
        snprintf(expected, sizeof expected, "%s|%s\nnull|NULL", rows[i].type, rows[i].out);
        SQL(f,
            "select typeof(v), case when typeof(v) = 'real' then cast(v as text) else quote(v) end "
            "from v order by id",
            expected);
        wb_table_unref(t);
        fix_close(f);
    }
}

/* Doubles come back bit for bit. */
static void test_doubles_bit_for_bit(void **state)
{
    (void)state;
    static const double d[] = {0.1,
                               1.0 / 3,
                               123456789.123456,
                               1e22,
                               1e23,
                               2.2250738585072014e-308,
                               1.7976931348623157e308,
                               5e-324,
                               -0.3,
                               4503599627370497.5,
                               100,
                               1e15,
                               0.000123};
    fix *f = fix_open(NULL);
    static const col c[] = {{"id", WB_INT, "integer", NULL, 23, 0}, {"v", WB_FLOAT, "double precision", NULL, 701, 0}};
    wb_table *t = TABLE("v", 7, c, first, 0);
    sqlite3 *db;
    sqlite3_stmt *st;
    for (size_t i = 0; i < WB_COUNT(d); i++) {
        char id[8], text[40];
        snprintf(id, sizeof id, "%zu", i);
        snprintf(text, sizeof text, "%.17g", d[i]);
        INSERT(f, t, id, text);
    }
    deliver(f);
    sqlite3_open(f->file, &db);
    sqlite3_prepare_v2(db, "select v from v order by id", -1, &st, NULL);
    for (size_t i = 0; i < WB_COUNT(d); i++) {
        assert_int_equal(sqlite3_step(st), SQLITE_ROW);
        double got = sqlite3_column_double(st, 0);
        assert_memory_equal(&got, &d[i], sizeof got);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    wb_table_unref(t);
    fix_close(f);
}

/* The number forms, as binary sources send them; and text that looks like a number where numbers live. */
static void test_number_forms(void **state)
{
    (void)state;
    static const struct {
        wb_value v;
        uint8_t col;
        const char *out;
    } rows[] = {
        {{.kind = WB_BOOL, .as.i = 1}, WB_BOOL, "integer|1"},
        {{.kind = WB_INT, .as.i = INT64_MIN}, WB_INT, "integer|-9223372036854775808"},
        {{.kind = WB_UINT, .as.u = 7}, WB_UINT, "integer|7"},
        {{.kind = WB_UINT, .as.u = UINT64_MAX}, WB_UINT, "text|'18446744073709551615'"},
        {{.kind = WB_FLOAT, .as.f = 0.5}, WB_FLOAT, "real|0.5"},
        {{.kind = WB_DATE, .as.i = -1}, WB_DATE, "text|'1969-12-31'"},
        {{.kind = WB_DATE, .as.i = 19782}, WB_DATE, "text|'2024-02-29'"},
        {{.kind = WB_TIME, .as.i = 86399999999}, WB_TIME, "text|'23:59:59.999999'"},
        {{.kind = WB_TIME, .as.i = -3020399000000}, WB_TIME, "text|'-838:59:59'"},
        {{.kind = WB_TIMESTAMP, .as.i = -1}, WB_TIMESTAMP, "text|'1969-12-31 23:59:59.999999'"},
        {{.kind = WB_TIMESTAMPTZ, .as.i = 1709200800500000}, WB_TIMESTAMPTZ, "text|'2024-02-29 10:00:00.5+00:00'"},
        {{.kind = WB_BYTES, .len = 2, .as.ptr = "\x00\x01"}, WB_BYTES, "blob|X'0001'"},
        {{.kind = WB_TEXT, .flags = WB_V_TEXT, .len = 3, .as.ptr = "1e9"}, WB_INT, "blob|X'316539'"},
        {{.kind = WB_OTHER, .flags = WB_V_TEXT, .len = 8, .as.ptr = "infinity"}, WB_DATE, "text|'infinity'"},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        fix *f = fix_open(NULL);
        col c[] = {{"id", WB_INT, "integer", NULL, 23, 0}, {"v", rows[i].col, "x", NULL, 0, 0}};
        wb_table *t = TABLE("v", 7, c, first, 0);
        wb_change *ch = INSERT(f, t, "1", "0");
        wb_value *v = wb_batch_values(f->b, 2);
        v[0] = ch->after[0];
        v[1] = rows[i].v;
        ch->after = v;
        deliver(f);
        SQL(f, "select typeof(v), quote(v) from v", rows[i].out);
        wb_table_unref(t);
        fix_close(f);
    }
}

/* SQLite's own date functions read what we write. */
static void test_dates_are_sqlite_dates(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    static const col c[] = {{"id", WB_INT, "integer", NULL, 23, 0},
                            {"ts", WB_TIMESTAMPTZ, "timestamp with time zone", NULL, 1184, 0}};
    wb_table *t = TABLE("v", 7, c, first, 0);
    INSERT(f, t, "1", "2024-02-29 10:00:00.5+00");
    deliver(f);
    SQL(f, "select strftime('%s', ts), date(ts, '+1 day') from v", "1709200800|2024-03-01");
    wb_table_unref(t);
    fix_close(f);
}

/* D20: NULLs match; exactly one of equal rows goes. */
static void test_d20_rows_without_key(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    static const col c[] = {{"a", WB_INT, "integer", NULL, 23, 0},
                            {"rowid", WB_TEXT, "text", NULL, 25, 0},
                            {"d", WB_FLOAT, "double precision", NULL, 701, 0}};
    wb_table *t = TABLE0("log", 7, c, WB_TABLE_FULL_BEFORE);
    for (int i = 0; i < 3; i++) INSERT(f, t, "1", NULL, "NaN");
    INSERT(f, t, "2", "x", "0.1");
    deliver(f);
    DELETE(f, t, "1", NULL, "NaN");
    change(f, WB_UPDATE, t, ROW("2", "x", "0.1"), ROW("2", UNCHANGED, NULL));
    change(f, WB_UPDATE, t, ROW("1", NULL, "NaN"), ROW("1", "new", "NaN"));
    deliver(f);
    SQL(f, "select a, \"rowid\", d from log order by 1, 2", "1|NULL|NaN\n1|new|NaN\n2|x|NULL");
    wb_table_unref(t);
    fix_close(f);
}

/* D21: an update that brings nothing but the key. D22, D23: order within a transaction is kept. */
static void test_d21_d22_d23(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    INSERT(f, t, "1", "Ann", "a");
    deliver(f);
    UPDATE(f, t, "1", UNCHANGED, ABSENT);
    UPDATE(f, t, "1", ABSENT, UNCHANGED);
    deliver(f);
    move_row(f, t, ROW("1", ABSENT, ABSENT), ROW("2", "Ann", UNCHANGED));
    INSERT(f, t, "1", "New", "n");
    DELETE(f, t, "1", ABSENT, ABSENT);
    INSERT(f, t, "3", "New", "n");
    deliver(f);
    SQL(f, "select * from users order by id", "2|Ann|a\n3|New|n");
    assert_int_equal(f->nfailed, 0);
    wb_table_unref(t);
    fix_close(f);
}

/* The key comes from `before` when the new row has it unsent (a TOASTed key column, A7). */
static void test_a7_toasted_key(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    static const col c[] = {{"k", WB_TEXT, "text", NULL, 25, 0},
                            {"n", WB_INT, "integer", NULL, 23, 0},
                            {"v", WB_TEXT, "text", NULL, 25, 0}};
    wb_table *t = TABLE("t", 7, c, two, 0);
    INSERT(f, t, "long", "1", "v");
    deliver(f);
    change(f, WB_UPDATE, t, ROW("long", "1", ABSENT), ROW(UNCHANGED, "1", "w"));
    deliver(f);
    SQL(f, "select * from t", "long|1|w");
    move_row(f, t, ROW("long", "1", ABSENT), ROW(UNCHANGED, "2", UNCHANGED));
    deliver(f);
    SQL(f, "select * from t", "long|2|w");
    SQL(f, "select sql from sqlite_master where name = 't'",
        "CREATE TABLE \"t\" (\"k\" TEXT NOT NULL, \"n\" INTEGER NOT NULL, \"v\" TEXT, PRIMARY KEY (\"k\", \"n\")) "
        "WITHOUT ROWID");
    wb_table_unref(t);
    fix_close(f);
}

/* UPDATE t SET id = id + 1 and a swap, under a deferrable key: rows pass through one another. */
static void test_keys_that_move_through_one_another(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++) {
        fix *f = fix_open(NULL);
        wb_table *t = TABLE("users", 5001, users_cols, first, WB_TABLE_FULL_BEFORE);
        enum { N = 1000 };
        char a[12], b[12], name[16];
        for (int i = 1; i <= N; i++) {
            snprintf(a, sizeof a, "%d", i);
            snprintf(name, sizeof name, "n%d", i);
            INSERT(f, t, a, name, "long");
        }
        deliver(f);
        for (int k = 0; k < N; k++) {
            int i = order == 0 ? k + 1 : order == 1 ? N - k : (k * 377) % N + 1;
            snprintf(a, sizeof a, "%d", i);
            snprintf(b, sizeof b, "%d", i + 1);
            snprintf(name, sizeof name, "n%d", i);
            move_row(f, t, ROW(a, name, "long"), ROW(b, name, UNCHANGED));
        }
        deliver(f);
        SQL(f, "select count(*), sum(id = cast(substr(name, 2) as int) + 1), min(bio), max(bio) from users",
            "1000|1000|long|long");
        move_row(f, t, ROW("2", "n1", "long"), ROW("3", "n1", "long"));
        move_row(f, t, ROW("3", "n2", "long"), ROW("2", "n2", "short"));
        change(f, WB_UPDATE, t, ROW("2", "n2", "short"), ROW("2", "N2", "short"));
        deliver(f);
        SQL(f, "select * from users where id < 4 order by id", "2|N2|short\n3|n1|long");
        assert_int_equal(f->ctx->parked, 0);
        wb_table_unref(t);
        fix_close(f);
    }
}

/* A row whose delete did not come (operations: [insert, update]) gives way to its key's new owner. */
static void test_occupant_that_is_gone_at_the_source(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags < 2; flags++) {
        fix *f = fix_open(NULL);
        wb_table *t = TABLE("users", 5001, users_cols, first, flags);
        INSERT(f, t, "1", "a", "a");
        INSERT(f, t, "2", "b", "b");
        deliver(f);
        move_row(f, t, flags ? ROW("1", "a", "a") : ROW("1", ABSENT, ABSENT), ROW("2", "a", "a"));
        INSERT(f, t, "2", "c", "c");
        deliver(f);
        SQL(f, "select * from users", "2|c|c");
        assert_int_equal(f->ctx->parked, 0);
        wb_table_unref(t);
        fix_close(f);
    }
}

static void test_missing_rows(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    UPDATE(f, t, "1", "Ann", "a"); /* all of the row is there: it goes in */
    move_row(f, t, ROW("5", ABSENT, ABSENT), ROW("6", "Six", "s"));
    deliver(f);
    SQL(f, "select * from users", "1|Ann|a\n6|Six|s");
    UPDATE(f, t, "9", "Nia", UNCHANGED);
    assert_int_equal(give(f, true, 0), WB_E_STATE);
    assert_int_equal(f->err.next, WB_NEVER);
    assert_non_null(strstr(f->err.message, "table users has no row id=9"));
    wb_table_unref(t);
    fix_close(f);
}

/* A first snapshot: its turn commits at its end or not at all; secondary indexes come with its last row. */
static void test_snapshot_and_reset(void **state)
{
    (void)state;
    fix *f = fix_open(ROW("indexes", "users(name)", NULL));
    wb_table *t = users();
    f->snapshot = true;
    READ(f, t, "1", "old", NULL);
    READ(f, t, "2", "old", NULL);
    must(f, give(f, false, WB_BATCH_RESET));
    assert_int_equal(flush(f), WB_AGAIN); /* the rest of the turn is still to come */
    SQL(f, "select count(*) from sqlite_master where name = 'users'", "0");
    reopen(f);
    assert_false(f->o.own);
    READ(f, t, "1", "new", NULL);
    must(f, give(f, false, WB_BATCH_RESET));
    READ(f, t, "4", "new", NULL);
    must(f, give(f, true, 0));
    must(f, flush(f));
    SQL(f, "select * from users", "1|new|NULL\n4|new|NULL");
    SQL(f, "select count(*) from sqlite_master where type = 'index' and tbl_name = 'users'", "0");
    f->turn_from = f->pos;
    txn_begin(f);
    READ(f, t, "1", "new", NULL); /* chunks may overlap */
    READ(f, t, "3", "new", NULL)->flags = WB_C_LAST_OF_SNAPSHOT;
    must(f, give(f, true, 0));
    must(f, flush(f));
    SQL(f, "select count(*) from users", "3");
    SQL(f, "select sql from sqlite_master where type = 'index' and tbl_name = 'users'",
        "CREATE INDEX \"_walbrook_users(name)\" ON \"users\" (name)");
    SQL(f, "select count(*) from _walbrook_tables", "1");
    wb_table_unref(t);
    fix_close(f);
}

/* A turn that does not end leaves nothing; what was committed before it stays, and its tickets are answered. */
static void test_turn_is_abandoned(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    INSERT(f, t, "1", "before", NULL);
    must(f, give(f, true, 0)); /* not committed yet */
    f->snapshot = true;
    f->turn_from = f->pos;
    txn_begin(f);
    change(f, WB_TRUNCATE, t, NULL, NULL);
    READ(f, t, "2", "half", NULL);
    must(f, give(f, false, 0));
    SQL(f, "select id from users", "1");
    f->snapshot = false;
    txn_begin(f);
    INSERT(f, t, "3", "stream", NULL);
    must(f, give(f, true, WB_VIEW_ABANDON));
    must(f, flush(f));
    SQL(f, "select id from users order by id", "1\n3");
    f->snapshot = true;
    f->turn_from = f->pos;
    txn_begin(f);
    change(f, WB_TRUNCATE, t, NULL, NULL);
    READ(f, t, "4", "whole", NULL);
    must(f, give(f, false, 0));
    READ(f, t, "5", "whole", NULL);
    must(f, give(f, true, 0));
    must(f, flush(f));
    SQL(f, "select id from users order by id", "4\n5");
    txn_begin(f);
    READ(f, t, "6", "half", NULL);
    f->turn_from = f->pos;
    must(f, give(f, false, 0));
    must(f, wb_target_sqlite.flush(f->ctx, -1, &f->err)); /* a stop: it does not wait for the rest */
    SQL(f, "select id from users order by id", "4\n5");
    wb_table_unref(t);
    fix_close(f);
}

/* While its table is being copied, an update of part of a row that is not there is left out: the copy brings the row.
 */
static void test_update_before_its_row(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    wb_table *t = users();
    INSERT(f, t, "1", "a", NULL);
    deliver(f);
    txn_begin(f);
    UPDATE(f, t, "2", UNCHANGED, "5")->flags |= WB_C_COPYING;
    UPDATE(f, t, "1", UNCHANGED, "6")->flags |= WB_C_COPYING;
    change(f, WB_UPDATE, t, ROW("3", ABSENT, ABSENT), ROW("4", UNCHANGED, "7"))->flags |=
        WB_C_COPYING | WB_C_KEY_CHANGED;
    DELETE(f, t, "9", ABSENT, ABSENT)->flags |= WB_C_COPYING;
    deliver(f);
    SQL(f, "select id, name from users", "1|a");
    txn_begin(f);
    UPDATE(f, t, "2", UNCHANGED, "5");
    assert_int_equal(give(f, true, 0), WB_E_STATE); /* when it is copied to the end, that is a loss */
    wb_table_unref(t);
    fix_close(f);
}

static void test_names_in_the_way(void **state)
{
    (void)state;
    fix *f = fix_open(NULL);
    static const col c[] = {{"Id", WB_INT, "integer", NULL, 23, 0},
                            {"id", WB_TEXT, "text", NULL, 25, 0},
                            {"we\"ird", WB_TEXT, "text", NULL, 25, 0}};
    wb_table *t = TABLE("q\"t", 7, c, first, 0), *u = users(),
             *other = table_of("sales", "users", 8, users_cols, 3, first, 1, 0);
    wb_table *upper = table_of("public", "USERS", 9, users_cols, 3, first, 1, 0);
    INSERT(f, t, "1", "x", "y");
    INSERT(f, u, "1", "x", "y");
    INSERT(f, other, "2", "x", "y");
    deliver(f);
    SQL(f, "select Id, id_2, \"we\"\"ird\" from \"q\"\"t\"", "1|x|y");
    SQL(f, "select id from sales_users", "2");
    INSERT(f, upper, "3", "x", "y");
    assert_int_equal(give(f, true, 0), WB_E_SCHEMA);
    assert_non_null(strstr(f->err.message, "would both be \"USERS\""));
    wb_target_sqlite.close(f->ctx);
    sql(f, "create table mine (a)");
    must(f, try_open(f));
    wb_table *mine = TABLE("mine", 10, users_cols, first, 0);
    INSERT(f, mine, "3", "x", "y");
    assert_int_equal(give(f, true, 0), WB_E_SCHEMA);
    assert_non_null(strstr(f->err.message, "that Walbrook did not make"));
    wb_table_unref(t), wb_table_unref(u), wb_table_unref(other), wb_table_unref(upper), wb_table_unref(mine);
    fix_close(f);
}

/* More sets of sent columns than statements are kept. */
static void test_many_partial_updates(void **state)
{
    (void)state;
    enum { N = 12 };
    fix *f = fix_open(NULL);
    col c[N];
    char names[N][8];
    const char *row[N];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        c[i] = (col){names[i], i ? WB_TEXT : WB_INT, "x", NULL, 0, 0};
        row[i] = "1";
    }
    wb_table *t = TABLE("t", 7, c, first, 0);
    change(f, WB_INSERT, t, NULL, row);
    deliver(f);
    for (int bits = 0; bits < 1 << (N - 1); bits++) {
        char text[8];
        snprintf(text, sizeof text, "%d", bits);
        for (int i = 1; i < N; i++) row[i] = bits >> (i - 1) & 1 ? text : UNCHANGED;
        change(f, WB_UPDATE, t, NULL, row);
    }
    deliver(f);
    SQL(f, "select * from t", "1|2047|2047|2047|2047|2047|2047|2047|2047|2047|2047|2047");
    assert_true(f->ctx->nstatements <= SQ_PARTIAL + SQ_FIXED);
    assert_true(f->ctx->statement_bytes > 0 && f->ctx->statement_bytes <= f->ctx->statement_limit);
    wb_table_unref(t);
    fix_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_update_delete_and_stand),
        cmocka_unit_test(test_transaction_in_pieces),
        cmocka_unit_test(test_values_are_exact),
        cmocka_unit_test(test_doubles_bit_for_bit),
        cmocka_unit_test(test_number_forms),
        cmocka_unit_test(test_dates_are_sqlite_dates),
        cmocka_unit_test(test_d20_rows_without_key),
        cmocka_unit_test(test_d21_d22_d23),
        cmocka_unit_test(test_a7_toasted_key),
        cmocka_unit_test(test_keys_that_move_through_one_another),
        cmocka_unit_test(test_occupant_that_is_gone_at_the_source),
        cmocka_unit_test(test_missing_rows),
        cmocka_unit_test(test_snapshot_and_reset),
        cmocka_unit_test(test_turn_is_abandoned),
        cmocka_unit_test(test_update_before_its_row),
        cmocka_unit_test(test_names_in_the_way),
        cmocka_unit_test(test_many_partial_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
