/* mysql_groups_test.c: where transactions begin and end, what of them counts, and where one is in the log. */
#include "mysql_help.h"

static void test_one_transaction(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    ok(feed_gtid(f, 5));
    uint64_t start = f->pos;
    ok(feed_query(f, "BEGIN"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    assert_said(f, ""); /* nothing before the end is there */
    assert_true(my_decoder_in_group(f->d));
    event_begin(f);
    put_hex(&f->event, "2a00000000000000");
    ok(event_feed(f, MY_XID));
    assert_int_equal(f->last.kind, MY_EV_GROUP);
    my_event ev;
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    assert_int_equal(ev.kind, MY_EV_BEGIN);
    assert_true(ev.commit_us == 1600000000000001);
    assert_int_equal(ev.xid, 42);
    assert_int_equal(ev.thread_id, 77);
    assert_true(ev.start < start && ev.end == f->pos);
    assert_true(wb_str_is(ev.log, "binlog.000001"));
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    assert_int_equal(ev.kind, MY_EV_ROWS);
    assert_true(f->b->changes[0].place < f->pos && f->b->changes[0].place > start);
    assert_int_equal(f->b->changes[0].table->nkey, 1);
    ok(my_decoder_next(f->d, f->b, 0, &ev, &f->err));
    assert_int_equal(ev.kind, MY_EV_COMMIT);
    assert_int_equal(ev.rows, 1);
    assert_false(my_decoder_in_group(f->d));
    assert_int_equal(my_decoder_next(f->d, f->b, 0, &ev, &f->err), WB_E_INTERNAL);
    fixture_free(f);
}

/* The GTID event alone says nothing is done: only the commit hands it out. */
static void test_d37_gtid_only_at_the_commit(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 5);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    my_decoder_start(f->d, WB_STR("binlog.000001"), 4, false); /* the connection is lost */
    f->pos = 4;
    ok(feed_format(f, "8.0.36", false));
    assert_said(f, "");
    insert_one(f, 5, 1, 'a');
    assert_said(f, "begin " SID ":5\ninsert t #0 +int:1 text:a\ncommit 1\n");
    fixture_free(f);
}

/* Ordinals go over events and count every row of the transaction. */
static void test_d38_ordinals_over_events(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_rows(f, MY_WRITE_ROWS, 9, "02 ff 00 01000000 0161 00 02000000 0162"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_rows(f, MY_DELETE_ROWS, 9, "02 ff 00 01000000 0161"));
    ok(feed_xid(f));
    assert_said(f, "begin " SID
                   ":1\ninsert t #0 +int:1 text:a\ninsert t #1 +int:2 text:b\ndelete t #2 -int:1 text:a\ncommit 3\n");
    assert_int_equal(f->asked, 1);
    fixture_free(f);
}

/* A reconnect's own ROTATE and FORMAT_DESCRIPTION do not take the table maps away within a file. */
static void test_d39_artificial_rotate_keeps_maps(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    f->flags = MY_FLAG_ARTIFICIAL;
    event_begin(f);
    put_le(&f->event, 4, 8);
    wb_out_z(&f->event, "binlog.000001");
    ok(event_end(f, MY_ROTATE));
    assert_true(f->last.artificial);
    uint64_t here = f->pos;
    f->flags = MY_FLAG_ARTIFICIAL;
    ok(feed_format(f, "8.0.36", false));
    assert_true(f->pos == here);
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    ok(feed_format(f, "8.0.36", false)); /* of the next file: a server that was started again counts ids anew */
    begin(f, 2);
    ok(feed_row(f, 9, 1, 'a'));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "no TABLE_MAP says which table 9 is");
    fixture_free(f);
}

static void test_unknown_table_id(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_rows(f, MY_WRITE_ROWS, 0x00ffffff, "02 ff")); /* marks the end of a statement only */
    ok(feed_rows(f, MY_WRITE_ROWS, 0xffffffffffff, "00 "));
    ok(feed_row(f, 8, 1, 'a'));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "which table 8 is");
    assert_error(f, feed_query(f, "BEGIN"), WB_E_INTERNAL, "after it had failed");
    fixture_free(f);
}

