/* binlog.c: what the hot path of source mysql costs without a server: a binlog in memory to changes, to record lines in
 * memory. One core, median of the runs. The bytes are our own, deterministic, in the shape of the other benchmarks:
 * bigint key, int, varchar of 32, decimal(12,2), datetime(6); 1,000 rows a transaction, events of 8 kB, checksums as a
 * server makes them; or a file that a server wrote. Usage: bench_binlog [--rows N] [--runs N] [--file BINLOG] */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/options.h"
#include "core/batch.h"
#include "formats/formats.h"
#include "sources/mysql/decoder.h"

enum { ROWS_A_TXN = 1000, ROWS_AN_EVENT = 125, MAX_RUNS = 99, ROOM = 1 << 28 };

typedef struct bench {
    const char *bytes;
    size_t n;
    wb_out made;
    uint64_t rows, lines, out_bytes, check;
    bool format_too;
    wb_format *format;
    void *ctx;
    wb_arena arena;
    wb_out out;
} bench;

static void die(const char *what)
{
    fprintf(stderr, "bench_binlog: %s\n", what);
    exit(1);
}

/* ---------------------------------------------------------------- a binlog of our own */

static void le(wb_out *o, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) wb_out_byte(o, (char)(v >> 8 * i & 0xff));
}
static void be(wb_out *o, uint64_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0;) wb_out_byte(o, (char)(v >> 8 * i & 0xff));
}

static void event(wb_out *log, uint8_t type, const wb_out *body)
{
    size_t start = log->len;
    uint32_t length = (uint32_t)(19 + body->len + 4);
    le(log, 1700000000, 4);
    wb_out_byte(log, (char)type);
    le(log, 1, 4);
    le(log, length, 4);
    le(log, (start + length) & 0xffffffff, 4);
    le(log, 0, 2);
    wb_out_put(log, body->p, body->len);
    le(log, crc32_z(0, (const Bytef *)log->p + start, log->len - start), 4);
}

static void put_row(wb_out *o, uint64_t id, uint64_t *seed)
{
    static const char hex[] = "0123456789abcdef";
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    uint64_t r = *seed;
    wb_out_byte(o, (char)0xe0);
    le(o, id, 8);
    le(o, r % 1000000, 4);
    wb_out_byte(o, 32);
    for (int i = 0; i < 32; i++) wb_out_byte(o, hex[(r >> 2 * i) & 15]);
    be(o, 0x8000000000 | (r % 99999), 5);
    wb_out_byte(o, (char)(r % 100));
    uint64_t s = id / 100;
    be(o,
       0x8000000000 | (uint64_t)(2026 * 13 + 11) << 22 | 21 << 17 | (s / 3600 % 24) << 12 | (s / 60 % 60) << 6 | s % 60,
       5);
    be(o, r % 1000000, 3);
}

static void put_format(wb_out *b)
{
    char version[50] = "9.7.0";
    le(b, 4, 2);
    wb_out_put(b, version, sizeof version);
    le(b, 1700000000, 4);
    wb_out_byte(b, 19);
    for (int t = 1; t < 43; t++) wb_out_byte(b, t == 2 ? 13 : t == 19 || (t >= 23 && t <= 32) ? 8 : 0);
    wb_out_byte(b, 1);
}

static void put_map(wb_out *b)
{
    static const char meta[] = {'\x80', 0, 12, 2, 6};
    static const char types[] = {8, 3, 15, '\xf6', 18};
    le(b, 99, 6);
    le(b, 1, 2);
    wb_out_put(b, "\5bench\0\1t\0\5", 11);
    wb_out_put(b, types, sizeof types);
    wb_out_byte(b, sizeof meta);
    wb_out_put(b, meta, sizeof meta);
    wb_out_byte(b, 0x1e);
    wb_out_put(b, "\1\1\0\2\1\x2d\4\x13\2id\1n\4name\5price\2at\10\1\0", 30);
}

