/* mysql_help.h: makes binlog events, decodes them, and writes what came out down in lines; for the tests of the MySQL
 * decoder. */
#ifndef MYSQL_HELP_H
#define MYSQL_HELP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "core/batch.h"
#include "sources/mysql/decoder.h"
#include "sources/mysql/inside.h"

/* ---------------------------------------------------------------- bytes */

static inline void put_le(wb_out *o, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) wb_out_byte(o, (char)(v >> 8 * i & 0xff));
}
/* "0a ff" */
static inline void put_hex(wb_out *o, const char *hex)
{
    unsigned v;
    for (const char *p = hex; *p;) {
        if (*p == ' ') {
            p++;
            continue;
        }
        assert_int_equal(sscanf(p, "%2x", &v), 1);
        wb_out_byte(o, (char)v);
        p += 2;
    }
}
static inline void put_str8(wb_out *o, const char *z)
{
    wb_out_byte(o, (char)strlen(z));
    wb_out_z(o, z);
}

/* ---------------------------------------------------------------- a decoder under test */

typedef struct fixture {
    my_decoder *d;
    wb_batch *b;
    wb_out said;  /* one line an event or change          */
    wb_out event; /* being made                           */
    wb_out spool;
    uint64_t pos;   /* of the next event                    */
    uint64_t place; /* of the last change                  */
    bool checksums, no_pos;
    uint16_t flags; /* of the next event                  */
    uint32_t timestamp;
    size_t room;
    size_t part; /* events that may come in parts do so: of that many bytes, the first of a header more */
    int asked;   /* times that the table hook was called    */
    wb_code hook_says;
    my_schema schema; /* ncols 0: none */
    const char *unwanted;
    wb_error err;
    my_event last; /* of feed */
} fixture;

static inline bool hook_wanted(void *arg, wb_str schema, wb_str table)
{
    fixture *f = arg;
    return !wb_str_is(schema, "mysql") && !(f->unwanted && wb_str_is(table, f->unwanted));
}
static inline wb_code hook_table(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    fixture *f = arg;
    f->asked++;
    WB_UNUSED(map);
    WB_UNUSED(err);
    wb_code code = f->hook_says;
    f->hook_says = WB_OK;
    *out = f->schema;
    return code;
}
static inline wb_code hook_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    fixture *f = arg;
    WB_UNUSED(err);
    assert_true(at <= f->spool.len);
    f->spool.len = (size_t)at;
    wb_out_put(&f->spool, p, n);
    return WB_OK;
}
static inline wb_code hook_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    fixture *f = arg;
    WB_UNUSED(err);
    assert_true(at + n <= f->spool.len);
    memcpy(p, f->spool.p + at, n);
    return WB_OK;
}
static inline void hook_notice(void *arg, const char *text)
{
    fixture *f = arg;
    wb_out_printf(&f->said, "notice %s\n", text);
}

static inline fixture *fixture_new(const my_options *o, bool spool)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    my_hooks hooks = {.arg = f, .wanted = hook_wanted, .table = hook_table, .notice = hook_notice};
    if (spool) {
        hooks.spool_write = hook_write;
        hooks.spool_read = hook_read;
    }
    my_options none = {.max_row = 1 << 20};
    f->d = my_decoder_new(&hooks, o ? o : &none);
    f->b = wb_batch_loose();
    f->timestamp = 1700000000;
    f->pos = 4;
    assert_non_null(f->d);
    assert_non_null(f->b);
    my_decoder_start(f->d, WB_STR("binlog.000001"), 4, false);
    return f;
}
static inline void fixture_free(fixture *f)
{
    my_decoder_free(f->d);
    wb_batch_unref(f->b);
    wb_out_fini(&f->said);
    wb_out_fini(&f->event);
    wb_out_fini(&f->spool);
    free(f);
}

/* ---------------------------------------------------------------- what comes out */

