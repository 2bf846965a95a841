/* mysql_log_test.c: what is large, and the log around transactions: files, positions, checksums, events that nobody
 * knows. */
#include "mysql_help.h"

#define XA_X1 "00 07000000 02000000 01000000 7831 62"

static void prepare(fixture *f, uint64_t n, unsigned id)
{
    ok(feed_gtid(f, n));
    ok(feed_query(f, "XA START X'7831',X'62',7"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, id, 'x'));
    ok(feed_query(f, "XA END X'7831',X'62',7"));
    ok(feed_hex(f, MY_XA_PREPARE, XA_X1));
    assert_int_equal(f->last.kind, MY_EV_PREPARED);
    assert_true(wb_str_is(f->last.xa, "X'7831',X'62',7"));
}

/* ---------------------------------------------------------------- pieces */

/* MariaDB 12.3: one rows event in pieces. */
static void test_fragments(void **state)
{
    (void)state;
    wb_out rows = {0};
    fixture *f = fixture_started("12.3.1-MariaDB");
    ok(feed_mariadb_gtid(f, 1, 4, ""));
    ok(feed_small_map(f, 9, "t"));
    wb_out body = {0};
    put_hex(&body, "090000000000 0100 02 ff fc 01000000 0161");
    put_inner(&rows, MY_WRITE_ROWS_V1, &body);
    for (unsigned i = 0; i < 2; i++) {
        size_t half = rows.len / 2;
        event_begin(f);
        put_le(&f->event, 2, 4);
        put_le(&f->event, i + 1, 4);
        wb_out_byte(&f->event, i == 0);
        if (i == 0) put_le(&f->event, rows.len, 8);
        wb_out_put(&f->event, rows.p + (i ? half : 0), i ? rows.len - half : half);
        ok(event_end(f, MY_PARTIAL_ROW_DATA));
    }
    ok(feed_xid(f));
    assert_said(f, "begin 0-1-1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    ok(feed_mariadb_gtid(f, 2, 4, ""));
    event_begin(f);
    put_hex(&f->event, "02000000 02000000 00 61");
    ok(event_end(f, MY_PARTIAL_ROW_DATA));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "it is not the next piece of a row");
    wb_out_fini(&rows);
    wb_out_fini(&body);
    fixture_free(f);
}

/* ---------------------------------------------------------------- memory */

static void many_rows(fixture *f, unsigned n)
{
    begin(f, 1);
    for (unsigned i = 0; i < n; i++) {
        ok(feed_small_map(f, 9, "t"));
        ok(feed_row(f, 9, i % 250, (char)('a' + i % 26)));
    }
}

static void test_large_transactions_go_through_the_spool(void **state)
{
    (void)state;
    my_options o = {.max_row = 1000, .hold = 4000};
    fixture *f = fixture_new(&o, true);
    ok(feed_format(f, "8.0.36", true));
    prepare(f, 90, 9); /* waits before and after it */
    many_rows(f, 6000);
    assert_true(f->spool.len > 100000);
    ok(feed_xid(f));
    const char *text = said(f);
    assert_non_null(strstr(text, "insert t #5999 +int:249 text:t\ncommit 6000\n"));
    ok(feed_gtid(f, 91));
    ok(feed_query(f, "XA COMMIT X'7831',X'62',7"));
    assert_said(f, "begin " SID ":91\ninsert t #0 +int:9 text:x\ncommit 1\n");
    fixture_free(f);
    f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    begin(f, 1);
    wb_code code = WB_OK;
    for (int i = 0; i < 200 && code == WB_OK; i++) code = feed_small_map(f, 9, "t");
    assert_error(f, code, WB_E_LIMIT, "is larger than what may be held (4000 bytes)");
    fixture_free(f);
}

