/* decode.c: what the hot path costs without a server: pgoutput bytes in memory to changes, to record lines in memory,
 * to record lines in a file. One core, no server, median of the runs. The bytes are our own, deterministic, in the
 * shape of the other benchmarks: bigint key, int, text of 32, numeric(12,2), timestamptz, bool; 1,000 rows a
 * transaction. Usage: bench_decode [--rows N] [--runs N] [--file PATH] [--mode decode|record|file] [--profile-once
 * MODE] */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/options.h"
#include "core/batch.h"
#include "formats/formats.h"
#include "sources/postgres/wire.h"

enum { ROWS_A_TXN = 1000, FILE_BUFFER = 256 * 1024, OID = 16385, MAX_RUNS = 99 };
typedef enum mode { MODE_DECODE, MODE_RECORD, MODE_FILE, MODES } mode;
static const char *const mode_names[MODES] = {"decode", "record", "file"};

typedef struct bench {
    char *bytes; /* u32 length, then one CopyData; again and again */
    size_t n, cap;
    uint64_t rows, lines, out_bytes, check;
    wb_format *format;
    void *ctx;
    wb_arena arena; /* of the format's options */
    wb_out out;
    int fd;
    mode what;
} bench;

static void die(const char *what)
{
    fprintf(stderr, "bench_decode: %s\n", what);
    exit(1);
}

/* ---------------------------------------------------------------- the recorded bytes */

static void add_frame(bench *b, const wb_out *body, uint64_t lsn)
{
    wb_out f = {0};
    if (body->failed) die("no memory");
    wb_out_byte(&f, 'w');
    wb_out_be64(&f, lsn);
    wb_out_be64(&f, lsn);
    wb_out_be64(&f, 1000);
    uint32_t len = (uint32_t)(f.len + body->len);
    while (b->cap - b->n < sizeof len + len) {
        b->cap = b->cap ? b->cap * 2 : 1 << 20;
        b->bytes = realloc(b->bytes, b->cap);
        if (!b->bytes) die("no memory");
    }
    memcpy(b->bytes + b->n, &len, sizeof len);
    memcpy(b->bytes + b->n + sizeof len, f.p, f.len);
    memcpy(b->bytes + b->n + sizeof len + f.len, body->p, body->len);
    b->n += sizeof len + len;
    wb_out_fini(&f);
}

static void put_field(wb_out *o, const char *fmt, ...) WB_PRINTF(2, 3);
static void put_field(wb_out *o, const char *fmt, ...)
{
    char text[64];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    wb_out_byte(o, 't');
    wb_out_be32(o, (uint32_t)n);
    wb_out_put(o, text, (size_t)n);
}

static void put_relation(wb_out *o)
{
    static const struct {
        const char *name;
        uint32_t oid, mod;
    } cols[] = {{"id", 20, ~0u},   {"n", 23, ~0u}, {"name", 25, ~0u}, {"price", 1700, ((12 << 16) | 2) + 4},
                {"at", 1184, ~0u}, {"ok", 16, ~0u}};
    wb_out_byte(o, 'R');
    wb_out_be32(o, OID);
    wb_out_put(o, "public\0bench\0d", 14);
    wb_out_be16(o, WB_COUNT(cols));
    for (size_t i = 0; i < WB_COUNT(cols); i++) {
        wb_out_byte(o, i == 0);
        wb_out_put(o, cols[i].name, strlen(cols[i].name) + 1);
        wb_out_be32(o, cols[i].oid);
        wb_out_be32(o, cols[i].mod);
    }
}

static void put_row(wb_out *o, uint64_t id, uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    uint64_t r = *seed;
    wb_out_byte(o, 'I');
    wb_out_be32(o, OID);
    wb_out_byte(o, 'N');
    wb_out_be16(o, 6);
    put_field(o, "%" PRIu64, id);
    put_field(o, "%d", (int)(r % 1000000));
    put_field(o, "%016" PRIx64 "%016" PRIx64, r, r * 7919);
    put_field(o, "%" PRIu64 ".%02d", r % 99999, (int)(r % 100));
    put_field(o, "2026-11-21 %02d:%02d:%02d.%06d+00", (int)(id / 3600000 % 24), (int)(id / 60000 % 60),
              (int)(id / 1000 % 60), (int)(r % 999999) + 1);
    put_field(o, "%c", r & 1 ? 't' : 'f');
}