/* A group on a table without transactions ends in QUERY COMMIT. */
static void test_d58_commit_as_a_query(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_query(f, "COMMIT"));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a\ncommit 1\n");
    begin(f, 2);
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":2\ncommit 0\n");
    fixture_free(f);
}

static my_schema plain_schema(my_engine engine)
{
    static const my_schema_col cols[] = {{.name = {"id", 2}, .type = {"int", 3}},
                                         {.name = {"v", 1}, .type = {"varchar(20)", 11}, .charset = {"utf8mb4", 7}}};
    return (my_schema){.ncols = 2, .cols = cols, .engine = engine};
}

/* Rows before a QUERY ROLLBACK were taken back, unless their table cannot. */
static void test_d59_rollback(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    f->schema = plain_schema(MY_ENGINE_TRANSACTIONAL);
    ok(feed_mariadb_gtid(f, 1, 4, ""));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_query(f, "CREATE TEMPORARY TABLE x (a int)"));
    ok(feed_row(f, 9, 2, 'b'));
    ok(feed_query(f, "ROLLBACK"));
    assert_said(f, "begin 0-1-1\ncommit 0\n");
    f->schema = plain_schema(MY_ENGINE_PLAIN);
    ok(feed_mariadb_gtid(f, 2, 4, ""));
    ok(feed_small_map(f, 10, "myisam"));
    ok(feed_row(f, 10, 1, 'a'));
    ok(feed_query(f, "ROLLBACK"));
    assert_said(f, "begin 0-1-2\ninsert myisam #0 +int:1 text:a\ncommit 1\n");
    f->schema = plain_schema(MY_ENGINE_UNKNOWN);
    ok(feed_mariadb_gtid(f, 3, 4, ""));
    ok(feed_small_map(f, 11, "who"));
    ok(feed_row(f, 11, 1, 'a'));
    assert_error(f, feed_query(f, "ROLLBACK"), WB_E_SCHEMA, "whether its rows of table shop.who stayed");
    fixture_free(f);
}

static void test_d59_savepoints(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    f->schema = plain_schema(MY_ENGINE_TRANSACTIONAL);
    ok(feed_mariadb_gtid(f, 1, 4, ""));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_query(f, "SAVEPOINT `s1`"));
    ok(feed_row(f, 9, 2, 'b'));
    ok(feed_query(f, "SAVEPOINT `S2`"));
    ok(feed_row(f, 9, 3, 'c'));
    ok(feed_query(f, "ROLLBACK TO `S1`")); /* names without case */
    ok(feed_row(f, 9, 4, 'd'));
    ok(feed_query(f, "SAVEPOINT s3"));
    ok(feed_row(f, 9, 5, 'e'));
    ok(feed_query(f, "RELEASE SAVEPOINT s3"));
    ok(feed_xid(f));
    assert_said(
        f, "begin 0-1-1\ninsert t #0 +int:1 text:a\ninsert t #1 +int:4 text:d\ninsert t #2 +int:5 text:e\ncommit 3\n");
    ok(feed_mariadb_gtid(f, 2, 4, ""));
    ok(feed_query(f, "SAVEPOINT a"));
    ok(feed_query(f, "SAVEPOINT b"));
    ok(feed_query(f, "ROLLBACK TO a"));
    assert_error(f, feed_query(f, "ROLLBACK TO b"), WB_E_PROTOCOL,
                 "rolls back to savepoint b, which the transaction has not set");
    fixture_free(f);
}