static void test_large_rows(void **state)
{
    (void)state;
    my_options o = {.max_row = 600000};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    for (int large = 0; large < 2; large++) {
        size_t n = large ? 600001 : 500000;
        begin(f, 1);
        ok(feed_map(f, 9, "t", "fc", "04", "02 01 3f 04 02 0162"));
        event_begin(f);
        put_hex(&f->event, "090000000000 0100 0200 01 ff 00");
        put_le(&f->event, n, 4);
        for (size_t i = 0; i < n; i++) wb_out_byte(&f->event, (char)i);
        ok(event_end(f, MY_WRITE_ROWS));
        f->room = 0;
        wb_code code = feed_xid(f);
        assert_int_equal(code, WB_AGAIN);
        assert_true(f->last.need >= n);
        f->room = f->last.need;
        code = deliver(f);
        if (large)
            assert_error(f, code, WB_E_LIMIT, "is larger than max_row allows (600000)");
        else
            ok(code);
    }
    fixture_free(f);
}

static void put_large_row(fixture *f, size_t n)
{
    event_begin(f);
    put_hex(&f->event, "090000000000 0100 0200 01 ff 00");
    put_le(&f->event, n, 4);
    for (size_t i = 0; i < n; i++) wb_out_byte(&f->event, (char)i);
}

/* Rows that are far too large, and those that nobody wants, are not even read back from the spool. */
static void test_large_rows_that_are_not_read_back(void **state)
{
    (void)state;
    my_options o = {.max_row = 300000, .hold = 1000};
    fixture *f = fixture_new(&o, true);
    f->part = 100000;
    f->unwanted = "u";
    ok(feed_format(f, "8.0.36", true));
    begin(f, 1);
    ok(feed_map(f, 9, "u", "fc", "04", "02 01 3f 04 02 0162"));
    put_large_row(f, 2000000);
    ok(event_end(f, MY_WRITE_ROWS));
    ok(feed_small_map(f, 10, "t"));
    ok(feed_row(f, 10, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    assert_true(f->d->window_cap == f->d->o.window);
    begin(f, 2);
    ok(feed_map(f, 9, "t", "fc", "04", "02 01 3f 04 02 0162"));
    put_large_row(f, 2000000);
    ok(event_end(f, MY_WRITE_ROWS));
    assert_error(f, feed_xid(f), WB_E_LIMIT, "A row of table shop.t at binlog.000001:");
    assert_non_null(strstr(f->err.message, "more than max_row allows (300000)"));
    assert_true(f->d->window_cap == f->d->o.window);
    fixture_free(f);
}

/* ---------------------------------------------------------------- files, positions, checksums */

static void test_checksums(void **state)
{
    (void)state;
    fixture *f = fixture_new(NULL, false);
    ok(feed_format(f, "8.0.36", true));
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    f->flags = MY_FLAG_ARTIFICIAL; /* may come without one */
    f->checksums = false;
    event_begin(f);
    put_le(&f->event, 4, 8);
    wb_out_z(&f->event, "binlog.000001");
    ok(event_end(f, MY_ROTATE));
    assert_true(wb_str_is(f->last.log, "binlog.000001"));
    f->checksums = true;
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    f->checksums = false;
    event_begin(f);
    put_query(f, "shop", "", "BEGIN    ");
    assert_error(f, event_end(f, MY_QUERY), WB_E_PROTOCOL, "its checksum is wrong");
    fixture_free(f);
}

static void test_positions_beyond_4_gib(void **state)
{
    (void)state;
    assert_true(my_lift(4, 100, 96) == 100);
    assert_true(my_lift(0xfffffff0, 0x10, 0x20) == 0x100000010);
    assert_true(my_lift(0x100000010, 0x20, 0x10) == 0x100000020);
    assert_true(my_lift(0x100000010, 0, 0x10) == 0x100000020);
}

static void test_rotate_heartbeat_previous(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    event_begin(f);
    put_le(&f->event, 4, 8);
    wb_out_z(&f->event, "binlog.1000000");
    ok(event_end(f, MY_ROTATE));
    assert_int_equal(f->last.kind, MY_EV_ROTATE);
    assert_false(f->last.artificial);
    assert_true(wb_str_is(f->last.log, "binlog.1000000"));
    assert_int_equal(f->last.end, 4);
    f->pos = 4;
    ok(feed_format(f, "8.0.36", false));
    uint64_t pos = f->pos;
    event_begin(f);
    wb_out_z(&f->event, "binlog.1000000");
    ok(event_end(f, MY_HEARTBEAT));
    assert_int_equal(f->last.kind, MY_EV_HEARTBEAT);
    assert_true(f->last.end == pos); /* takes no room in the file */
    ok(feed_hex(f, MY_HEARTBEAT_V2, "01 02 6162 02 03 fcfa01 00"));
    assert_int_equal(f->last.kind, MY_EV_HEARTBEAT);
    ok(feed_hex(
        f, MY_PREVIOUS_GTIDS,
        "0100000000000000 000102030405060708090a0b0c0d0e0f 0100000000000000 0100000000000000 0600000000000000"));
    assert_int_equal(f->last.kind, MY_EV_PREVIOUS);
    wb_out o = {0};
    my_gtid_set_text(f->last.set, &o);
    assert_int_equal(o.len, strlen(SID ":1-5"));
    assert_memory_equal(o.p, SID ":1-5", o.len);
    wb_out_fini(&o);
    ok(feed_hex(f, MY_STOP, ""));
    assert_int_equal(f->last.kind, MY_EV_STOP);
    assert_error(f, feed_hex(f, MY_PREVIOUS_GTIDS, "02"), WB_E_PROTOCOL, "it is damaged");
    fixture_free(f);
}

/* GTID_TAGGED, ANONYMOUS, and MariaDB's with everything in it. */
static void test_gtid_events(void **state)
{
    (void)state;
    fixture *f = fixture_started("9.1.0");
    /* version 1; size 100; all may be ignored; flags, uuid 00..0f, number 5 (signed), tag "ab", time 1600000000000001
     */
    event_begin(f);
    put_hex(&f->event, "02 c8 00  00 00  02 00 02 04 06 08 0a 0c 0e 10 12 14 16 18 1a 1c 1e  04 14  06 04 6162  0c 7f "
                       "01 00 a4 07 31 af 05");
    wb_code code = event_end(f, MY_GTID_TAGGED);
    ok(code);
    ok(feed_query(f, "BEGIN"));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":ab:5\ncommit 0\n");
    event_begin(f);
    put_hex(&f->event, "00 00000000000000000000000000000000 0000000000000000");
    ok(event_end(f, MY_ANONYMOUS_GTID));
    ok(feed_query(f, "BEGIN"));
    ok(feed_xid(f));
    assert_said(f, "begin \ncommit 0\n");
    fixture_free(f);
    f = fixture_started("10.11.6-MariaDB");
    ok(feed_mariadb_gtid(f, 14, 0x4c, "07000000 02 02 78786271 01 ff"));
    ok(feed_hex(f, MY_XA_PREPARE, "00 07000000 02000000 02000000 78786271"));
    assert_int_equal(f->last.kind, MY_EV_PREPARED);
    assert_true(wb_str_is(f->last.xa, "X'7878',X'6271',7"));
    assert_int_equal(f->last.gtid.n, 14);
    assert_error(f, feed_mariadb_gtid(f, 0, 0, "") == WB_OK ? feed_mariadb_gtid(f, 15, 4, "") : WB_OK, WB_E_PROTOCOL,
                 "where a transaction must begin or end");
    fixture_free(f);
}

static void test_start_in_the_middle(void **state)
{
    (void)state;
    my_options o = {.max_row = 1000, .partial_start = true};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_xid(f));
    insert_one(f, 2, 2, 'b');
    assert_said(f, "begin " SID ":2\ninsert t #0 +int:2 text:b\ncommit 1\n");
    assert_error(f, feed_row(f, 9, 3, 'c'), WB_E_PROTOCOL, "where a transaction must begin");
    fixture_free(f);
}

