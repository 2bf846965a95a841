/* files.c: the source `binlog`: log files that lie somewhere, or come through a pipe, without a server. What
 * `walbrook decode` reads; `run` takes it too. A position is a file's number in the list and an offset. */
#include "files.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "event.h"

enum { PART = 512 * 1024 };

#define AT(field) offsetof(my_files, field)
static const wb_choice zero_dates[] = {
    {"text", MY_ZERO_TEXT, "as the text 0000-00-00"}, {"null", MY_ZERO_NULL, "as NULL"}, {0}};
static const wb_choice bad_text[] = {
    {"refuse", MY_TEXT_REFUSE, "stop and say where"}, {"replace", MY_TEXT_REPLACE, "U+FFFD in their place"}, {0}};
static const wb_option options[] = {
    {"files", WB_OPT_LIST, AT(files), WB_OPT_REQUIRED, NULL, 0, 0, NULL,
     "binlog files in their order, or - for standard input",
     "Plain, gzip or zstd; a pipe may begin in the middle of a file.", "[binlog.000041, binlog.000042.gz]"},
    {"tables", WB_OPT_LIST, AT(tables), 0, NULL, 0, 0, NULL, "which tables; default: all", NULL,
     "[shop.*, \"!shop.audit_*\"]"},
    {"start", WB_OPT_STRING, AT(start), 0, NULL, 0, 0, NULL, "the first transaction: a place, a time or a GTID",
     "binlog.000042:1234, 1234 (in the first file), \"2024-06-01 12:00:00\" (UTC), 0-1-100.", NULL},
    {"stop", WB_OPT_STRING, AT(stop), 0, NULL, 0, 0, NULL,
     "the end: a place or a time (whose transaction is left out), or the GTID of the last one", NULL, NULL},
    {"schema", WB_OPT_STRING, AT(schema), WB_OPT_URL, NULL, 0, 0, NULL,
     "who knows the columns of tables, for logs without binlog_row_metadata = FULL",
     "A schema dump (mysqldump --no-data, mariadb-dump --no-data), the state folder of a pipeline that reads the "
     "server, or the url of a server that has the tables. Used where the log itself does not say more.",
     "schema.sql"},
    {"zero_dates", WB_OPT_ENUM, AT(zero_dates), 0, "text", 0, 0, zero_dates,
     "what becomes of 0000-00-00 and 2024-00-15", NULL, NULL},
    {"bad_text", WB_OPT_ENUM, AT(bad_text), 0, "refuse", 0, 0, bad_text, "bytes that are not of the column's charset",
     NULL, NULL},
    {"query", WB_OPT_BOOL, AT(query), 0, "false", 0, 0, NULL, "rows know the statement that made them",
     "As of the source mysql: where the log has it, and for formats that tell it.", NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- positions: number of the file, offset, its name */

static bool read_pos(wb_pos pos, uint32_t *file, uint64_t *offset)
{
    const uint8_t *p = pos.ptr;
    if (pos.len < MY_FILES_POS) return false;
    *file = 0;
    *offset = 0;
    for (int i = 0; i < 4; i++) *file = *file << 8 | p[i];
    for (int i = 4; i < MY_FILES_POS; i++) *offset = *offset << 8 | p[i];
    return true;
}

static int files_compare(wb_pos a, wb_pos b)
{
    int c = a.len < MY_FILES_POS || b.len < MY_FILES_POS ? (a.len > b.len) - (a.len < b.len)
                                                         : memcmp(a.ptr, b.ptr, MY_FILES_POS);
    return (c > 0) - (c < 0);
}

static bool files_holds(wb_pos pos, const wb_txn *txn) { return files_compare(txn->at, pos) < 0; }

static void files_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    wb_pos least = files_compare(a, b) <= 0 ? a : b;
    *len = least.len <= cap ? least.len : 0;
    if (*len) memcpy(out, least.ptr, *len);
}

static size_t files_render(wb_pos pos, char *out, size_t cap)
{
    uint32_t file;
    uint64_t offset;
    if (!read_pos(pos, &file, &offset)) return (size_t)snprintf(out, cap, "nowhere");
    int n = snprintf(out, cap, "%.*s:%" PRIu64, (int)(pos.len - MY_FILES_POS), (const char *)pos.ptr + MY_FILES_POS,
                     offset);
    return WB_MIN((size_t)n, cap ? cap - 1 : 0);
}

/* ---------------------------------------------------------------- hooks of the decoder */

static void notice(void *arg, const char *text)
{
    my_files *s = arg;
    wb_host_log(s->host, WB_LOG_WARN, "%s", text);
}

static void passed(void *arg, const void *p)
{
    my_files *s = arg;
    my_input_passed(&s->in, p);
}

/* ---------------------------------------------------------------- files */

/* The format of the file, as a server sends it to whoever begins in the middle: made for us, of no place. */
static wb_code feed_format(my_files *s, const uint8_t *p, size_t n, wb_error *err)
{
    uint8_t *copied = malloc(n);
    my_event ev = {.kind = MY_EV_NOTHING};
    if (!copied) return my_files_nomem(err);
    memcpy(copied, p, n);
    memset(copied + 13, 0, 4); /* log_pos */
    copied[17] = 0x20;         /* artificial */
    copied[18] = 0;
    if (n > MY_HEADER_LEN + 8 && copied[n - 5] == 1) { /* checksums: CRC32 */
        uint32_t crc = (uint32_t)crc32(0, copied, (uInt)(n - 4));
        for (int i = 0; i < 4; i++) copied[n - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
    }
    wb_code code = my_decoder_feed(s->decoder, copied, n, &ev, err);
    free(copied);
    return code;
}

/* WB_END: the file ends within it. */
static wb_code next_header(my_files *s, int ms, const uint8_t **p, my_header *h, wb_error *err)
{
    size_t have;
    wb_code code = my_input_peek(&s->in, MY_HEADER_LEN, ms, p, &have, err);
    if (code != WB_OK) return code;
    if (have < MY_HEADER_LEN) return WB_END;
    code = my_header_read(*p, have, h, err);
    if (code != WB_OK) {
        wb_hint(err, "%s at byte %" PRIu64 ": no event begins there. A start must be where an event begins.",
                s->in.name, s->in.offset);
    }
    return code;
}

/* All of it, after its header. WB_END: the file ends within the event. */
static wb_code rest_of(my_files *s, int ms, const uint8_t **p, const my_header *h, wb_error *err)
{
    size_t have;
    wb_code code = my_input_peek(&s->in, h->length, ms, p, &have, err);
    return code == WB_OK && have < h->length ? WB_END : code;
}

static wb_code next_event(my_files *s, int ms, const uint8_t **p, my_header *h, wb_error *err)
{
    wb_code code = next_header(s, ms, p, h, err);
    return code == WB_OK ? rest_of(s, ms, p, h, err) : code;
}

/* To the offset where the start is, after the format that tells how to read what is there. */
static wb_code go_to(my_files *s, uint64_t offset, wb_error *err)
{
    const uint8_t *p;
    my_header h;
    wb_code code = next_event(s, 1000, &p, &h, err);
    my_decoder_start(s->decoder, (wb_str){s->in.name, strlen(s->in.name)}, offset, true);
    if (code == WB_OK && h.type == 15) code = feed_format(s, p, h.length, err);
    if (code != WB_OK) return code == WB_END || code == WB_AGAIN ? WB_OK : code;
    if (my_input_seek(&s->in, offset)) return WB_OK;
    if (s->in.map) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s has %zu bytes; it cannot be read from byte %" PRIu64 ".", s->in.path,
                s->in.map_len, offset);
        return WB_E_CONFIG;
    }
    while (s->in.offset < offset) {
        code = next_event(s, 1000, &p, &h, err);
        if (code == WB_AGAIN && !wb_host_stopping(s->host)) continue;
        if (code != WB_OK) return code == WB_END ? WB_OK : code;
        my_input_skip(&s->in, h.length);
    }
    return WB_OK;
}

