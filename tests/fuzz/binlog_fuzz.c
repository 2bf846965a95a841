/* binlog_fuzz.c: the binlog decoder under any bytes. An input is one byte of choices and then a binlog without its
 * magic: events one after the other. A length that leads beyond the input is cut; a start with the other flavor, a
 * spool, a schema that comes late, and batches that are full at once are among the choices. Every value that comes out
 * is read. */
#include "binlog_run.h"

enum { MAPPED = 1, SPOOLED = 2, LATE = 4, SCHEMA = 8, REPLACE = 16, PARTIAL = 32, NO_SCHEMA = 64, KEEP_GOING = 128 };

static void read_values(const wb_value *v, uint32_t n)
{
    unsigned sum = 0;
    for (uint32_t i = 0; v && i < n; i++) {
        require(v[i].kind < WB_KINDS);
        if (v[i].kind <= WB_NULL || !((v[i].flags & WB_V_TEXT) || v[i].kind == WB_BYTES)) continue;
        if (v[i].kind == WB_DATE) require(v[i].len == 10);
        if (v[i].kind == WB_TIMESTAMPTZ) require(v[i].len >= 22);
        for (uint32_t k = 0; k < v[i].len; k++) sum += (unsigned char)v[i].as.ptr[k];
    }
    __asm__ volatile("" : : "r"(sum)); /* every byte is read */
}

static void read_batch(run *f)
{
    for (size_t i = 0; i < f->b->nchanges; i++) {
        const wb_change *c = &f->b->changes[i];
        require(c->table != NULL && (c->before || c->after));
        read_values(c->before, c->table->ncols);
        read_values(c->after, c->table->ncols);
    }
    wb_batch_clear(f->b);
}

static bool deliver(run *f)
{
    my_event ev = {0};
    wb_error err;
    size_t room = 0;
    uint64_t rows = 0;
    while (ev.kind != MY_EV_COMMIT) {
        wb_error_reset(&err);
        wb_code code = my_decoder_next(f->d, f->b, room, &ev, &err);
        if (code == WB_AGAIN) {
            require(err.code == WB_OK);
            room = WB_MAX(room, ev.need);
            continue;
        }
        if (code != WB_OK) {
            require(err.code == code && err.message[0]);
            read_batch(f);
            return false;
        }
        if (ev.kind == MY_EV_COMMIT) require(rows == ev.rows);
        if (ev.kind == MY_EV_ROWS || ev.kind == MY_EV_DDL) rows += ev.rows;
        for (uint32_t i = 0; ev.kind == MY_EV_DDL && i < ev.statement.ntables; i++)
            require(ev.statement.tables[i].name.len <= ev.sql.len);
        if (rows > 50000) return false;
        read_batch(f);
    }
    return true;
}

static bool feed(run *f, const uint8_t *p, size_t n)
{
    my_event ev;
    wb_error err;
    wb_error_reset(&err);
    wb_code code = my_decoder_feed(f->d, p, n, &ev, &err);
    if (code != WB_OK) {
        require(err.code == code && err.message[0]);
        return false;
    }
    return ev.kind != MY_EV_GROUP || deliver(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const unsigned choices = data[0];
    run f = {.b = wb_batch_loose(), .schema = choices & SCHEMA, .late = choices & LATE};
    my_hooks hooks = {.arg = &f};
    my_options o = {.max_row = 30000, .hold = 2000, .no_verify = true};
    if (!(choices & NO_SCHEMA)) hooks.table = table;
    if (choices & SPOOLED) {
        hooks.spool_write = spool_write;
        hooks.spool_read = spool_read;
    }
    if (choices & REPLACE) o.policy = (my_policy){MY_ZERO_NULL, MY_TEXT_REPLACE};
    o.unknown_xa = o.unknown_engine = choices & REPLACE ? MY_UNKNOWN_SKIP : MY_UNKNOWN_STOP;
    o.partial_start = choices & PARTIAL;
    o.stable = choices & MAPPED;
    o.kept = size % 2 != 0;
    f.d = my_decoder_new(&hooks, &o);
    uint8_t *copy = malloc(size); /* exactly as large: the sanitizer sees a byte read too many */
    require(f.d && f.b && copy);
    size_t n = size - 1, first = 0, at = 0;
    memcpy(copy, data + 1, n);
    my_decoder_start(f.d, WB_STR("binlog.000001"), MY_FIRST_EVENT, false);
    while (n - at >= MY_HEADER_LEN) {
        my_header h;
        size_t len = n - at;
        if (my_header_read(copy + at, len, &h, NULL) == WB_OK && h.length <= len) len = h.length;
        cut_length(copy + at, len);
        uint8_t *alone = o.stable ? NULL : malloc(len);
        if (alone) memcpy(alone, copy + at, len);
        bool ok = feed(&f, alone ? alone : copy + at, len);
        free(alone);
        if (at == 0) first = len;
        at += len;
        if (ok) continue;
        if (!(choices & KEEP_GOING) || first == 0) break;
        my_decoder_start(f.d, WB_STR("binlog.000001"), at, at % 2);
        if (!feed(&f, copy, first)) break;
    }
    my_decoder_free(f.d);
    wb_batch_unref(f.b);
    free(f.spool);
    free(copy);
    return 0;
}