/* The server was killed: what has no end was rolled back. */
static void test_crash_ends_a_file(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_format(f, "8.0.36", false));
    assert_non_null(strstr(said(f), "notice The transaction that begins at binlog.000001:"));
    begin(f, 2);
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":2\ncommit 0\n");
    fixture_free(f);
}

static void test_unknown_events(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    f->flags = MY_FLAG_IGNORABLE;
    event_begin(f);
    ok(event_end(f, 99));
    assert_int_equal(my_decoder_skipped(f->d), 1);
    assert_error(f, feed_hex(f, 99, ""), WB_E_UNSUPPORTED, "is of type 99, which is not known and may not be skipped");
    fixture_free(f);
    f = fixture_started("10.11.6-MariaDB");
    assert_error(f, feed_hex(f, MY_START_ENCRYPTION, "01 00000000"), WB_E_UNSUPPORTED,
                 "is encrypted by the MariaDB server");
    fixture_free(f);
    f = fixture_started("8.0.36");
    assert_error(f, feed_hex(f, MY_INCIDENT, "0100 05 68656c6c6f"), WB_E_GAP, "its log has lost events: hello");
    fixture_free(f);
    f = fixture_new(NULL, false);
    assert_error(f, feed_query(f, "BEGIN"), WB_E_PROTOCOL, "no FORMAT_DESCRIPTION event came before it");
    fixture_free(f);
    wb_error err;
    wb_error_reset(&err);
    assert_int_equal(my_magic_check("\xfe"
                                    "bin",
                                    4, &err),
                     WB_OK);
    assert_int_equal(my_magic_check("\xfd"
                                    "bin",
                                    4, &err),
                     WB_E_UNSUPPORTED);
    wb_error_reset(&err);
    assert_int_equal(my_magic_check("hello", 5, &err), WB_E_PROTOCOL);
}