/* The rest of a file, through a pipe. */
static wb_code begin_part(my_files *s, wb_error *err)
{
    const uint8_t *p;
    size_t have;
    uint8_t format[MY_PART_FORMAT];
    my_event ev = {.kind = MY_EV_NOTHING};
    my_header h = {0};
    wb_code code;
    do code = my_input_peek(&s->in, MY_PART_LOOK, 1000, &p, &have, err);
    while (code == WB_AGAIN && !wb_host_stopping(s->host));
    if (code != WB_OK) return code;
    size_t n = my_part_format(p, have, format);
    if (have < MY_HEADER_LEN || my_header_read(p, have, &h, err) != WB_OK || !n) {
        wb_fail(err, WB_E_DATA, WB_NEVER, "%s is no binlog: it begins neither with \\xfe\"bin\" nor with an event.",
                s->in.path);
        wb_hint(err, "A part of a file must begin where an event begins.");
        return WB_E_DATA;
    }
    s->in.offset = h.log_pos > h.length ? h.log_pos - h.length : 0;
    my_decoder_start(s->decoder, wb_str_of(s->in.name), s->in.offset, true);
    return my_decoder_feed(s->decoder, format, n, &ev, err);
}

static wb_code open_file(my_files *s, wb_error *err)
{
    char path[4096];
    const uint8_t *p;
    size_t have;
    const char *name = s->files.items[s->file];
    wb_code code = strcmp(name, "-") == 0 ? WB_OK : wb_host_path(s->host, name, path, sizeof path, err);
    if (code == WB_OK) code = my_input_open(&s->in, strcmp(name, "-") == 0 ? "-" : path, err);
    if (code != WB_OK) return code;
    s->open = true;
    if (!my_files_before(s, NULL)) return my_files_nomem(err);
    do code = my_input_peek(&s->in, MY_HEADER_LEN, 1000, &p, &have, err);
    while (code == WB_AGAIN && !wb_host_stopping(s->host));
    if (code != WB_OK) return code;
    if (have == 0) return WB_OK;
    bool magic = have >= MY_MAGIC_LEN && (p[0] == 0xfe || p[0] == 0xfd) && memcmp(p + 1, "bin", 3) == 0;
    wb_str log = {s->in.name, strlen(s->in.name)};
    if (!magic && strcmp(name, "-") != 0 && !s->in.unpack) {
        wb_fail(err, WB_E_DATA, WB_NEVER, "%s is no binlog: it does not begin with \\xfe\"bin\".", path);
        wb_hint(err, "A part of a file can come through standard input: tail -c +1235 %s | walbrook decode -", name);
        return WB_E_DATA;
    }
    if (!magic) return begin_part(s, err);
    code = my_magic_check(p, have, err);
    if (code != WB_OK) return code;
    my_input_skip(&s->in, MY_MAGIC_LEN);
    my_decoder_start(s->decoder, log, MY_FIRST_EVENT, s->file > 0);
    return s->first > MY_FIRST_EVENT ? go_to(s, s->first, err) : WB_OK;
}

