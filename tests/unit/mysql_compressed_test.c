/* mysql_compressed_test.c: what is compressed: transactions, rows, queries and columns; and events in parts. */
#include "mysql_help.h"

#include <zstd.h>

/* What stands between GTID and commit, compressed; `cut`: bytes that are missing. */
static wb_code feed_payload(fixture *f, bool compressed, size_t cut)
{
    wb_out inner = {0}, all = {0};
    event_begin(f);
    put_query(f, "shop", "", "BEGIN");
    wb_out body = {.p = f->event.p + MY_HEADER_LEN, .len = f->event.len - MY_HEADER_LEN};
    put_inner(&inner, MY_QUERY, &body);
    event_begin(f);
    put_map(f, 9, "t", "fe 03", "fe05", "01 01 00 02 01 3f 04 05 0162 026964 08 01 01");
    body = (wb_out){.p = f->event.p + MY_HEADER_LEN, .len = f->event.len - MY_HEADER_LEN};
    put_inner(&inner, MY_TABLE_MAP, &body);
    event_begin(f);
    put_hex(&f->event, "090000000000 0100 0200 02 ff 00 02 ff80 01000000");
    body = (wb_out){.p = f->event.p + MY_HEADER_LEN, .len = f->event.len - MY_HEADER_LEN};
    put_inner(&inner, MY_WRITE_ROWS, &body);
    event_begin(f);
    put_hex(&f->event, "2b00000000000000");
    body = (wb_out){.p = f->event.p + MY_HEADER_LEN, .len = f->event.len - MY_HEADER_LEN};
    put_inner(&inner, MY_XID, &body);
    if (compressed) {
        char *room = wb_out_room(&all, ZSTD_compressBound(inner.len));
        all.len = ZSTD_compress(room, ZSTD_compressBound(inner.len), inner.p, inner.len, 3);
    } else {
        wb_out_put(&all, inner.p, inner.len);
    }
    event_begin(f);
    put_hex(&f->event, compressed ? "02 01 00" : "02 03 fcff00");
    put_hex(&f->event, "03 01 fa 00");
    wb_out_put(&f->event, all.p, all.len - cut);
    wb_out_fini(&inner);
    wb_out_fini(&all);
    return event_end(f, MY_TRANSACTION_PAYLOAD);
}

/* Inner events go the same way as outer ones: binary stays binary, places are those of the payload. */
static void test_d42_compressed_transactions(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        bool compressed = i & 1;
        my_options o = {.max_row = 1 << 20, .hold = i & 4 ? 10 : 0};
        fixture *f = fixture_new(&o, true);
        f->part = i & 2 ? 7 : 0;
        ok(feed_format(f, "8.0.36", true));
        ok(feed_gtid(f, 1));
        ok(feed_payload(f, compressed, 0));
        assert_said(f, "begin " SID ":1\ninsert t #0 +bytes:ff80000000 int:1\ncommit 1\n");
        assert_int_equal(f->last.end, f->pos);
        assert_int_equal(f->place, f->pos);
        ok(feed_gtid(f, 2)); /* cut within a header, within what follows one */
        assert_error(f, feed_payload(f, compressed, i & 4 ? 5 : 9), WB_E_PROTOCOL, "what it holds ends too early");
        fixture_free(f);
    }
}