/* A DROP TABLE whose event has these status variables. */
static fixture *under(const char *variables, const char *sql)
{
    fixture *f = fixture_started("11.4.2-MariaDB");
    ok(feed_mariadb_gtid(f, 1, 0x29, ""));
    event_begin(f);
    put_query(f, "shop", variables, sql);
    ok(event_end(f, MY_QUERY));
    return f;
}

static fixture *drop_under(const char *variables) { return under(variables, "drop table t"); }

/* Codes of status variables do not say their length: an unknown one ends the block, the statement stays. */
static void test_d46_unknown_status_variables(void **state)
{
    (void)state;
    static const char *const blocks[] = {"83 02 0100 0200",
                                         "ff 00 00",
                                         "80 010203 83",
                                         "81 0102030405060708 82 02",
                                         "0c 02 6100 6200 00 01000000",
                                         "0c fe",
                                         "06 03 737464 04 2d00 2d00 ff00 05 03 555443 ff",
                                         "04 08",
                                         "0b 04 726f6f74 09 6c6f63616c686f7374"};
    for (size_t i = 0; i < WB_COUNT(blocks); i++) {
        fixture *f = drop_under(blocks[i]);
        assert_said(f, "begin 0-1-1\nddl DROP TABLE shop.t\ncommit 0\n");
        fixture_free(f);
    }
    /* What comes behind an unknown one is not read, what comes behind the known ones is: the fraction of the time. */
    static const char *const fractions[] = {"84 0d 010000",
                                            "ff 0d 010000",
                                            "0c fe 0d 010000",
                                            "0c 02 6100 6200 0d 010000",
                                            "82 02 0d 010000",
                                            "82 04 0102030405060708 0d 010000",
                                            "82 08 0102030405060708 0d 010000",
                                            "83 00 0d 010000"};
    for (size_t i = 0; i < WB_COUNT(fractions); i++) {
        fixture *f = drop_under(fractions[i]);
        assert_int_equal(f->last.commit_us, 1700000000000000 + (i >= 2));
        fixture_free(f);
    }
}

/* MariaDB 11.8 writes its default collations in front of the client's character set, of statements that name one. */
static void test_a_name_in_the_clients_character_set(void **state)
{
    (void)state;
    fixture *f = under("83 02 2100 0008 2300 000a 04 0800 0800 0009", "create database `x\xdcy` character set utf8mb4");
    assert_said(f, "begin 0-1-1\nddl CREATE DATABASE x\xc3\x9cy.\ncommit 0\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_large_transactions_go_through_the_spool),
        cmocka_unit_test(test_large_rows),
        cmocka_unit_test(test_large_rows_that_are_not_read_back),
        cmocka_unit_test(test_checksums),
        cmocka_unit_test(test_positions_beyond_4_gib),
        cmocka_unit_test(test_rotate_heartbeat_previous),
        cmocka_unit_test(test_gtid_events),
        cmocka_unit_test(test_start_in_the_middle),
        cmocka_unit_test(test_crash_ends_a_file),
        cmocka_unit_test(test_unknown_events),
        cmocka_unit_test(test_d46_unknown_status_variables),
        cmocka_unit_test(test_a_name_in_the_clients_character_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
