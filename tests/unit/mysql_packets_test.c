/* mysql_packets_test.c: the packets of a dump: cut anywhere, continued, out of order, larger than the buffer. */
#include "mysql_help.h"

#include "sources/mysql/packet.h"

enum { FULL = 0xffffff };

/* ---------------------------------------------------------------- bytes of a connection */

static void put_packet(wb_out *o, uint8_t seq, const void *p, size_t n)
{
    put_le(o, n, 3);
    wb_out_byte(o, (char)seq);
    wb_out_put(o, p, n);
}

/* An event of n bytes, whose content counts up, in as many packets as it takes, behind the status. */
static uint8_t put_event(wb_out *o, uint8_t seq, uint8_t type, size_t n)
{
    uint8_t *all = malloc(n + 1);
    assert_non_null(all);
    all[0] = 0;
    for (size_t i = 0; i < n; i++) all[i + 1] = (uint8_t)i;
    all[1 + 4] = type;
    size_t at = 0, k;
    do {
        k = WB_MIN(n + 1 - at, (size_t)FULL);
        put_packet(o, seq++, all + at, k);
        at += k;
    } while (k == FULL);
    free(all);
    return seq;
}

/* ---------------------------------------------------------------- a reader under test */

typedef struct reader {
    my_packets k;
    wb_out in;
    size_t at, step; /* bytes that the connection gives at once */
    wb_out said;     /* one word a packet */
    size_t got;      /* bytes of the event whose parts come */
    wb_error err;
} reader;

static reader *reader_new(size_t cap, uint8_t seq, size_t step)
{
    reader *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_true(my_packets_init(&r->k, cap, seq));
    r->step = step;
    return r;
}

static void reader_free(reader *r)
{
    my_packets_fini(&r->k);
    wb_out_fini(&r->in);
    wb_out_fini(&r->said);
    free(r);
}

static void check_bytes(const uint8_t *p, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++)
        if (from + i != 4 && p[i] != (uint8_t)(from + i)) fail_msg("byte %zu is %u", from + i, p[i]);
}

static void say_packet(reader *r, const my_packet *p)
{
    switch (p->kind) {
    case MY_PK_EVENT:
        check_bytes(p->p, p->n, 0);
        wb_out_printf(&r->said, "event %zu\n", p->n);
        break;
    case MY_PK_PART:
        if (r->got == 0) assert_true(p->n >= MY_HEADER_LEN);
        check_bytes(p->p, p->n, r->got);
        r->got += p->n;
        if (!p->last) break;
        wb_out_printf(&r->said, "parts %zu\n", r->got);
        r->got = 0;
        break;
    case MY_PK_ERROR: wb_out_printf(&r->said, "error %u %s\n", p->number, p->text); break;
    case MY_PK_END: wb_out_z(&r->said, "end\n"); break;
    }
}

/* Until all bytes are taken, or something is wrong. */
static wb_code drain(reader *r)
{
    for (;;) {
        my_packet p = {0};
        size_t room;
        wb_error_reset(&r->err);
        wb_code code = my_packets_next(&r->k, &p, &r->err);
        if (code == WB_OK) {
            say_packet(r, &p);
            continue;
        }
        if (code != WB_AGAIN || r->at == r->in.len) return code;
        uint8_t *to = my_packets_room(&r->k, &room);
        assert_true(room > 0);
        size_t n = WB_MIN(WB_MIN(room, r->step), r->in.len - r->at);
        memcpy(to, r->in.p + r->at, n);
        my_packets_add(&r->k, n);
        r->at += n;
    }
}

static void assert_reads(reader *r, const char *text)
{
    wb_out_byte(&r->said, 0);
    assert_string_equal(r->said.p, text);
    wb_out_reset(&r->said);
}

/* ---------------------------------------------------------------- tests */

static void test_packets_cut_anywhere(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 200; step++) {
        reader *r = reader_new(128, 1, step);
        uint8_t seq = 1;
        for (size_t n = 19; n <= 123; n += 8) seq = put_event(&r->in, seq, MY_QUERY, n);
        put_packet(&r->in, seq++, "\xfe\0\0\2\0", 5);
        assert_int_equal(drain(r), WB_AGAIN);
        assert_false(my_packets_within(&r->k));
        assert_reads(r, "event 19\nevent 27\nevent 35\nevent 43\nevent 51\nevent 59\nevent 67\nevent 75\nevent 83\n"
                        "event 91\nevent 99\nevent 107\nevent 115\nevent 123\nend\n");
        reader_free(r);
    }
}

static void test_numbers_count_and_wrap(void **state)
{
    (void)state;
    reader *r = reader_new(4096, 250, 1000);
    uint8_t seq = 250;
    for (int i = 0; i < 600; i++) seq = put_event(&r->in, seq, MY_XID, 31);
    assert_int_equal(drain(r), WB_AGAIN);
    put_event(&r->in, (uint8_t)(seq + 1), MY_XID, 31);
    assert_int_equal(drain(r), WB_E_PROTOCOL);
    char text[100];
    snprintf(text, sizeof text, "packet %u came where %u was due", (uint8_t)(seq + 1), seq);
    assert_non_null(strstr(r->err.message, text));
    assert_int_equal(r->err.next, WB_RECONNECT);
    reader_free(r);
}