/* absent is not NULL; what was not sent of the new row is as it was */
static void test_d35_minimal_and_noblob_images(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_map(f, 22, "t", "03 0f 03", "5000", "01 01 00 02 01 2d 04 07 026964 0162 0163 08 01 00"));
    ok(feed_rows(f, MY_UPDATE_ROWS, 22, "03 01 02 fe 02000000 fe 03 6d696e"));           /* update v by id */
    ok(feed_rows(f, MY_UPDATE_ROWS, 22, "03 07 02 f8 02000000 0161 05000000 fe 01 62")); /* FULL_NODUP */
    ok(feed_rows(f, MY_UPDATE_ROWS, 22, "03 05 05 fc 02000000 05000000 fe 03000000"));   /* NOBLOB; c NULL */
    ok(feed_rows(f, MY_WRITE_ROWS, 22, "03 01 fe 07000000"));                            /* minimal insert */
    ok(feed_rows(f, MY_DELETE_ROWS, 22, "03 01 fe 07000000"));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\n"
                   "update t #0 -int:2 absent absent +int:2 text:min unchanged\n"
                   "update t #1 -int:2 text:a int:5 +int:2 text:b int:5\n"
                   "update(key) t #2 -int:2 absent int:5 +int:3 unchanged null\n"
                   "insert t #3 +int:7 absent absent\n"
                   "delete t #4 -int:7 absent absent\n"
                   "commit 5\n");
    fixture_free(f);
}

/* MINIMAL and nothing but defaults: the server logs rows of no column, whose number nobody can know. */
static void test_rows_without_columns(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_rows(f, MY_WRITE_ROWS, 9, "02 00"));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "its rows have no column of table shop.t");
    fixture_free(f);
}

/* ---------------------------------------------------------------- XA */

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

static void test_xa(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    uint64_t start = f->pos;
    prepare(f, 1, 1);
    assert_int_equal(my_decoder_prepared(f->d), 1);
    wb_str xa;
    uint64_t at;
    my_gtid gtid;
    assert_true(my_decoder_prepared_at(f->d, 0, &xa, NULL, &at, &gtid));
    assert_true(at == start && gtid.n == 1);
    insert_one(f, 2, 2, 'b');
    assert_said(f, "begin " SID ":2\ninsert t #0 +int:2 text:b\ncommit 1\n");
    ok(feed_gtid(f, 3));
    ok(feed_query(f, "XA COMMIT X'7831',X'62',7"));
    assert_said(f, "begin " SID ":3\ninsert t #0 +int:1 text:x\ncommit 1\n");
    assert_int_equal(my_decoder_prepared(f->d), 0);
    prepare(f, 4, 4);
    ok(feed_gtid(f, 5));
    ok(feed_query(f, "XA ROLLBACK X'7831' , X'62' , 7"));
    assert_said(f, "begin " SID ":5\ncommit 0\n");
    ok(feed_gtid(f, 6));
    ok(feed_query(f, "XA START X'7831',X'62',7"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 6, 'x'));
    ok(feed_hex(f, MY_XA_PREPARE, "01 07000000 02000000 01000000 7831 62")); /* one phase: that was the commit */
    assert_said(f, "begin " SID ":6\ninsert t #0 +int:6 text:x\ncommit 1\n");
    ok(feed_gtid(f, 7));
    assert_error(f, feed_query(f, "XA COMMIT X'99',X'',1"), WB_E_GAP,
                 "was prepared before the place where reading began");
    assert_int_equal(f->err.next, WB_RESNAPSHOT);
    fixture_free(f);
}

static void test_xa_unknown_is_skipped_when_asked(void **state)
{
    (void)state;
    my_options o = {.max_row = 1000, .unknown_xa = MY_UNKNOWN_SKIP};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    ok(feed_gtid(f, 7));
    ok(feed_query(f, "XA COMMIT X'99',X'',1"));
    const char *text = said(f);
    assert_non_null(strstr(text, "notice The rows of XA transaction X'99',X'',1 are not known"));
    assert_non_null(strstr(text, "commit 0"));
    fixture_free(f);
}

/* ---------------------------------------------------------------- statements */