static inline void say_value(wb_out *o, const wb_value *v)
{
    static const char *const kinds[WB_KINDS] = {"absent",  "unchanged", "null",  "bool",     "int",   "uint",  "float",
                                                "decimal", "text",      "bytes", "date",     "time",  "ts",    "tstz",
                                                "uuid",    "json",      "doc",   "interval", "array", "range", "other"};
    wb_out_z(o, kinds[v->kind]);
    if (v->kind <= WB_NULL) return;
    wb_out_byte(o, ':');
    if (v->flags & WB_V_TEXT)
        wb_out_put(o, v->as.ptr, v->len);
    else if (v->kind == WB_BYTES)
        for (uint32_t i = 0; i < v->len; i++) wb_out_printf(o, "%02x", (unsigned char)v->as.ptr[i]);
    else if (v->kind == WB_UINT)
        wb_out_u64(o, v->as.u);
    else if (v->kind == WB_FLOAT)
        wb_out_printf(o, "%.17g", v->as.f);
    else
        wb_out_i64(o, v->as.i);
}
static inline void say_row(wb_out *o, const wb_table *t, const wb_value *v, const char *head)
{
    wb_out_z(o, head);
    for (uint32_t i = 0; i < t->ncols; i++) {
        if (i) wb_out_byte(o, ' ');
        say_value(o, &v[i]);
    }
}
static inline void say_changes(fixture *f)
{
    static const char *const ops[WB_OPS] = {"insert", "update", "delete"};
    for (size_t i = 0; i < f->b->nchanges; i++) {
        const wb_change *c = &f->b->changes[i];
        wb_out_printf(&f->said, "%s%s %s #%llu", ops[c->op], c->flags & WB_C_KEY_CHANGED ? "(key)" : "",
                      c->table->name.ptr, (unsigned long long)c->ordinal);
        if (c->before) say_row(&f->said, c->table, c->before, " -");
        if (c->after) say_row(&f->said, c->table, c->after, " +");
        assert_non_null(c->event);
        assert_true(c->event->first <= c->ordinal && c->event->start < c->place);
        f->place = c->place;
        if (c->event->query.len)
            wb_out_printf(&f->said, " row %d by %.*s", (int)(c->ordinal - c->event->first), (int)c->event->query.len,
                          c->event->query.ptr);
        wb_out_byte(&f->said, '\n');
    }
    wb_batch_clear(f->b);
}
static inline void say_step(fixture *f, const my_event *ev)
{
    char gtid[MY_GTID_TEXT];
    my_gtid_text(&ev->gtid, gtid);
    say_changes(f);
    if (ev->kind == MY_EV_BEGIN) wb_out_printf(&f->said, "begin %s\n", gtid);
    if (ev->kind == MY_EV_COMMIT) wb_out_printf(&f->said, "commit %llu\n", (unsigned long long)ev->rows);
    if (ev->kind != MY_EV_DDL) return;
    wb_out_printf(&f->said, "ddl %s", ev->statement.verb);
    for (uint32_t i = 0; i < ev->statement.ntables; i++) {
        const my_st_table *t = &ev->statement.tables[i];
        wb_out_printf(&f->said, " %.*s.%.*s", (int)t->schema.len, t->schema.ptr, (int)t->name.len,
                      t->name.ptr ? t->name.ptr : "");
        if (t->to_name.len)
            wb_out_printf(&f->said, ">%.*s.%.*s", (int)t->to_schema.len, t->to_schema.ptr, (int)t->to_name.len,
                          t->to_name.ptr);
    }
    wb_out_z(&f->said, ev->statement.unsure ? " unsure\n" : "\n");
}
/* The lines since the last call. */
static inline const char *said(fixture *f)
{
    wb_out_byte(&f->said, 0);
    assert_false(f->said.failed);
    f->said.len = 0;
    return f->said.p;
}
#define assert_said(f, text) assert_string_equal(said(f), text)

