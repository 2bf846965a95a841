/* parts_fuzz.c: large events of a binlog, which come in parts and are read back through a window, under any bytes. An
 * input: choices, the size of a part, the size of the window (a byte each), then events one after the other. What comes
 * out must be what the same events give in one piece, from memory. */
#include <zlib.h>

#include "binlog_run.h"
#include "sources/mysql/event.h"

enum { LATE = 1, SCHEMA = 2, PARTIAL = 4, SPARING = 8 };

typedef struct side {
    run run;
    uint32_t sum; /* of every change */
    uint64_t rows;
    wb_error err;
} side;

static void add(side *s, const void *p, size_t n)
{
    if (n) s->sum = (uint32_t)crc32_z(s->sum, p, n);
}

static void add_values(side *s, const wb_value *v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++) {
        bool far = v[i].kind > WB_NULL && ((v[i].flags & WB_V_TEXT) || v[i].kind == WB_BYTES);
        add(s, &v[i].kind, sizeof v[i].kind);
        if (far)
            add(s, v[i].as.ptr, v[i].len);
        else if (v[i].kind > WB_NULL)
            add(s, &v[i].as.u, sizeof v[i].as.u);
    }
}

static void add_batch(side *s)
{
    const wb_batch *b = s->run.b;
    for (size_t i = 0; i < b->nchanges; i++) {
        const wb_change *c = &b->changes[i];
        add(s, &c->op, sizeof c->op);
        add(s, &c->ordinal, sizeof c->ordinal);
        add(s, &c->place, sizeof c->place);
        add(s, c->table->name.ptr, c->table->name.len);
        add_values(s, c->before, c->table->ncols);
        add_values(s, c->after, c->table->ncols);
    }
    wb_batch_clear(s->run.b);
}

static wb_code deliver(side *s)
{
    my_event ev = {0};
    size_t room = 0;
    s->rows = 0;
    while (ev.kind != MY_EV_COMMIT) {
        wb_code code = my_decoder_next(s->run.d, s->run.b, room, &ev, &s->err);
        if (code == WB_AGAIN) {
            room = WB_MAX(room, ev.need);
            continue;
        }
        if (code != WB_OK) return code;
        if (ev.kind == MY_EV_COMMIT) require(s->rows == ev.rows);
        if (ev.kind == MY_EV_ROWS || ev.kind == MY_EV_DDL) s->rows += ev.rows;
        if (s->rows > 50000) return WB_E_LIMIT;
        add_batch(s);
    }
    return WB_OK;
}

static wb_code finish(side *s, wb_code code, const my_event *ev)
{
    if (code == WB_OK && ev->kind == MY_EV_GROUP) code = deliver(s);
    if (code != WB_OK && code != WB_E_LIMIT) require(s->err.code == code && s->err.message[0]);
    return code;
}

static wb_code feed_whole(side *s, const uint8_t *p, size_t n)
{
    my_event ev;
    wb_error_reset(&s->err);
    return finish(s, my_decoder_feed(s->run.d, p, n, &ev, &s->err), &ev);
}

static wb_code feed_parts(side *s, const uint8_t *p, size_t n, size_t part)
{
    my_event ev;
    wb_code code = WB_OK;
    wb_error_reset(&s->err);
    for (size_t at = 0; at < n && code == WB_OK;) {
        size_t k = WB_MIN(n - at, at ? part : WB_MAX(part, (size_t)MY_HEADER_LEN));
        uint8_t *alone = malloc(k); /* exactly as large */
        require(alone != NULL);
        memcpy(alone, p + at, k);
        at += k;
        code = my_decoder_part(s->run.d, alone, k, at == n, &ev, &s->err);
        free(alone);
        if (code == WB_OK && at < n) require(ev.kind == MY_EV_NOTHING);
    }
    return finish(s, code, &ev);
}

static void start(side *s, uint8_t choices, size_t window)
{
    my_hooks hooks = {.arg = &s->run, .table = table};
    my_options o = {.max_row = 30000, .no_verify = true, .partial_start = choices & PARTIAL};
    o.unknown_xa = o.unknown_engine = MY_UNKNOWN_SKIP;
    *s = (side){.run = {.b = wb_batch_loose(), .schema = choices & SCHEMA, .late = choices & LATE}};
    if (window) {
        hooks.spool_write = spool_write;
        hooks.spool_read = spool_read;
        o.window = window;
        o.hold = choices & SPARING ? 1 : 400;
    }
    s->run.d = my_decoder_new(&hooks, &o);
    require(s->run.d && s->run.b);
    my_decoder_start(s->run.d, WB_STR("binlog.000001"), MY_FIRST_EVENT, false);
}

static void end(side *s)
{
    my_decoder_free(s->run.d);
    wb_batch_unref(s->run.b);
    free(s->run.spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    side whole, parts;
    if (size < 3) return 0;
    size_t n = size - 3, at = 0, part = 1 + data[1], window = 64 + 16u * data[2];
    uint8_t *copy = malloc(n ? n : 1);
    require(copy != NULL);
    if (n) memcpy(copy, data + 3, n);
    start(&whole, data[0], 0);
    start(&parts, data[0], window);
    while (n - at >= MY_HEADER_LEN) {
        my_header h;
        size_t len = n - at;
        if (my_header_read(copy + at, len, &h, NULL) == WB_OK && h.length <= len) len = h.length;
        cut_length(copy + at, len);
        bool large = len >= MY_HEADER_LEN + 4 && my_type_in_parts(copy[at + 4]);
        wb_code a = feed_whole(&whole, copy + at, len);
        wb_code b = large ? feed_parts(&parts, copy + at, len, part) : feed_whole(&parts, copy + at, len);
        /* The head of what is too large for the window must lie within it. */
        bool blind =
            b != WB_OK && (strstr(parts.err.message, "ends too early") || strstr(parts.err.message, "head is damaged"));
        if (a != WB_OK || blind) break;
        require(b == WB_OK && a == b && whole.sum == parts.sum && whole.rows == parts.rows);
        at += len;
    }
    end(&whole);
    end(&parts);
    free(copy);
    return 0;
}