static void test_statement_format_stops(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    begin(f, 1);
    ok(feed_query(f, "UPDATE t SET a = 1 WHERE id = 7"));
    assert_error(f, feed_xid(f), WB_E_UNSUPPORTED, "The rows that UPDATE on shop.t changed are not in the log");
    assert_non_null(strstr(f->err.message, "UPDATE t SET a = 1 WHERE id = 7"));
    assert_non_null(strstr(f->err.hint, "binlog_format = ROW"));
    fixture_free(f);
}

/* What a cloud's own heartbeat writes by statement is nobody's table. */
static void test_d54_statements_on_other_tables(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    f->unwanted = "heartbeat";
    begin(f, 1);
    ok(feed_query(f,
                  "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,1622) ON DUPLICATE KEY UPDATE value = 1622"));
    ok(feed_query(f, "INSERT INTO shop.heartbeat VALUES (1)"));
    ok(feed_query(f, "FLUSH TABLES"));
    ok(feed_query(f, "COMMIT"));
    assert_said(f, "begin " SID ":1\ncommit 0\n");
    ok(feed_gtid(f, 2));
    ok(feed_query(f, "ANALYZE TABLE t"));
    assert_said(f, "begin " SID ":2\ncommit 0\n");
    ok(feed_gtid(f, 3));
    assert_error(f, feed_query(f, "SELECT `shop`.`f`(1)"), WB_E_UNSUPPORTED, "The rows that SELECT changed");
    fixture_free(f);
}

static void test_ddl(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    ok(feed_gtid(f, 1));
    ok(feed_query(f, "alter table t add c int"));
    assert_said(f, "begin " SID ":1\nddl ALTER TABLE shop.t\ncommit 0\n");
    ok(feed_gtid(f, 2)); /* CREATE TABLE … SELECT: rows behind it in the same transaction */
    ok(feed_query(f, "BEGIN"));
    ok(feed_query(f, "CREATE TABLE `t2` (`id` int NOT NULL) START TRANSACTION"));
    ok(feed_small_map(f, 9, "t2"));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":2\nddl CREATE TABLE shop.t2\ninsert t2 #0 +int:1 text:a\ncommit 1\n");
    ok(feed_gtid(f, 3));
    ok(feed_query(f, "COMPLETELY UNHEARD OF"));
    assert_said(f, "begin " SID ":3\nddl statement unsure\ncommit 0\n");
    ok(feed_query(f, "DROP TABLE a, b")); /* without a GTID */
    assert_said(f, "begin \nddl DROP TABLE shop.a shop.b\ncommit 0\n");
    ok(feed_query(f, "CREATE TEMPORARY TABLE x (a int)"));
    assert_said(f, "begin \ncommit 0\n");
    fixture_free(f);
}

/* The text of the ALTER comes twice: the change is made at the second. */
static void test_mariadb_two_phase_alter(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    ok(feed_mariadb_gtid(f, 1, 0x29, "02 0000000000"));
    ok(feed_query(f, "alter table t add c int"));
    assert_said(f, "begin 0-1-1\ncommit 0\n");
    ok(feed_mariadb_gtid(f, 2, 0x29, "04 0100000000000000"));
    ok(feed_query(f, "alter table t add c int"));
    assert_said(f, "begin 0-1-2\nddl ALTER TABLE shop.t\ncommit 0\n");
    ok(feed_mariadb_gtid(f, 3, 0x29, "08 0100000000000000"));
    ok(feed_query(f, "alter table t add c int"));
    assert_said(f, "begin 0-1-3\ncommit 0\n");
    fixture_free(f);
}