/* A payload is decompressed out of the spool piece by piece: neither it nor what it holds is in memory as a whole. */
static void test_compressed_transactions_out_of_the_spool(void **state)
{
    (void)state;
    enum { ROWS = 60, ROW = 40000 };
    for (int compressed = 0; compressed < 2; compressed++) {
        my_options o = {.max_row = 1 << 20, .hold = 30000};
        fixture *f = fixture_new(&o, true);
        wb_out inner = {0}, plain = {0};
        uint32_t noise = 1;
        f->part = 5000;
        f->room = 1 << 20;
        event_begin(f);
        put_map(f, 9, "t", "fc", "04", "02 01 3f 04 02 0162");
        wb_out body = {.p = f->event.p + MY_HEADER_LEN, .len = f->event.len - MY_HEADER_LEN};
        put_inner(&inner, MY_TABLE_MAP, &body);
        for (int i = 0; i < ROWS; i++) {
            wb_out_reset(&plain);
            put_hex(&plain, "090000000000 0100 0200 01 ff 00");
            put_le(&plain, ROW, 4);
            for (int k = 0; k < ROW; k++) wb_out_byte(&plain, (char)((noise = noise * 1664525 + 1013904223) >> 24));
            put_inner(&inner, MY_WRITE_ROWS, &plain);
        }
        ok(feed_format(f, "8.0.36", true));
        ok(feed_gtid(f, 1));
        event_begin(f);
        put_hex(&f->event, compressed ? "02 01 00 00" : "02 03 fcff00 00");
        size_t cap = ZSTD_compressBound(inner.len);
        char *room = wb_out_room(&f->event, cap);
        size_t half = inner.len / 2; /* two frames, the first of which ends within an event */
        if (compressed) {
            f->event.len += ZSTD_compress(room, cap, inner.p, half, 3);
            room = wb_out_room(&f->event, cap);
            f->event.len += ZSTD_compress(room, cap, inner.p + half, inner.len - half, 3);
        } else {
            wb_out_put(&f->event, inner.p, inner.len);
        }
        ok(event_end(f, MY_TRANSACTION_PAYLOAD));
        assert_true(f->spool.len > (size_t)ROWS * ROW); /* noise */
        assert_true(f->d->held.cap <= 64 * 1024 && f->d->window_cap == f->d->o.window &&
                    f->d->payload.cap == f->d->o.window);
        assert_non_null(strstr(said(f), "commit 60\n"));
        wb_out_fini(&inner);
        wb_out_fini(&plain);
        fixture_free(f);
    }
}

/* What is wrong with an event in parts is seen at its end: nothing of the transaction was told before. */
static void test_parts_that_do_not_fit(void **state)
{
    (void)state;
    enum { WRONG_SUM, TOO_SHORT, TOO_LONG, OTHER_BETWEEN, NOT_IN_PARTS, CASES };
    static const char *const why[] = {"its checksum is wrong", "it says that it has 60 bytes, and it has 59",
                                      "it says that it has 60 bytes, and it has more",
                                      "it comes before the end of another one", "it is too large for its type"};
    for (int i = 0; i < CASES; i++) {
        uint8_t e[61] = {0, 0, 0, 1, MY_TRANSACTION_PAYLOAD, 1, 0, 0, 0, 60};
        fixture *f = fixture_new(NULL, true);
        ok(feed_format(f, "8.0.36", true));
        ok(feed_gtid(f, 1));
        (void)said(f);
        if (i == NOT_IN_PARTS) e[4] = MY_QUERY;
        uLong sum = crc32_z(0, e, 56);
        for (int k = 0; k < 4; k++) e[56 + k] = (uint8_t)((sum >> 8 * k) + (i == WRONG_SUM));
        wb_code code = my_decoder_part(f->d, e, 30, false, &f->last, &f->err);
        if (i == OTHER_BETWEEN)
            code = feed_xid(f);
        else if (code == WB_OK)
            code = my_decoder_part(f->d, e + 30,
                                   i == TOO_SHORT  ? 29
                                   : i == TOO_LONG ? 31
                                                   : 30,
                                   true, &f->last, &f->err);
        assert_error(f, code, WB_E_PROTOCOL, why[i]);
        assert_said(f, "");
        assert_error(f, feed_xid(f), WB_E_INTERNAL, "after it had failed");
        my_decoder_start(f->d, WB_STR("binlog.000001"), 4, false); /* a new connection: it comes again */
        f->pos = 4;
        ok(feed_format(f, "8.0.36", true));
        f->part = 3;
        ok(feed_gtid(f, 1));
        ok(feed_payload(f, true, 0));
        assert_said(f, "begin " SID ":1\ninsert t #0 +bytes:ff80000000 int:1\ncommit 1\n");
        fixture_free(f);
    }
    fixture *f = fixture_started("8.0.36"); /* rows of no transaction */
    f->part = 3;
    assert_error(f, feed_row(f, 9, 1, 'a'), WB_E_PROTOCOL, "it stands where a transaction must begin or end");
    fixture_free(f);
    my_options o = {.max_row = 1 << 20, .partial_start = true};
    f = fixture_new(&o, true); /* and where that may be */
    f->part = 3;
    ok(feed_format(f, "8.0.36", true));
    ok(feed_row(f, 9, 1, 'a'));
    ok(feed_xid(f));
    insert_one(f, 2, 1, 'a');
    assert_said(f, "begin " SID ":2\ninsert t #0 +int:1 text:a\ncommit 1\n");
    fixture_free(f);
}

