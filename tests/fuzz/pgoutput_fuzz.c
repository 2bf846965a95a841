/* pgoutput_fuzz.c: the PostgreSQL decoder under any bytes. An input is a list of steps: one byte that says what to do,
 * two bytes of length (little-endian), the bytes. Every value that comes out is read to its end. */
#include "core/batch.h"
#include "sources/postgres/types.h"
#include "sources/postgres/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECODE, DECODE_REPLAYED, PEEK, FRAME, COPY, REPLAY_BEGIN, REPLAY_END, FORGET, STEPS };

typedef struct run {
    pg_decoder *d;
    wb_batch *b;
    uint32_t oid; /* of the last relation, for COPY */
} run;

static wb_table *hook(void *arg, const pg_relation *r, wb_error *err)
{
    run *f = arg;
    f->oid = r->oid;
    if (r->ncols == 13) { /* as a catalog that does not answer */
        wb_fail(err, WB_E_SCHEMA, WB_NEVER, "There is no table %u.", r->oid);
        return NULL;
    }
    return pg_table_of_relation(r);
}

static void require(bool what)
{
    if (!what) __builtin_trap();
}

static void read_values(const wb_value *v, uint32_t n)
{
    static volatile unsigned sum;
    for (uint32_t i = 0; v && i < n; i++) {
        require(v[i].kind < WB_KINDS);
        if (v[i].kind <= WB_NULL) continue;
        require(v[i].flags == WB_V_TEXT);
        if (v[i].kind == WB_DATE) require(v[i].len == 10);
        if (v[i].kind == WB_TIMESTAMPTZ) require(v[i].len >= 22);
        for (uint32_t k = 0; k < v[i].len; k++) sum += (unsigned char)v[i].as.ptr[k];
    }
}

/* What was appended is whole; a step that failed appended nothing. */
static void read_batch(run *f, size_t had, wb_code code, const wb_error *err)
{
    require(code == WB_OK || (code == err->code && err->message[0] && f->b->nchanges == had));
    for (size_t i = had; i < f->b->nchanges; i++) {
        const wb_change *c = &f->b->changes[i];
        require(c->table != NULL);
        read_values(c->before, c->table->ncols);
        read_values(c->after, c->table->ncols);
    }
    if (f->b->nchanges > 2000 || f->b->arena.bytes > (4u << 20)) wb_batch_clear(f->b);
}

static void decode(run *f, const void *p, size_t n)
{
    pg_event ev;
    wb_error err;
    size_t had = f->b->nchanges;
    wb_error_reset(&err);
    wb_code code = pg_decode(f->d, p, n, n, f->b, &ev, &err);
    read_batch(f, had, code, &err);
    if (code == WB_OK && ev.kind == PG_EV_ROWS) require(f->b->nchanges - had == ev.rows || f->b->nchanges == 0);
}

static void copy(run *f, const void *p, size_t n)
{
    wb_error err;
    size_t had = f->b->nchanges;
    const wb_table *t = pg_decoder_table(f->d, f->oid);
    if (!t) return;
    wb_error_reset(&err);
    wb_code code = pg_copy_row(t, p, n, f->b, &err);
    read_batch(f, had, code, &err);
}

static void step(run *f, unsigned what, const void *p, size_t n)
{
    pg_peek peek;
    pg_frame frame;
    wb_error err;
    wb_error_reset(&err);
    switch (what) {
    case DECODE: decode(f, p, n); break;
    case DECODE_REPLAYED:
        pg_decoder_seq(f->d, n);
        decode(f, p, n);
        break;
    case PEEK:
        if (pg_wire_peek(p, n, n & 1, &peek, &err) == WB_OK) (void)pg_decoder_arrival(f->d);
        break;
    case FRAME:
        if (pg_frame_parse(p, n, &frame, &err) == WB_OK && frame.kind == 'w') decode(f, frame.body, frame.len);
        break;
    case COPY: copy(f, p, n); break;
    case REPLAY_BEGIN: pg_decoder_replay_begin(f->d); break;
    case REPLAY_END: require(pg_decoder_replay_end(f->d, &err) == WB_OK); break;
    default: pg_decoder_forget(f->d); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run f = {.b = wb_batch_loose()};
    f.d = pg_decoder_new(hook, &f, 20000);
    require(f.d && f.b);
    while (size >= 3) {
        size_t n = (size_t)(data[1] | data[2] << 8);
        unsigned what = data[0] % STEPS;
        data += 3;
        size -= 3;
        if (n > size) n = size;
        char *exact = malloc(n ? n : 1); /* the sanitizer sees a byte read too many */
        require(exact != NULL);
        if (n) memcpy(exact, data, n);
        step(&f, what, exact, n);
        free(exact);
        data += n;
        size -= n;
    }
    pg_decoder_free(f.d);
    wb_batch_unref(f.b);
    return 0;
}