static void record_bytes(bench *b)
{
    wb_out m = {0};
    uint64_t lsn = 0x16b374d48, seed = 88172645463325252u;
    for (uint64_t id = 0; id < b->rows;) {
        uint64_t commit = lsn + 200000;
        wb_out_reset(&m);
        wb_out_byte(&m, 'B');
        wb_out_be64(&m, commit);
        wb_out_be64(&m, 848000000000000 + id);
        wb_out_be32(&m, (uint32_t)(700 + id / ROWS_A_TXN));
        add_frame(b, &m, lsn);
        if (id == 0) {
            wb_out_reset(&m);
            put_relation(&m);
            add_frame(b, &m, lsn);
        }
        for (int i = 0; i < ROWS_A_TXN && id < b->rows; i++) {
            wb_out_reset(&m);
            put_row(&m, ++id, &seed);
            add_frame(b, &m, lsn += 180);
        }
        wb_out_reset(&m);
        wb_out_put(&m, "C", 2);
        wb_out_be64(&m, commit);
        wb_out_be64(&m, lsn = commit + 48);
        wb_out_be64(&m, 848000000000000 + id);
        add_frame(b, &m, lsn);
    }
    wb_out_fini(&m);
}

/* ---------------------------------------------------------------- one run */

static wb_table *hook(void *arg, const pg_relation *r, wb_error *err)
{
    (void)arg;
    (void)err;
    return pg_table_of_relation(r);
}

static void write_out(bench *b)
{
    for (size_t at = 0; b->what == MODE_FILE && at < b->out.len;) {
        ssize_t n = write(b->fd, b->out.p + at, b->out.len - at);
        if (n < 0) die("cannot write the file");
        at += (size_t)n;
    }
    b->out_bytes += b->out.len;
    wb_out_reset(&b->out);
}

/* The changes of a full batch, and its memory back. */
static void drain(bench *b, wb_batch *batch)
{
    wb_error err;
    wb_error_reset(&err);
    if (wb_batch_failed(batch)) die("no memory");
    for (size_t i = 0; i < batch->nchanges; i++) {
        const wb_change *c = &batch->changes[i];
        if (b->what == MODE_DECODE) {
            b->check += c->after[5].len;
            continue;
        }
        if (b->format->row(b->ctx, &batch->txns[c->txn], c, &b->out, &err) != WB_OK) die(err.message);
        wb_out_byte(&b->out, '\n');
        if (b->out.len >= FILE_BUFFER - 4096) write_out(b);
    }
    b->lines += batch->nchanges;
    wb_batch_clear(batch);
}

static void begin_txn(wb_batch *batch, const pg_event *ev)
{
    char id[16];
    wb_txn *t = wb_batch_txn(batch);
    int n = snprintf(id, sizeof id, "%u", ev->xid);
    t->id = (wb_str){wb_batch_copy(batch, id, (size_t)n), (size_t)n};
    t->log = WB_STR("bench");
    t->commit_us = ev->commit_us;
}