/* MariaDB: rows and queries. Bytes as the server writes them: 80 | length of the length, the length, zlib. */
static wb_code feed_deflated(fixture *f, uint8_t type, const char *plain_hex, const char *hex)
{
    wb_out body = {0};
    event_begin(f);
    put_hex(&f->event, plain_hex);
    put_hex(&body, hex);
    wb_out_byte(&f->event, (char)0x82);
    wb_out_byte(&f->event, (char)(body.len >> 8));
    wb_out_byte(&f->event, (char)body.len);
    uLongf n = compressBound(body.len);
    char *room = wb_out_room(&f->event, n);
    assert_int_equal(compress((Bytef *)room, &n, (const Bytef *)body.p, body.len), Z_OK);
    f->event.len += n;
    wb_out_fini(&body);
    return event_end(f, type);
}

static void test_d60_mariadb_compressed_events(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    f->no_pos = true; /* 11.4 and later do not say positions */
    ok(feed_mariadb_gtid(f, 1, 4, ""));
    ok(feed_small_map(f, 9, "t"));
    ok(feed_deflated(f, MY_WRITE_ROWS_COMPRESSED_V1, "090000000000 0100 02 ff", "fc 01000000 0161 fc 02000000 0162"));
    ok(feed_deflated(f, MY_UPDATE_ROWS_COMPRESSED_V1, "090000000000 0100 02 01 ff", "fe 01000000 fc 03000000 0163"));
    ok(feed_deflated(f, MY_DELETE_ROWS_COMPRESSED_V1, "090000000000 0100 02 ff", "fc 02000000 0162"));
    ok(feed_xid(f));
    assert_said(f, "begin 0-1-1\ninsert t #0 +int:1 text:a\ninsert t #1 +int:2 text:b\nupdate(key) t #2 -int:1 absent "
                   "+int:3 text:c\n"
                   "delete t #3 -int:2 text:b\ncommit 4\n");
    assert_true(f->last.end == f->pos);
    ok(feed_mariadb_gtid(f, 2, 0x29, ""));
    /* QUERY: head, schema, then "drop table t" */
    ok(feed_deflated(f, MY_QUERY_COMPRESSED, "4d000000 00000000 04 0000 0000 73686f70 00",
                     "64726f70 20 7461626c65 20 74"));
    assert_said(f, "begin 0-1-2\nddl DROP TABLE shop.t\ncommit 0\n");
    ok(feed_mariadb_gtid(f, 3, 4, ""));
    ok(feed_small_map(f, 9, "t"));
    event_begin(f);
    put_hex(&f->event, "090000000000 0100 02 ff 81 05 789c00");
    ok(event_end(f, MY_WRITE_ROWS_COMPRESSED_V1));
    assert_error(f, feed_xid(f), WB_E_PROTOCOL, "its compressed part is damaged");
    fixture_free(f);
}

/* A compressed column in a compressed event: the one does not overwrite the other. */
static void test_compressed_columns_in_compressed_events(void **state)
{
    (void)state;
    fixture *f = fixture_started("10.11.6-MariaDB");
    ok(feed_mariadb_gtid(f, 1, 4, ""));
    ok(feed_map(f, 9, "t", "8d 03", "d007", "01 01 00 02 01 2d 04 05 0163 026964"));
    ok(feed_deflated(f, MY_WRITE_ROWS_COMPRESSED_V1, "090000000000 0100 02 ff",
                     "fc 0800 8964 4b4ea63d0000 01000000 fc 0300 006162 02000000"));
    ok(feed_xid(f));
    assert_said(
        f, "begin 0-1-1\n"
           "insert t #0 "
           "+text:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
           " int:1\ninsert t #1 +text:ab int:2\ncommit 2\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d42_compressed_transactions),
        cmocka_unit_test(test_compressed_transactions_out_of_the_spool),
        cmocka_unit_test(test_parts_that_do_not_fit),
        cmocka_unit_test(test_d60_mariadb_compressed_events),
        cmocka_unit_test(test_compressed_columns_in_compressed_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