static void make_log(bench *b)
{
    wb_out body = {0}, *log = &b->made;
    uint64_t seed = 88172645463325252u;
    wb_out_put(log,
               "\xfe"
               "bin",
               4);
    put_format(&body);
    event(log, 15, &body);
    for (uint64_t id = 0; id < b->rows;) {
        wb_out_reset(&body);
        wb_out_put(&body, "\0\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 17);
        le(&body, id / ROWS_A_TXN + 1, 8);
        event(log, 33, &body);
        wb_out_reset(&body);
        wb_out_put(&body, "\7\0\0\0\0\0\0\0\5\0\0\0\0bench\0BEGIN", 24);
        event(log, 2, &body);
        wb_out_reset(&body);
        put_map(&body);
        event(log, 19, &body);
        for (uint64_t stop = WB_MIN(id + ROWS_A_TXN, b->rows); id < stop;) {
            wb_out_reset(&body);
            le(&body, 99, 6);
            wb_out_put(&body, "\1\0\2\0\5\xff", 6);
            for (int i = 0; i < ROWS_AN_EVENT && id < stop; i++) put_row(&body, ++id, &seed);
            event(log, 30, &body);
        }
        wb_out_reset(&body);
        le(&body, id, 8);
        event(log, 16, &body);
    }
    if (log->failed || body.failed) die("no memory");
    wb_out_fini(&body);
    b->bytes = log->p;
    b->n = log->len;
}

static void map_file(bench *b, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) die("cannot open the file");
    b->n = (size_t)st.st_size;
    b->bytes = mmap(NULL, b->n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (b->bytes == MAP_FAILED) die("cannot map the file");
}

/* ---------------------------------------------------------------- one run */

static void drain(bench *b, wb_batch *batch)
{
    wb_error err;
    wb_error_reset(&err);
    for (size_t i = 0; i < batch->nchanges; i++) {
        const wb_change *c = &batch->changes[i];
        if (!b->format_too) {
            b->check += c->ordinal;
            continue;
        }
        if (b->format->row(b->ctx, &batch->txns[c->txn], c, &b->out, &err) != WB_OK) die(err.message);
        wb_out_byte(&b->out, '\n');
        if (b->out.len < 250000) continue;
        b->out_bytes += b->out.len;
        wb_out_reset(&b->out);
    }
    b->lines += batch->nchanges;
    wb_batch_clear(batch);
}

static void begin_txn(wb_batch *batch, const my_event *ev)
{
    char gtid[MY_GTID_TEXT];
    wb_txn *t = wb_batch_txn(batch);
    size_t n = my_gtid_text(&ev->gtid, gtid);
    t->global_id = (wb_str){wb_batch_copy(batch, gtid, n), n};
    t->log = WB_STR("binlog.000001");
    t->commit_us = ev->commit_us;
}

static void deliver(bench *b, my_decoder *d, wb_batch *batch)
{
    wb_error err;
    my_event ev, begun = {0};
    wb_error_reset(&err);
    do {
        if (my_decoder_next(d, batch, ROOM, &ev, &err) != WB_OK) die(err.message);
        if (ev.kind == MY_EV_BEGIN) {
            begun = ev;
            begin_txn(batch, &begun);
        }
        if (!wb_batch_full(batch)) continue;
        drain(b, batch);
        begin_txn(batch, &begun);
    } while (ev.kind != MY_EV_COMMIT);
}

/* A function of its own, for `callgrind --toggle-collect=pass`. */
__attribute__((noinline)) static void pass(bench *b)
{
    wb_error err;
    my_event ev;
    my_header h;
    my_options o = {.stable = true};
    wb_batch *batch = wb_batch_loose();
    my_decoder *d = my_decoder_new(NULL, &o);
    if (!batch || !d) die("no memory");
    wb_error_reset(&err);
    b->lines = b->out_bytes = 0;
    for (size_t at = MY_FIRST_EVENT; b->n - at >= MY_HEADER_LEN; at += h.length) {
        if (my_header_read(b->bytes + at, b->n - at, &h, &err) != WB_OK) die(err.message);
        if (h.length > b->n - at) break;
        if (my_decoder_feed(d, b->bytes + at, h.length, &ev, &err) != WB_OK) die(err.message);
        if (ev.kind == MY_EV_GROUP) deliver(b, d, batch);
    }
    drain(b, batch);
    b->out_bytes += b->out.len;
    wb_out_reset(&b->out);
    my_decoder_free(d);
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

static void measure(bench *b, const char *name, int runs)
{
    double took[MAX_RUNS], cpu[MAX_RUNS];
    for (int i = 0; i < runs; i++) {
        double from = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
        pass(b);
        took[i] = seconds(CLOCK_MONOTONIC) - from;
        cpu[i] = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    }
    qsort(took, (size_t)runs, sizeof *took, by_value);
    qsort(cpu, (size_t)runs, sizeof *cpu, by_value);
    double rows = (double)b->lines;
    printf("%-7s %6.2f M rows/s  %5.1f ns/row  %5.1f ns/row CPU  %.0f bytes out a row\n", name,
           rows / took[runs / 2] / 1e6, took[runs / 2] / rows * 1e9, cpu[runs / 2] / rows * 1e9,
           (double)b->out_bytes / rows);
}

int main(int argc, char **argv)
{
    static const struct option words[] = {{"rows", 1, NULL, 'r'}, {"runs", 1, NULL, 'n'}, {"file", 1, NULL, 'f'}, {0}};
    bench b = {.rows = 2000000, .format = (wb_format *)(uintptr_t)&wb_format_record};
    const char *path = NULL;
    int runs = 5, o;
    while ((o = getopt_long(argc, argv, "", words, NULL)) != -1) {
        if (o == 'r') b.rows = strtoull(optarg, NULL, 10);
        if (o == 'n') runs = (int)strtoul(optarg, NULL, 10);
        if (o == 'f') path = optarg;
        if (o == '?') die("usage: [--rows N] [--runs N] [--file BINLOG]");
    }
    if (b.rows == 0 || runs < 1 || runs > MAX_RUNS) die("--rows wants 1 or more, --runs 1 to 99");
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) die("cannot stay on one core");
    if (path)
        map_file(&b, path);
    else
        make_log(&b);
    wb_error err;
    wb_error_reset(&err);
    b.ctx = calloc(1, b.format->head.ctx_size + 1);
    wb_arena_init(&b.arena, 4096, 0);
    if (!b.ctx ||
        wb_options_parse(b.format->head.options, b.ctx, NULL, NULL, "format record", &b.arena, &err) != WB_OK ||
        b.format->open(b.ctx, "bench", &err) != WB_OK)
        die(err.message);
    measure(&b, "decode", runs);
    if (!path && b.lines != b.rows) die("rows were lost");
    b.format_too = true;
    measure(&b, "record", runs);
    b.format->close(b.ctx);
    free(b.ctx);
    wb_arena_fini(&b.arena);
    wb_out_fini(&b.out);
    wb_out_fini(&b.made);
    return b.check == 1;
}