/* An event that does not fit: in parts when its type allows it, else in one piece. */
static void test_events_larger_than_the_buffer(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 100, 1000};
    for (size_t i = 0; i < WB_COUNT(steps); i++) {
        reader *r = reader_new(128, 0, steps[i]);
        uint8_t seq = put_event(&r->in, 0, MY_WRITE_ROWS, 124);
        seq = put_event(&r->in, seq, MY_TRANSACTION_PAYLOAD, 5000);
        seq = put_event(&r->in, seq, MY_QUERY, 5000);
        seq = put_event(&r->in, seq, MY_PARTIAL_ROW_DATA, 400);
        seq = put_event(&r->in, seq, MY_QUERY, 50);
        put_event(&r->in, seq, MY_UPDATE_ROWS_COMPRESSED_V1, 600);
        assert_int_equal(drain(r), WB_AGAIN);
        assert_reads(r, "parts 124\nparts 5000\nevent 5000\nparts 400\nevent 50\nparts 600\n");
        reader_free(r);
    }
    reader *r = reader_new(128, 0, 50);
    put_event(&r->in, 0, MY_WRITE_ROWS, 500);
    r->in.len--;
    assert_int_equal(drain(r), WB_AGAIN);
    assert_true(my_packets_within(&r->k));
    assert_reads(r, "");
    reader_free(r);
}

/* Packets of 16 MB - 1 go on in the next one, which is empty when nothing is left. */
static void test_events_in_many_packets(void **state)
{
    (void)state;
    static const size_t sizes[] = {FULL - 2, FULL - 1, FULL, 2 * FULL - 1, 2 * FULL + 12345};
    static const uint8_t types[] = {MY_WRITE_ROWS, MY_QUERY};
    for (size_t i = 0; i < WB_COUNT(sizes); i++)
        for (size_t t = 0; t < WB_COUNT(types); t++) {
            char want[100];
            reader *r = reader_new(65536, 3, 50000 + 7777 * i);
            uint8_t seq = put_event(&r->in, 3, types[t], sizes[i]);
            assert_int_equal(seq, 3 + (sizes[i] + 1) / FULL + 1);
            put_event(&r->in, seq, MY_XID, 31);
            assert_int_equal(drain(r), WB_AGAIN);
            snprintf(want, sizeof want, "%s %zu\nevent 31\n", t ? "event" : "parts", sizes[i]);
            assert_reads(r, want);
            reader_free(r);
        }
    reader *r = reader_new(65536, 0, 100000); /* one of them is missing */
    put_event(&r->in, 0, MY_WRITE_ROWS, 2 * FULL + 100);
    size_t second = 4 + FULL;
    memmove(r->in.p + second, r->in.p + 2 * second, r->in.len - 2 * second);
    r->in.len -= second;
    assert_int_equal(drain(r), WB_E_PROTOCOL);
    assert_non_null(strstr(r->err.message, "packet 2 came where 1 was due"));
    reader_free(r);
}

static void test_errors_and_ends(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *want;
        wb_code code;
    } cases[] = {
        {"ff d404 23 4859303030 676f6e65", "error 1236 gone\n", WB_AGAIN},
        {"ff d404 676f6e65", "error 1236 gone\n", WB_AGAIN},
        {"ff d404", "error 1236 \n", WB_AGAIN},
        {"ff d4", "error without a number", WB_E_PROTOCOL},
        {"fe", "end\n", WB_AGAIN},
        {"fe 00000200 00000000", "a packet that is no event", WB_E_PROTOCOL},
        {"01 02", "a packet that is no event", WB_E_PROTOCOL},
        {"", "an empty packet", WB_E_PROTOCOL},
        {"00", "event 0\n", WB_AGAIN}, /* refused by the decoder */
    };
    for (size_t i = 0; i < WB_COUNT(cases); i++) {
        reader *r = reader_new(64, 0, 3);
        wb_out body = {0};
        put_hex(&body, cases[i].hex);
        put_packet(&r->in, 0, body.p, body.len);
        wb_code code = drain(r);
        if (code != cases[i].code) fail_msg("%s: %d %s", cases[i].hex, code, r->err.message);
        if (code == WB_AGAIN)
            assert_reads(r, cases[i].want);
        else
            assert_non_null(strstr(r->err.message, cases[i].want));
        wb_out_fini(&body);
        reader_free(r);
    }
    for (int status = 1; status < 256; status++) {
        char large[300] = {(char)status};
        reader *r = reader_new(128, 0, 300);
        put_packet(&r->in, 0, large, sizeof large);
        assert_int_equal(drain(r), WB_E_PROTOCOL);
        assert_non_null(strstr(r->err.message, "a packet is large, and no event"));
        reader_free(r);
    }
    reader *r = reader_new(512, 0, 600); /* a long text is cut */
    char text[460] = {(char)0xff, 1, 0};
    memset(text + 3, 'x', sizeof text - 3);
    put_packet(&r->in, 0, text, sizeof text);
    assert_int_equal(drain(r), WB_AGAIN);
    assert_true(r->said.len < 420);
    reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets_cut_anywhere),
        cmocka_unit_test(test_numbers_count_and_wrap),
        cmocka_unit_test(test_events_larger_than_the_buffer),
        cmocka_unit_test(test_events_in_many_packets),
        cmocka_unit_test(test_errors_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
