/* file.c: the target `file`: one line a change, into a file, a FIFO or standard output. A view is formatted at once and
 * its memory given back; its ticket is answered when the bytes are safe (regular files: after the journal's sync;
 * streams: when they are written). Registered in core/registry.c. */
#include "targets/file.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"

extern const wb_target wb_target_file;

enum { JOURNAL_US = 250000 }; /* with `each`: the journal waits at most so long for a moment without lines */

static const wb_choice fsync_choices[] = {{"each", FILE_EACH, "as soon as nothing more waits to be written"},
                                          {"off", FILE_OFF, "never: a power cut may lose confirmed changes"},
                                          {NULL, 0, NULL}};
static const wb_choice compress_choices[] = {{"none", FILE_PLAIN, NULL},
                                             {"gzip", FILE_GZIP, "gzip members"},
                                             {"zstd", FILE_ZSTD, "zstd frames"},
                                             {NULL, 0, NULL}};

#define AT(field) offsetof(file_target, field)
static const wb_option options[] = {
    {"path", WB_OPT_STRING, AT(path), WB_OPT_REQUIRED, NULL, 0, 0, NULL, "the file; - is standard output",
     "Relative to the pipeline file. A regular file holds every change exactly once: PATH.journal beside it says how "
     "much of "
     "it counts, and at a start the rest is cut off. Standard output, FIFOs and devices are at least once.",
     "shop.jsonl"},
    {"format", WB_OPT_STRING, AT(format), 0, "record", 0, 0, NULL, "how a change becomes a line",
     "See `walbrook help format`.", "row"},
    {"envelope", WB_OPT_BOOL, AT(envelope), 0, "false", 0, 0, NULL, "whole messages instead of their values",
     "A line is {\"topic\":...,\"key\":...,\"value\":...,\"headers\":[[name,value],...]}. Without it a message without "
     "a value "
     "(a tombstone) has no line.",
     NULL},
    {"format_options", WB_OPT_NODE, AT(format_options), 0, NULL, 0, 0, NULL, "options of the format", NULL,
     "{before: true}"},
    {"fsync", WB_OPT_MSEC, AT(fsync_ms), 0, "50ms", 1, 60000, fsync_choices, "how often the file is synced",
     "A line is written as soon as it is there; this says when it is durable, and so when the source may forget it. "
     "With compression lines become readable when they become durable.",
     "each"},
    {"rotate_size", WB_OPT_SIZE, AT(rotate_size), 0, NULL, 0, 0, NULL, "begin a new file from this size on",
     "The old one becomes PATH.YYYYMMDDTHHMMSSZ.NNNNNN and is never touched again. Only between transactions, and not "
     "within a turn of a snapshot (some seconds of it). A copy with `snapshot: only` that is interrupted begins again: "
     "rows in files that were moved away by then come once more, and a warning says so.",
     "1GB"},
    {"rotate_every", WB_OPT_MSEC, AT(rotate_every_ms), 0, NULL, 0, 0, NULL, "begin a new file after this time",
     "By the clock since the file was made; an empty file stays.", "1h"},
    {"compress", WB_OPT_ENUM, AT(compress), 0, "none", 0, 0, compress_choices, "compress the file",
     "A frame or member ends at each sync: with a busy source use a longer `fsync` for a better ratio.", "zstd"},
    {"level", WB_OPT_INT, AT(level), WB_OPT_ADVANCED, "0", 0, 22, NULL, "compression level; 0: the library's usual one",
     "gzip: 1 to 9, zstd: 1 to 22.", NULL},
    {"mode", WB_OPT_STRING, AT(mode_text), WB_OPT_ADVANCED, "0640", 0, 0, NULL, "permissions of a new file, in octal",
     "The process's umask takes away from it.", NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- shared by the parts */

bool file_stopped(file_target *f)
{
    return atomic_load_explicit(&f->interrupted, memory_order_relaxed) || wb_host_stopping(f->host);
}

static void give_back(wb_out *o)
{
    if (o->cap > FILE_KEEP)
        wb_out_fini(o);
    else
        wb_out_reset(o);
}

void file_sent_all(file_target *f)
{
    give_back(file_outgoing(f));
    f->sent = 0;
}

wb_code file_pack(file_target *f, bool end, wb_error *err)
{
    if (!f->packer) return WB_OK;
    wb_code code = file_compress_put(f->packer, f->text.p, f->text.len, &f->packed, err);
    if (code == WB_OK) {
        give_back(&f->text);
        if (end) code = file_compress_end(f->packer, &f->packed, err);
    }
    if (code != WB_OK && err && err->next == WB_RETRY) err->next = WB_RECONNECT; /* half of it may be in the frame */
    return code;
}

void file_answer(file_target *f, size_t n)
{
    for (size_t i = 0; i < n; i++) wb_host_done(f->host, f->pending[i].ticket, NULL);
    f->npending -= n;
    if (n && f->npending) memmove(f->pending, f->pending + n, f->npending * sizeof *f->pending);
}

/* After a failure that a retry cannot mend nothing is written any more: only open knows what counts. */
static wb_code note(file_target *f, wb_code code, wb_error *err)
{
    bool again = code == WB_OK || code == WB_AGAIN || (err && err->next == WB_RETRY);
    f->blocked = code != WB_OK && again;
    if (again) return code;
    if (err)
        f->broken = *err;
    else
        f->broken.code = code;
    return code;
}

static wb_code repeat(const file_target *f, wb_error *err)
{
    if (err && err->code == WB_OK) *err = f->broken;
    return f->broken.code;
}

/* ---------------------------------------------------------------- open and close */

static void file_close(void *ctx)
{
    file_target *f = ctx;
    if (!f->is_open) return;
    f->is_open = false;
    if (f->is_stream)
        file_stream_close(f);
    else
        file_data_close(f);
    wb_formatter_close(&f->formatter);
    file_compress_free(f->packer);
    f->packer = NULL;
    wb_out_fini(&f->text);
    wb_out_fini(&f->packed);
    free(f->pending);
    f->pending = NULL;
    f->npending = f->cap_pending = f->sent = 0;
    f->blocked = f->unsaid = f->open = f->moved_due = false;
    f->unsynced = 0;
    wb_error_reset(&f->broken);
}

/* Standard output and whatever is there and is not a regular file. */
static bool streams(const file_target *f)
{
    struct stat st;
    if (strcmp(f->path, "-") == 0) return true;
    return stat(f->full, &st) == 0 && !S_ISREG(st.st_mode);
}

static wb_code file_open(void *ctx, wb_host *h, wb_open *o, wb_error *err)
{
    file_target *f = ctx;
    file_close(f);
    atomic_store(&f->interrupted, false);
    f->host = h;
    f->is_open = true;
    f->fd = f->journal.fd = -1;
    f->flood = f->rush = false;
    f->piece = FILE_BUFFER;
    wb_code code = file_resolve(f, h, f->full, sizeof f->full, &f->mode, err);
    f->is_stream = code == WB_OK && streams(f);
    if (code == WB_OK) code = wb_formatter_open(&f->formatter, f->format, f->format_options, f->host, err);
    f->ends = code == WB_OK && f->formatter.format->messages;
    f->by_message = f->ends || f->envelope;
    if (code == WB_OK && f->compress != FILE_PLAIN)
        code = file_compress_new(f->compress, (int)f->level, &f->packer, err);
    if (code == WB_OK) code = f->is_stream ? file_stream_open(f, err) : file_data_open(f, o, err);
    if (code != WB_OK) file_close(f);
    return code;
}

/* ---------------------------------------------------------------- write */

/* A key or a value, which JSON formats write as JSON. */
static void put_part(wb_out *o, wb_str s)
{
    if (!s.ptr)
        wb_out_z(o, "null");
    else
        wb_out_str(o, s);
}

static void put_message(file_target *f, const wb_message *m)
{
    wb_out *o = &f->text;
    if (!f->envelope) {
        if (!m->value.ptr) return;
        wb_out_str(o, m->value);
        wb_out_byte(o, '\n');
        return;
    }
    wb_out_z(o, "{\"topic\":");
    wb_json_string_or_null(o, m->topic);
    wb_out_z(o, ",\"key\":");
    put_part(o, m->key);
    wb_out_z(o, ",\"value\":");
    put_part(o, m->value);
    wb_out_z(o, ",\"headers\":[");
    for (size_t i = 0; i < m->nheaders; i++) {
        wb_out_z(o, i ? ",[" : "[");
        wb_json_string(o, m->headers[i].name);
        wb_out_byte(o, ',');
        if (m->headers[i].value.ptr)
            wb_json_string(o, m->headers[i].value);
        else
            wb_out_z(o, "null");
        wb_out_byte(o, ']');
    }
    wb_out_z(o, "]}\n");
}

/* All messages of a change, or of what has none: see wb_format.messages. */
static wb_code put_messages(file_target *f, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    wb_messages list;
    wb_code code = wb_formatter_messages(&f->formatter, txn, c, &list, err);
    for (size_t i = 0; code == WB_OK && i < list.n; i++) put_message(f, &list.items[i]);
    return code;
}

static wb_code put_row(file_target *f, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    size_t start = f->text.len;
    wb_code code = f->formatter.format->row(f->formatter.ctx, txn, c, &f->text, err);
    if (WB_LIKELY(code == WB_OK) && f->text.len != start) wb_out_byte(&f->text, '\n');
    return code;
}

/* What comes after the changes of transactions that have ended; of time. Nothing of it can be poison. */
static wb_code put_end(file_target *f, const wb_txn *txn, wb_error *err)
{
    wb_error why;
    wb_error_reset(&why);
    wb_code code = put_messages(f, txn, NULL, &why);
    if (code == WB_OK && !f->text.failed) return WB_OK;
    if (code == WB_OK)
        code = wb_fail(&why, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the lines of %s.", f->full);
    if (why.next == WB_RETRY) why.next = WB_RECONNECT;
    if (err && err->code == WB_OK) *err = why;
    return code;
}

static wb_code put_ends(file_target *f, const wb_view *v, size_t *from, size_t to, wb_error *err)
{
    wb_code code = WB_OK;
    for (; code == WB_OK && *from < to; ++*from)
        if (v->txns[*from].flags & WB_TXN_END) code = put_end(f, &v->txns[*from], err);
    return code;
}

/* One change as a line. A change that cannot be one goes to the dead letters, if there are any. */
static wb_code put_line(file_target *f, const wb_view *v, wb_ticket t, const wb_change *c, wb_error *err)
{
    wb_error why;
    wb_error_reset(&why);
    size_t start = f->text.len;
    const wb_txn *txn = wb_view_txn(v, c);
    wb_code code = f->by_message ? put_messages(f, txn, c, &why) : put_row(f, txn, c, &why);
    if (WB_LIKELY(code == WB_OK)) {
        if (WB_LIKELY(!f->text.failed)) return WB_OK;
        code = wb_fail(&why, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the lines of %s.", f->full);
    }
    f->text.len = start;
    f->text.failed = false;
    if (why.next == WB_POISON) return wb_host_poison(f->host, t, v, c, &why, err);
    if (why.next == WB_RETRY) why.next = WB_RECONNECT; /* a part of the view is in the buffer already */
    if (err && err->code == WB_OK) *err = why;
    return code;
}

/* A full buffer goes out. What cannot be mended by waiting stops; the rest shows up when the next view comes. */
static wb_code pass_on(file_target *f, wb_error *err)
{
    wb_error mine;
    wb_error_reset(&mine);
    wb_code code = file_pack(f, false, &mine);
    if (code == WB_OK && file_unsent(f) >= f->piece)
        code = f->is_stream ? file_stream_drain(f, FILE_BUFFER, 0, &mine) : file_data_pass(f, &mine);
    if (code == WB_OK || code == WB_AGAIN || mine.next == WB_RETRY) return WB_OK;
    if (err && err->code == WB_OK) *err = mine;
    return code;
}

static wb_code remember(file_target *f, const wb_view *v, wb_ticket t, wb_error *err)
{
    if (v->stand.pos.len > FILE_POS_MAX)
        return wb_fail(err, WB_E_LIMIT, WB_NEVER, "The source's position has %zu bytes; the journal of %s holds %d.",
                       v->stand.pos.len, f->full, FILE_POS_MAX);
    if (f->npending == f->cap_pending) {
        size_t cap = f->cap_pending ? f->cap_pending * 2 : 256;
        file_pending *more = realloc(f->pending, cap * sizeof *more);
        if (!more) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to keep tickets of %s.", f->full);
        f->pending = more;
        f->cap_pending = cap;
    }
    f->pending[f->npending++] = (file_pending){.ticket = t};
    if (v->flags & WB_VIEW_OPEN) return WB_OK; /* its stand is the one that the journal has */
    f->open = false;
    f->next.pos_len = (uint32_t)v->stand.pos.len;
    if (v->stand.pos.len) memcpy(f->next.pos, v->stand.pos.ptr, v->stand.pos.len);
    f->next.ordinal = v->stand.ordinal;
    if (!f->unsaid) f->unsaid_us = wb_mono_us();
    f->unsaid = true;
    return WB_OK;
}

static wb_code accept_view(file_target *f, const wb_view *v, wb_ticket t, wb_error *err)
{
    size_t i = 0, full = f->piece, ended = 0;
    const wb_change *c;
    wb_code code = WB_OK;
    wb_formatter_view(&f->formatter, v);
    while (code == WB_OK && (c = wb_view_next(v, &i)) != NULL) {
        if (f->ends && c->txn > ended) code = put_ends(f, v, &ended, c->txn, err);
        if (WB_LIKELY(code == WB_OK)) code = put_line(f, v, t, c, err);
        if (WB_LIKELY(code != WB_OK || f->text.len < full)) continue;
        code = pass_on(f, err);
        bool went = !f->is_stream && f->text.len < f->piece;
        full = went ? f->piece : f->text.len + f->piece; /* else not again for every line */
    }
    if (code == WB_OK && f->ends) code = put_ends(f, v, &ended, v->ntxns, err);
    if (code == WB_OK && f->ends) code = put_end(f, NULL, err);
    if (code == WB_OK) code = remember(f, v, t, err);
    if (code == WB_OK)
        wb_host_free(f->host, t);
    else if (err && err->next == WB_RETRY)
        err->next = WB_RECONNECT;
    return code;
}

/* While changes keep coming: a sync now and then. `each` gives at most a fifth of the time to syncs then. */
static bool commit_due(file_target *f)
{
    bool much = f->unsynced + f->text.len >= FILE_BUFFER;
    int64_t since = wb_mono_us() - f->committed_us;
    bool whole = f->next.pos_len && !f->next.ordinal && !f->open;
    if (f->rotate_size > 0 && whole && f->end + file_unsent(f) >= (uint64_t)f->rotate_size) return true;
    if (f->fsync_ms == FILE_OFF) return much;
    if (f->fsync_ms == FILE_EACH) return much && since >= 4 * f->commit_took_us;
    return since >= f->fsync_ms * 1000;
}

static wb_code file_write(void *ctx, const wb_view *v, wb_ticket t, wb_error *err)
{
    file_target *f = ctx;
    wb_code code = WB_OK;
    if (f->broken.code != WB_OK) return repeat(f, err);
    if (f->is_stream) {
        if (file_unsent(f) >= FILE_BUFFER || f->blocked) code = file_stream_drain(f, FILE_BUFFER - 1, 200, err);
    } else {
        if (v->flags & WB_VIEW_ABANDON) code = file_data_abandon(f, err);
        if (code == WB_OK && (v->flags & WB_BATCH_RESET))
            code = file_data_begin_snapshot(f, (v->flags & WB_BATCH_AGAIN) != 0, err);
        else if (code == WB_OK && (f->blocked || file_unsent(f) >= f->piece)) /* the last try failed */
            code = file_data_commit(f, err);
        if (code == WB_OK && (v->flags & WB_VIEW_OPEN)) code = file_data_begin_turn(f, err);
    }
    if (code != WB_OK) return note(f, code, err); /* not accepted: the same again later */
    code = accept_view(f, v, t, err);
    if (code != WB_OK) return note(f, code, err);
    wb_error mine;
    wb_error_reset(&mine);
    if (f->is_stream) {
        if (file_unsent(f) + f->text.len >= FILE_BUFFER) {
            code = file_stream_seal(f, &mine);
            if (code == WB_OK) code = file_stream_drain(f, FILE_BUFFER, 0, &mine);
        }
    } else if (commit_due(f)) {
        code = file_data_commit(f, &mine);
    }
    (void)note(f, code, &mine); /* accepted it is: what waiting mends is told at the next call */
    if (f->broken.code != WB_OK) return repeat(f, err);
    return WB_OK;
}

/* ---------------------------------------------------------------- flush */

static wb_code flush_stream(file_target *f, int ms, wb_error *err)
{
    wb_code code = file_stream_seal(f, err);
    if (code == WB_OK) code = file_stream_drain(f, 0, ms < 0 || ms > 200 ? 200 : ms, err);
    return code;
}

/* `each`: lines are synced as they come, their journal when nothing more does: its sync would hold up the next lines.
 */
static bool journal_waits(const file_target *f)
{
    bool quiet = !f->unsynced && !f->text.len && !f->packed.len;
    return !quiet && wb_mono_us() - f->unsaid_us < JOURNAL_US;
}

static wb_code flush_data(file_target *f, int ms, wb_error *err)
{
    if (f->open) return file_data_commit(f, err);
    if (!f->unsaid) return file_rotate_due(f) ? file_rotate(f, err) : WB_OK;
    if (ms >= 0 && f->fsync_ms == FILE_EACH && journal_waits(f)) {
        wb_code code = file_data_sync(f, err);
        return code == WB_OK ? WB_AGAIN : code;
    }
    bool due = ms < 0 || f->fsync_ms < 0 || wb_mono_us() - f->committed_us >= f->fsync_ms * 1000;
    if (due) return file_data_commit(f, err);
    wb_code code = f->packer ? WB_OK : file_data_drain(f, err); /* readable now, durable soon */
    return code == WB_OK ? WB_AGAIN : code;
}

static wb_code file_flush(void *ctx, int ms, wb_error *err)
{
    file_target *f = ctx;
    if (f->broken.code != WB_OK) return repeat(f, err);
    wb_code code = note(f, f->is_stream ? flush_stream(f, ms, err) : flush_data(f, ms, err), err);
    if (code == WB_AGAIN) f->blocked = false;
    return code == WB_OK && f->npending ? WB_AGAIN : code;
}

static wb_code file_reload(void *ctx, wb_error *err)
{
    file_target *f = ctx;
    wb_code code = WB_OK;
    if (f->broken.code != WB_OK) return repeat(f, err);
    if (f->is_stream) {
        if (f->is_stdout) return WB_OK;
        code = file_flush(f, -1, err);
        if (code != WB_OK) return code;
        file_stream_close(f);
        code = file_stream_open(f, err);
        if (code != WB_OK && err && err->next == WB_RETRY) err->next = WB_RECONNECT;
        return note(f, code, err);
    }
    f->moved_due = true;
    return note(f, file_data_commit(f, err), err);
}

static void file_interrupt(void *ctx)
{
    file_target *f = ctx;
    atomic_store(&f->interrupted, true);
}

const wb_target wb_target_file = {
    .head = {.kind = WB_TARGET,
             .name = "file",
             .brief = "lines in a file, a FIFO or on standard output",
             .options = options,
             .ctx_size = sizeof(file_target),
             .version = file_compress_version},
    .caps = WB_TARGET_STANDS,
    .check = file_check,
    .open = file_open,
    .write = file_write,
    .flush = file_flush,
    .reload = file_reload,
    .status = file_status,
    .destination = file_destination,
    .interrupt = file_interrupt,
    .close = file_close,
};