/* A function of its own, for `callgrind --toggle-collect=pass`. */
__attribute__((noinline)) static void pass(bench *b)
{
    wb_error err;
    pg_event ev, begun = {0};
    pg_frame f;
    wb_batch *batch = wb_batch_loose();
    pg_decoder *d = pg_decoder_new(hook, NULL, 1 << 20);
    if (!batch || !d) die("no memory");
    wb_error_reset(&err);
    b->lines = b->out_bytes = 0;
    for (const char *p = b->bytes; p < b->bytes + b->n;) {
        uint32_t len;
        memcpy(&len, p, sizeof len);
        p += sizeof len;
        if (pg_frame_parse(p, len, &f, &err) != WB_OK) die(err.message);
        if (pg_decode(d, f.body, f.len, f.start, batch, &ev, &err) != WB_OK) die(err.message);
        p += len;
        if (ev.kind == PG_EV_BEGIN) {
            begun = ev;
            pg_decoder_ordinal(d, 0);
            begin_txn(batch, &begun);
        }
        if (!wb_batch_full(batch)) continue;
        drain(b, batch);
        begin_txn(batch, &begun);
    }
    drain(b, batch);
    write_out(b);
    if (b->lines != b->rows) die("rows were lost");
    pg_decoder_free(d);
    wb_batch_unref(batch);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(bench *b, mode what, int runs)
{
    double took[MAX_RUNS], cpu[MAX_RUNS];
    b->what = what;
    for (int i = 0; i < runs; i++) {
        if (what == MODE_FILE && (ftruncate(b->fd, 0) != 0 || lseek(b->fd, 0, SEEK_SET) != 0))
            die("cannot empty the file");
        double from = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
        pass(b);
        took[i] = seconds(CLOCK_MONOTONIC) - from;
        cpu[i] = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    }
    qsort(cpu, (size_t)runs, sizeof cpu[0], by_value);
    qsort(took, (size_t)runs, sizeof took[0], by_value);
    double median = took[runs / 2], rows = (double)b->rows;
    printf("%-7s %7.2f M rows/s, %6.1f ns/row wall (best %.1f, worst %.1f), %6.1f ns/row CPU, %" PRIu64 " bytes out\n",
           mode_names[what], rows / median / 1e6, median / rows * 1e9, took[0] / rows * 1e9,
           took[runs - 1] / rows * 1e9, cpu[runs / 2] / rows * 1e9, b->out_bytes);
    fflush(stdout);
}

static mode mode_of(const char *name)
{
    for (int i = 0; i < MODES; i++)
        if (strcmp(name, mode_names[i]) == 0) return (mode)i;
    die("a mode is decode, record or file");
    return MODES;
}

static void open_format(bench *b)
{
    wb_error err;
    wb_error_reset(&err);
    b->format = (wb_format *)(uintptr_t)&wb_format_record;
    b->ctx = calloc(1, b->format->head.ctx_size + 1);
    wb_arena_init(&b->arena, 4096, 0);
    if (!b->ctx ||
        wb_options_parse(b->format->head.options, b->ctx, NULL, NULL, "format record", &b->arena, &err) != WB_OK ||
        b->format->open(b->ctx, "bench", &err) != WB_OK)
        die(err.message);
}

int main(int argc, char **argv)
{
    static const struct option words[] = {{"rows", 1, NULL, 'r'},         {"runs", 1, NULL, 'n'},
                                          {"file", 1, NULL, 'f'},         {"mode", 1, NULL, 'm'},
                                          {"profile-once", 1, NULL, 'p'}, {0}};
    bench b = {.rows = 2000000, .fd = -1};
    const char *path = "bench_decode.out";
    int runs = 5, from = 0, to = MODES, o;
    while ((o = getopt_long(argc, argv, "", words, NULL)) != -1) {
        if (o == 'r') b.rows = strtoull(optarg, NULL, 10);
        if (o == 'n') runs = (int)strtoul(optarg, NULL, 10);
        if (o == 'f') path = optarg;
        if (o == 'm' || o == 'p') to = 1 + (from = (int)mode_of(optarg));
        if (o == 'p') runs = 1;
        if (o == '?') die("usage: [--rows N] [--runs N] [--file PATH] [--mode MODE] [--profile-once MODE]");
    }
    if (b.rows == 0 || runs < 1 || runs > MAX_RUNS) die("--rows wants 1 or more, --runs 1 to 99");
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) die("cannot stay on one core");
    record_bytes(&b);
    open_format(&b);
    if (to > MODE_FILE && (b.fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_TRUNC, 0600)) < 0)
        die("cannot make the file");
    printf("%" PRIu64 " rows, %.0f bytes a row with its frame\n", b.rows, (double)b.n / (double)b.rows);
    for (int i = from; i < to; i++) measure(&b, (mode)i, runs);
    if (b.fd >= 0) unlink(path);
    b.format->close(b.ctx);
    free(b.ctx);
    wb_arena_fini(&b.arena);
    wb_out_fini(&b.out);
    free(b.bytes);
    return b.check == 1;
}