static inline wb_code deliver(fixture *f)
{
    my_event ev = {0};
    while (ev.kind != MY_EV_COMMIT) {
        wb_code code = my_decoder_next(f->d, f->b, f->room, &ev, &f->err);
        if (code != WB_OK) {
            say_changes(f);
            if (code == WB_AGAIN) f->last = ev;
            return code;
        }
        say_step(f, &ev);
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- events in */

static inline void event_begin(fixture *f)
{
    wb_out_reset(&f->event);
    for (int i = 0; i < MY_HEADER_LEN; i++) wb_out_byte(&f->event, 0);
}
/* In parts, each of a block of exactly its size. */
static inline wb_code feed_in_parts(fixture *f, const uint8_t *p, size_t n)
{
    wb_code code = WB_OK;
    for (size_t at = 0, k; code == WB_OK && at < n; at += k) {
        k = WB_MIN(f->part + (at ? 0 : MY_HEADER_LEN), n - at);
        uint8_t *exact = malloc(k);
        assert_non_null(exact);
        memcpy(exact, p + at, k);
        code = my_decoder_part(f->d, exact, k, at + k == n, &f->last, &f->err);
        free(exact);
        if (code == WB_OK && at + k < n) assert_int_equal(f->last.kind, MY_EV_NOTHING);
    }
    return code;
}
/* Finishes the event that was begun, from a block of exactly its size, and feeds it. */
static inline wb_code event_feed(fixture *f, uint8_t type)
{
    size_t n = f->event.len + (f->checksums ? 4 : 0);
    wb_out head = {0};
    bool in_file = !(f->flags & MY_FLAG_ARTIFICIAL) && type != MY_HEARTBEAT && type != MY_HEARTBEAT_V2;
    put_le(&head, f->timestamp, 4);
    wb_out_byte(&head, (char)type);
    put_le(&head, 1, 4);
    put_le(&head, n, 4);
    if (in_file) f->pos += n;
    put_le(&head, f->no_pos || (f->flags & MY_FLAG_ARTIFICIAL) ? 0 : f->pos & 0xffffffff, 4);
    put_le(&head, f->flags, 2);
    f->flags = 0;
    uint8_t *exact = malloc(n);
    assert_non_null(exact);
    memcpy(exact, head.p, MY_HEADER_LEN);
    memcpy(exact + MY_HEADER_LEN, f->event.p + MY_HEADER_LEN, f->event.len - MY_HEADER_LEN);
    wb_out_fini(&head);
    if (f->checksums) {
        uLong sum = crc32_z(0, exact, f->event.len);
        for (int i = 0; i < 4; i++) exact[f->event.len + (size_t)i] = (uint8_t)(sum >> 8 * i);
    }
    wb_error_reset(&f->err);
    wb_code code = f->part && my_type_in_parts(type) ? feed_in_parts(f, exact, n)
                                                     : my_decoder_feed(f->d, exact, n, &f->last, &f->err);
    free(exact);
    return code;
}
/* The same, and delivers what is complete. */
static inline wb_code event_end(fixture *f, uint8_t type)
{
    wb_code code = event_feed(f, type);
    if (code == WB_OK && f->last.kind == MY_EV_GROUP) code = deliver(f);
    return code;
}
#define ok(what)                                                                                                       \
    do {                                                                                                               \
        wb_code code_ = (what);                                                                                        \
        if (code_ != WB_OK) fail_msg("%s:%d: %d %s", __FILE__, __LINE__, code_, f->err.message);                       \
    } while (0)
static inline void assert_error(fixture *f, wb_code code, wb_code expect, const char *part)
{
    if (code != expect || !strstr(f->err.message, part)) fail_msg("%d %s (wanted: %s)", code, f->err.message, part);
}

/* FORMAT_DESCRIPTION of "8.0.36" or "10.11.6-MariaDB". */
static inline wb_code feed_format(fixture *f, const char *version, bool checksums)
{
    char text[50] = {0};
    event_begin(f);
    put_le(&f->event, 4, 2);
    memcpy(text, version, strlen(version));
    wb_out_put(&f->event, text, sizeof text);
    put_le(&f->event, 1700000000, 4);
    wb_out_byte(&f->event, MY_HEADER_LEN);
    for (int t = 1; t < 180; t++) {
        bool rows = (t >= MY_TABLE_MAP && t <= MY_DELETE_ROWS_V1) || t >= MY_WRITE_ROWS;
        wb_out_byte(&f->event, t == MY_QUERY || t == MY_QUERY_COMPRESSED ? 13
                               : t == MY_EXECUTE_LOAD_QUERY              ? 26
                               : rows                                    ? 8
                                                                         : 0);
    }
    wb_out_byte(&f->event, checksums);
    bool had = f->checksums;
    f->checksums = true; /* its own checksum is always there */
    wb_code code = event_end(f, MY_FORMAT_DESCRIPTION);
    f->checksums = had;
    if (code == WB_OK) f->checksums = checksums;
    return code;
}
static inline fixture *fixture_started(const char *version)
{
    fixture *f = fixture_new(NULL, false);
    ok(feed_format(f, version, false));
    return f;
}

/* An event inside of another one: without a position and a checksum. */
static inline void put_inner(wb_out *to, uint8_t type, const wb_out *body)
{
    put_le(to, 1700000000, 4);
    wb_out_byte(to, (char)type);
    put_le(to, 1, 4);
    put_le(to, MY_HEADER_LEN + body->len, 4);
    put_le(to, 0, 4); /* no position */
    put_le(to, 0, 2);
    wb_out_put(to, body->p, body->len);
}

static inline wb_code feed_hex(fixture *f, uint8_t type, const char *hex)
{
    event_begin(f);
    put_hex(&f->event, hex);
    return event_end(f, type);
}
static inline void put_query(fixture *f, const char *schema, const char *status, const char *sql)
{
    wb_out vars = {0};
    put_hex(&vars, status);
    put_le(&f->event, 77, 4);
    put_le(&f->event, 0, 4);
    wb_out_byte(&f->event, (char)strlen(schema));
    put_le(&f->event, 0, 2);
    put_le(&f->event, vars.len, 2);
    wb_out_put(&f->event, vars.p, vars.len);
    wb_out_fini(&vars);
    wb_out_put(&f->event, schema, strlen(schema) + 1);
    wb_out_z(&f->event, sql);
}
static inline wb_code feed_query(fixture *f, const char *sql)
{
    event_begin(f);
    put_query(f, "shop", "", sql);
    return event_end(f, MY_QUERY);
}
/* GTID 00010203-0405-0607-0809-0a0b0c0d0e0f:n, committed at 1600000000.000001 */
#define SID "00010203-0405-0607-0809-0a0b0c0d0e0f"
static inline wb_code feed_gtid(fixture *f, uint64_t n)
{
    event_begin(f);
    put_hex(&f->event, "00 000102030405060708090a0b0c0d0e0f");
    put_le(&f->event, n, 8);
    put_hex(&f->event, "02 0000000000000000 0000000000000000");
    put_le(&f->event, 1600000000000001, 7);
    return event_end(f, MY_GTID);
}
/* MariaDB: 0-1-n with flags */
static inline wb_code feed_mariadb_gtid(fixture *f, uint64_t n, uint8_t flags, const char *tail)
{
    event_begin(f);
    put_le(&f->event, n, 8);
    put_le(&f->event, 0, 4);
    wb_out_byte(&f->event, (char)flags);
    put_hex(&f->event, tail);
    return event_end(f, MY_MARIADB_GTID);
}
static inline wb_code feed_xid(fixture *f) { return feed_hex(f, MY_XID, "2a00000000000000"); }

/* A TABLE_MAP of shop.NAME: hexadecimal types, metadata, and optional fields. */
static inline void put_map(fixture *f, uint64_t id, const char *name, const char *types, const char *meta,
                           const char *tlvs)
{
    wb_out t = {0}, m = {0};
    put_hex(&t, types);
    put_hex(&m, meta);
    put_le(&f->event, id, 6);
    put_le(&f->event, 1, 2);
    put_str8(&f->event, "shop");
    wb_out_byte(&f->event, 0);
    put_str8(&f->event, name);
    wb_out_byte(&f->event, 0);
    wb_out_byte(&f->event, (char)t.len);
    wb_out_put(&f->event, t.p, t.len);
    wb_out_byte(&f->event, (char)m.len);
    wb_out_put(&f->event, m.p, m.len);
    for (size_t i = 0; i < (t.len + 7) / 8; i++) wb_out_byte(&f->event, (char)0xff);
    put_hex(&f->event, tlvs);
    wb_out_fini(&t);
    wb_out_fini(&m);
}
static inline wb_code feed_map(fixture *f, uint64_t id, const char *name, const char *types, const char *meta,
                               const char *tlvs)
{
    event_begin(f);
    put_map(f, id, name, types, meta, tlvs);
    return event_end(f, MY_TABLE_MAP);
}
/* (id int, v varchar(20) utf8mb4), key id */
#define MAP_TYPES "03 0f"
#define MAP_META "5000"
static inline wb_code feed_small_map(fixture *f, uint64_t id, const char *name)
{
    return feed_map(f, id, name, MAP_TYPES, MAP_META, "01 01 00  02 01 2d  04 05 026964 0176  08 01 00");
}
/* A V1 or V2 rows event; body: from the number of columns on. */
static inline wb_code feed_flagged(fixture *f, uint8_t type, unsigned flags, uint64_t id, const char *body)
{
    event_begin(f);
    put_le(&f->event, id, 6);
    put_le(&f->event, flags, 2);
    if (type >= MY_WRITE_ROWS && type <= MY_PARTIAL_UPDATE_ROWS) put_le(&f->event, 2, 2);
    put_hex(&f->event, body);
    return event_end(f, type);
}
static inline wb_code feed_rows(fixture *f, uint8_t type, uint64_t id, const char *body)
{
    return feed_flagged(f, type, 1, id, body);
}
/* Row (id, v of one letter) of the small map. */
static inline wb_code feed_row(fixture *f, uint64_t table, unsigned id, char v)
{
    char body[64];
    snprintf(body, sizeof body, "02 ff 00 %02x000000 01 %02x", id, v);
    return feed_rows(f, MY_WRITE_ROWS, table, body);
}
static inline void begin(fixture *f, uint64_t n)
{
    ok(feed_gtid(f, n));
    ok(feed_query(f, "BEGIN"));
}
/* A whole transaction: one such row. */
static inline void insert_one(fixture *f, uint64_t n, unsigned id, char v)
{
    begin(f, n);
    ok(feed_small_map(f, 9, "t"));
    ok(feed_row(f, 9, id, v));
    ok(feed_xid(f));
}
#endif
