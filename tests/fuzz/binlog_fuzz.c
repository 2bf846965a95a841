/* binlog_fuzz.c: the binlog decoder under any bytes. An input is one byte of choices and then a binlog without its
 * magic: events one after the other. A length that leads beyond the input is cut; a start with the other flavor, a
 * spool, a schema that comes late, and batches that are full at once are among the choices. Every value that comes out
 * is read. */
#include "core/batch.h"
#include "sources/mysql/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAPPED = 1, SPOOLED = 2, LATE = 4, SCHEMA = 8, REPLACE = 16, PARTIAL = 32, NO_SCHEMA = 64, KEEP_GOING = 128 };

typedef struct run {
    my_decoder *d;
    wb_batch *b;
    unsigned choices;
    bool asked;
    uint8_t *spool;
    size_t spooled;
} run;

static void require(bool what)
{
    if (!what) __builtin_trap();
}

static wb_code table(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    static const my_schema_col cols[] = {
        {.name = {"id", 2}, .type = {"int unsigned", 12}, .charset = {"", 0}, .id = 1},
        {.name = {"v", 1},
         .type = {"varchar(20)", 11},
         .charset = {"utf8mb4", 7},
         .id = 2,
         .missing_kind = WB_TEXT,
         .missing = {"m", 1}},
        {.name = {"u", 1}, .type = {"uuid", 4}, .charset = {"", 0}, .id = 3},
        {.name = {"i4", 2}, .type = {"inet4", 5}, .charset = {"", 0}, .id = 4, .flags = WB_COL_GENERATED},
        {.name = {"i6", 2}, .type = {"inet6", 5}, .charset = {"", 0}, .id = 5},
        {.name = {"e", 1}, .type = {"enum('a','b''c')", 16}, .charset = {"", 0}, .id = 6},
        {.name = {"s", 1}, .type = {"set('x','y')", 12}, .charset = {"", 0}, .id = 7},
        {.name = {"j", 1}, .type = {"json", 4}, .charset = {"", 0}, .id = 8}};
    static const uint16_t key[] = {0};
    run *f = arg;
    WB_UNUSED(err);
    f->asked = !f->asked;
    if (f->choices & LATE && f->asked) return WB_AGAIN;
    if (!(f->choices & SCHEMA)) return WB_OK;
    *out = (my_schema){
        .schema = map->schema, .name = map->name, .ncols = (uint32_t)WB_MIN(map->ncols, WB_COUNT(cols)), .cols = cols};
    out->nkey = 1;
    out->key = key;
    out->engine = (my_engine)(map->ncols % 3);
    return WB_OK;
}

static wb_code spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    run *f = arg;
    WB_UNUSED(err);
    require(at <= f->spooled);
    f->spool = realloc(f->spool, (size_t)at + n);
    require(f->spool != NULL);
    memcpy(f->spool + at, p, n);
    f->spooled = (size_t)at + n;
    return WB_OK;
}

static wb_code spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    run *f = arg;
    WB_UNUSED(err);
    require(at + n <= f->spooled);
    memcpy(p, f->spool + at, n);
    return WB_OK;
}

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

static void cut_length(uint8_t *event, size_t n)
{
    for (int i = 0; i < 4; i++) event[9 + i] = (uint8_t)(n >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    run f = {.b = wb_batch_loose(), .choices = data[0]};
    my_hooks hooks = {.arg = &f};
    my_options o = {.max_row = 30000, .hold = 2000, .no_verify = true};
    if (!(f.choices & NO_SCHEMA)) hooks.table = table;
    if (f.choices & SPOOLED) {
        hooks.spool_write = spool_write;
        hooks.spool_read = spool_read;
    }
    if (f.choices & REPLACE) o.policy = (my_policy){MY_ZERO_NULL, MY_TEXT_REPLACE};
    o.unknown_xa = o.unknown_engine = f.choices & REPLACE ? MY_UNKNOWN_SKIP : MY_UNKNOWN_STOP;
    o.partial_start = f.choices & PARTIAL;
    o.stable = f.choices & MAPPED;
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
        if (!(f.choices & KEEP_GOING) || first == 0) break;
        my_decoder_start(f.d, WB_STR("binlog.000001"), at, at % 2);
        if (!feed(&f, copy, first)) break;
    }
    my_decoder_free(f.d);
    wb_batch_unref(f.b);
    free(f.spool);
    free(copy);
    return 0;
}