/* The end of the input. A log that is being written may end anywhere, any other one not. */
static wb_code end_of_file(my_files *s, size_t left, wb_error *err)
{
    bool torn = left > 0 || my_decoder_in_group(s->decoder);
    if (torn && (s->in_use || strcmp(s->in.name, "-") == 0)) {
        wb_host_log(s->host, WB_LOG_WARN,
                    "%s ends within a transaction, at byte %" PRIu64 "; the beginning of it is left out", s->in.path,
                    s->in.offset + left);
    } else if (torn) {
        wb_fail(err, WB_E_DATA, WB_NEVER, "%s ends within %s, at byte %" PRIu64 ".", s->in.path,
                left ? "an event" : "a transaction", s->in.offset + left);
        wb_hint(err, "The file was cut. Everything before that transaction was decoded.");
        return WB_E_DATA;
    }
    wb_code code = my_files_flush(s, err);
    my_input_close(&s->in);
    s->open = false;
    s->first = 0;
    s->file++;
    return code;
}

static bool stops_here(const my_files *s)
{
    const my_bound *b = &s->to;
    if (b->kind != MY_BOUND_PLACE || my_decoder_in_group(s->decoder)) return false;
    bool here = b->log.len ? wb_str_is(b->log, s->in.name) : s->file + 1 == s->files.n;
    return here && s->in.offset >= b->offset;
}

/* A large event of what is not mapped, piece by piece. */
static wb_code read_part(my_files *s, int ms, wb_error *err)
{
    const uint8_t *p;
    size_t have, n = (size_t)WB_MIN(s->part_left, (uint64_t)PART);
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = my_input_peek(&s->in, n, ms, &p, &have, err);
    if (code != WB_OK) return code;
    if (have < n) return end_of_file(s, have, err);
    code = my_decoder_part(s->decoder, p, n, n == s->part_left, &ev, err);
    if (code != WB_OK) return code;
    my_input_skip(&s->in, n);
    s->part_left -= n;
    s->in_group = ev.kind == MY_EV_GROUP;
    s->need = 0;
    return WB_OK;
}