/* The statement stands before its first event, and holds to its last one. */
static void test_statements_of_rows(void **state)
{
    (void)state;
    my_options o = {.max_row = 1000, .query = true};
    fixture *f = fixture_new(&o, false);
    ok(feed_format(f, "8.0.36", false));
    begin(f, 1);
    ok(feed_hex(f, MY_ROWS_QUERY, "01 73 c3 bc"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_flagged(f, MY_WRITE_ROWS, 0, 9, "02 ff 00 01000000 0161 00 02000000 0162"));
    ok(feed_flagged(f, MY_WRITE_ROWS, 1, 9, "02 ff 00 03000000 0163"));
    ok(feed_flagged(f, MY_WRITE_ROWS, 1, 9, "02 ff 00 04000000 0164"));
    ok(feed_xid(f));
    assert_said(f, "begin " SID ":1\ninsert t #0 +int:1 text:a row 0 by s\xc3\xbc\ninsert t #1 +int:2 text:b row 1 by "
                   "s\xc3\xbc\ninsert t #2 +int:3 text:c row 0 by s\xc3\xbc\ninsert t #3 +int:4 text:d\ncommit 4\n");
    fixture_free(f);
    f = fixture_new(&o, false);
    ok(feed_format(f, "10.11.6-MariaDB", false));
    ok(feed_mariadb_gtid(f, 1, 0, "000000000000"));
    ok(feed_hex(f, MY_ANNOTATE_ROWS, "73 71"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_flagged(f, MY_WRITE_ROWS, 1, 9, "02 ff 00 01000000 0161"));
    ok(feed_xid(f));
    assert_said(f, "begin 0-1-1\ninsert t #0 +int:1 text:a row 0 by sq\ncommit 1\n");
    fixture_free(f);
}

/* A group that is passed over leaves nothing, and its time is known before. */
static void test_passed_over(void **state)
{
    (void)state;
    fixture *f = fixture_started("8.0.36");
    ok(feed_gtid(f, 5));
    assert_int_equal(f->last.kind, MY_EV_NOTHING);
    assert_true(f->last.commit_us == 1600000000000001);
    ok(feed_query(f, "BEGIN"));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, 1, 'a'));
    event_begin(f);
    put_hex(&f->event, "2a00000000000000");
    ok(event_feed(f, MY_XID));
    assert_int_equal(f->last.kind, MY_EV_GROUP);
    assert_true(my_event_since(&f->last, 1600000000000001) && !my_event_since(&f->last, 1600000000000002));
    my_decoder_pass(f->d);
    assert_false(my_decoder_in_group(f->d));
    insert_one(f, 6, 2, 'b');
    assert_said(f, "begin " SID ":6\ninsert t #0 +int:2 text:b\ncommit 1\n");
    fixture_free(f);
}

static void test_time_in_whole_seconds(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    ok(feed_mariadb_gtid(f, 7, 0, ""));
    event_begin(f);
    put_hex(&f->event, "2a00000000000000");
    ok(event_feed(f, MY_XID));
    assert_int_equal(f->last.kind, MY_EV_GROUP);
    int64_t us = (int64_t)f->timestamp * 1000000;
    assert_true(f->last.whole_second && f->last.commit_us == us);
    assert_true(my_event_since(&f->last, us + 999999) && !my_event_since(&f->last, us + 1000000));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_transaction),
        cmocka_unit_test(test_d37_gtid_only_at_the_commit),
        cmocka_unit_test(test_d38_ordinals_over_events),
        cmocka_unit_test(test_d39_artificial_rotate_keeps_maps),
        cmocka_unit_test(test_unknown_table_id),
        cmocka_unit_test(test_d58_commit_as_a_query),
        cmocka_unit_test(test_d59_rollback),
        cmocka_unit_test(test_d59_savepoints),
        cmocka_unit_test(test_d35_minimal_and_noblob_images),
        cmocka_unit_test(test_rows_without_columns),
        cmocka_unit_test(test_xa),
        cmocka_unit_test(test_xa_unknown_is_skipped_when_asked),
        cmocka_unit_test(test_statement_format_stops),
        cmocka_unit_test(test_d54_statements_on_other_tables),
        cmocka_unit_test(test_ddl),
        cmocka_unit_test(test_mariadb_two_phase_alter),
        cmocka_unit_test(test_statements_of_rows),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_time_in_whole_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