static wb_code read_event(my_files *s, int ms, wb_error *err)
{
    const uint8_t *p;
    my_header h;
    if (s->part_left) return read_part(s, ms, err);
    if (stops_here(s)) {
        s->ended = true;
        return WB_OK;
    }
    wb_code code = next_header(s, ms, &p, &h, err);
    if (code == WB_OK && !s->in.map && h.length > PART && my_type_in_parts(h.type)) {
        s->part_left = h.length;
        return WB_OK;
    }
    if (code == WB_OK) code = rest_of(s, ms, &p, &h, err);
    if (code == WB_END) {
        size_t have = 0;
        code = my_input_peek(&s->in, MY_HEADER_LEN, ms, &p, &have, err);
        return code == WB_OK ? end_of_file(s, have, err) : code;
    }
    if (code != WB_OK) return code;
    if (h.type == 15) s->in_use = h.flags & 1;
    my_event ev = {.kind = MY_EV_NOTHING};
    code = my_decoder_feed(s->decoder, p, h.length, &ev, err);
    if (code != WB_OK) return code;
    my_input_skip(&s->in, h.length);
    if (ev.kind == MY_EV_PREVIOUS && !my_files_before(s, ev.set)) return my_files_nomem(err);
    if (ev.kind == MY_EV_GROUP) {
        s->in_group = true;
        s->need = 0;
    }
    if (s->in.map && s->in.offset - s->in.forgotten > ((size_t)16 << 20)) my_input_forget(&s->in);
    return WB_OK;
}

/* Everything is read, or the stop was reached. */
static wb_code finish(my_files *s, wb_error *err)
{
    wb_code code = my_files_flush(s, err);
    if (code != WB_OK) return code;
    if (!s->begun && s->from.kind != MY_BOUND_TIME)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "start: no transaction with the GTID %s is in these files.",
                       s->from.text);
    if (!s->ended && s->to.kind == MY_BOUND_GTID)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "stop: no transaction with the GTID %s is in these files.",
                       s->to.text);
    uint64_t skipped = my_decoder_skipped(s->decoder);
    if (skipped)
        wb_host_log(s->host, WB_LOG_WARN, "%llu events of types that are not known were left out, as the log allows",
                    (unsigned long long)skipped);
    for (size_t i = 0; i < my_decoder_prepared(s->decoder); i++) {
        wb_str xa, log;
        uint64_t start;
        my_gtid gtid;
        if (my_decoder_prepared_at(s->decoder, i, &xa, &log, &start, &gtid))
            wb_host_log(s->host, WB_LOG_WARN,
                        "XA transaction %.*s, prepared at %.*s:%" PRIu64 ", is not decided in these files and left out",
                        (int)xa.len, xa.ptr, (int)log.len, log.ptr, start);
    }
    return WB_END;
}

static wb_code turn(my_files *s, int ms, wb_error *err)
{
    if (s->in_group) return my_files_step(s, err);
    if (s->ended || (!s->open && s->file >= s->files.n)) return finish(s, err);
    if (!s->open) return open_file(s, err);
    wb_code code = read_event(s, ms, err);
    if (code == WB_AGAIN && s->batch) { /* a pipe is silent: what is there goes on */
        code = my_files_flush(s, err);
        return code == WB_OK ? WB_AGAIN : code;
    }
    return code;
}

static wb_code files_read(void *ctx, int ms, wb_error *err)
{
    my_files *s = ctx;
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (uint32_t i = 1;; i++) {
        wb_code code = turn(s, ms, err);
        if (code >= WB_E_CONFIG) { /* what was decoded before it is delivered */
            wb_error ignored = {0};
            if (err && err->next == WB_RESNAPSHOT) err->next = WB_NEVER; /* files have nothing to copy */
            (void)!my_files_flush(s, &ignored);
        }
        if (code == WB_AGAIN && s->in_group) { /* no budget */
            struct pollfd fd = {wb_host_fd(s->host), POLLIN, 0};
            if (poll(&fd, 1, ms) > 0) wb_host_fd_clear(s->host);
        }
        if (code != WB_OK) return code;
        if ((i & 255) == 0 && (wb_host_stopping(s->host) || wb_mono_us() >= until)) return WB_OK;
    }
}

/* ---------------------------------------------------------------- open, close */

/* Which file the start is in. */
static wb_code find_start(my_files *s, wb_error *err)
{
    s->begun = s->from.kind == MY_BOUND_NONE || s->from.kind == MY_BOUND_PLACE;
    if (s->from.kind != MY_BOUND_PLACE) return WB_OK;
    s->first = s->from.offset;
    if (!s->from.log.len) return WB_OK;
    for (s->file = 0; s->file < s->files.n; s->file++) {
        my_input named = {.fd = -1};
        (void)snprintf(named.path, sizeof named.path, "%s", s->files.items[s->file]);
        my_input_name(&named);
        if (wb_str_is(s->from.log, named.name)) return WB_OK;
    }
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "start: none of the files is %.*s.", (int)s->from.log.len,
                   s->from.log.ptr);
}

static void files_close(void *ctx)
{
    my_files *s = ctx;
    if (s->batch && s->host) wb_host_drop(s->host, s->batch);
    my_decoder_free(s->decoder);
    if (s->open || s->in.fd > 0) my_input_close(&s->in);
    if (s->spool) (void)close(s->spool - 1);
    if (s->has_shapes) my_shapes_fini(&s->shapes);
    my_history_free(s->history);
    my_gtid_set_free(s->set);
    if (s->host) wb_arena_fini(&s->arena);
    memset(&s->host, 0, sizeof *s - offsetof(my_files, host));
}

static wb_code files_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err)
{
    my_files *s = ctx;
    files_close(s);
    s->host = h;
    wb_arena_init(&s->arena, 4096, 0);
    wb_code code = wb_patterns_new(&s->tables, &s->arena, &s->patterns, err);
    if (code == WB_OK) code = my_bound_read(s->start, "start", &s->from, err);
    if (code == WB_OK) code = my_bound_read(s->stop, "stop", &s->to, err);
    if (code == WB_OK) code = my_files_know(s, err);
    if (code == WB_OK) code = find_start(s, err);
    if (code != WB_OK) return code;
    bool pipe = false;
    for (size_t i = 0; i < s->files.n; i++) pipe = pipe || strcmp(s->files.items[i], "-") == 0;
    const my_hooks hooks = {.arg = s,
                            .wanted = my_files_wanted,
                            .table = my_files_columns,
                            .spool_write = my_files_spool_write,
                            .spool_read = my_files_spool_read,
                            .spool_empty = my_files_spool_empty,
                            .passed = passed,
                            .notice = notice};
    const my_options o = {.max_row = (size_t)wb_host_max_row(h),
                          .kept = true,
                          .query = s->query,
                          .partial_start = pipe || s->from.kind == MY_BOUND_PLACE,
                          .unknown_xa = MY_UNKNOWN_SKIP,
                          .policy = {(my_zero_dates)s->zero_dates, (my_bad_text)s->bad_text}};
    s->decoder = my_decoder_new(&hooks, &o);
    if (!s->decoder) return my_files_nomem(err);
    uint64_t offset = 0;
    if (resume->pos.len && read_pos(resume->pos, &s->file, &offset)) {
        s->first = offset;
        s->begun = true;
    }
    return WB_OK;
}

static wb_code files_settle(void *ctx, wb_pos pos, wb_error *err)
{
    WB_UNUSED(ctx);
    WB_UNUSED(pos);
    WB_UNUSED(err);
    return WB_OK;
}

static void files_interrupt(void *ctx) { WB_UNUSED(ctx); } /* reads wait for 100 ms at the most */

const wb_source wb_source_binlog = {
    .head = {.kind = WB_SOURCE,
             .name = "binlog",
             .brief = "binlog files of MySQL and MariaDB, without a server",
             .options = options,
             .ctx_size = sizeof(my_files)},
    .open = files_open,
    .read = files_read,
    .settle = files_settle,
    .holds = files_holds,
    .compare = files_compare,
    .meet = files_meet,
    .render = files_render,
    .interrupt = files_interrupt,
    .close = files_close,
};
