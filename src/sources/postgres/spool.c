/* spool.c: see spool.h. Used by source.c. The messages of one transaction come in runs, so one write buffer, which
 * belongs to the transaction that is being appended to, serves all of them whatever their number. */
#include "spool.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/io.h"
#include "xidset.h"

enum { WRITE_BUFFER = 256 * 1024, READ_BUFFER = 256 * 1024 };

typedef struct head {
    uint32_t len, subxid;
    uint64_t place, seq;
} head;

typedef struct spool {
    uint32_t xid;
    int fd;           /* -1: nothing written yet    */
    uint64_t written; /* bytes in the file          */
    pg_xidset aborted;
    struct spool *next;
} spool;

struct pg_spools {
    char *dir;
    uint64_t limit, bytes;
    size_t count;
    spool *open;  /* those appended to, last used first */
    spool *owner; /* of the write buffer; NULL: empty   */
    size_t fill;
    char buffer[WRITE_BUFFER];
};

struct pg_spool_reader {
    pg_spools *all;
    spool *s;    /* NULL: empty */
    uint64_t at; /* file offset of the end of the buffer */
    size_t pos, end, cap;
    char *buffer;
};

static const char spool_path[] = "the spool of a streamed transaction";

/* ---------------------------------------------------------------- the set */

pg_spools *pg_spools_new(const char *dir, uint64_t limit)
{
    pg_spools *s = malloc(sizeof *s);
    if (!s) return NULL;
    memset(s, 0, offsetof(pg_spools, buffer));
    s->limit = limit;
    s->dir = strdup(dir);
    if (s->dir) return s;
    free(s);
    return NULL;
}

/* The one of xid, moved to the front; NULL: none. */
static spool *find(pg_spools *s, uint32_t xid)
{
    for (spool **p = &s->open; *p; p = &(*p)->next) {
        spool *one = *p;
        if (one->xid != xid) continue;
        *p = one->next;
        one->next = s->open;
        s->open = one;
        return one;
    }
    return NULL;
}

static spool *find_or_new(pg_spools *s, uint32_t xid)
{
    if (WB_LIKELY(s->open && s->open->xid == xid)) return s->open;
    spool *one = find(s, xid);
    if (one) return one;
    one = calloc(1, sizeof *one);
    if (!one) return NULL;
    one->xid = xid;
    one->fd = -1;
    one->next = s->open;
    s->open = one;
    s->count++;
    return one;
}

/* It is no longer in the list. */
static void spool_free(pg_spools *s, spool *one)
{
    s->bytes -= one->written;
    if (s->owner == one) {
        s->bytes -= s->fill;
        s->owner = NULL;
        s->fill = 0;
    }
    if (one->fd >= 0) close(one->fd);
    pg_xidset_fini(&one->aborted);
    free(one);
    s->count--;
}

void pg_spools_drop(pg_spools *s)
{
    while (s->open) {
        spool *one = s->open;
        s->open = one->next;
        spool_free(s, one);
    }
}

void pg_spools_free(pg_spools *s)
{
    if (!s) return;
    pg_spools_drop(s);
    free(s->dir);
    free(s);
}

size_t pg_spools_count(const pg_spools *s) { return s->count; }
uint64_t pg_spools_bytes(const pg_spools *s) { return s->bytes; }

/* ---------------------------------------------------------------- appending */

static wb_code write_out(pg_spools *s, spool *one, const void *p, size_t n, wb_error *err)
{
    wb_code code;
    if (one->fd < 0 && (code = wb_io_temp(s->dir, &one->fd, err)) != WB_OK) return code;
    if ((code = wb_io_write(one->fd, p, n, spool_path, err)) != WB_OK) return code;
    one->written += n;
    return WB_OK;
}

static wb_code flush(pg_spools *s, wb_error *err)
{
    if (!s->owner) return WB_OK;
    wb_code code = write_out(s, s->owner, s->buffer, s->fill, err);
    if (code != WB_OK) return code;
    s->owner = NULL;
    s->fill = 0;
    return WB_OK;
}

static wb_code fail_limit(const pg_spools *s, wb_error *err)
{
    wb_code code =
        wb_fail(err, WB_E_LIMIT, WB_RECONNECT,
                "%zu open transactions that the server streams take more than spool_limit allows (%llu bytes).",
                s->count, (unsigned long long)s->limit);
    wb_hint(err,
            "Without streaming the server keeps them itself until they commit. Raise spool_limit to have them here.");
    return code;
}

wb_code pg_spool_append(pg_spools *s, uint32_t xid, uint32_t subxid, uint64_t place, uint64_t seq, const void *p,
                        size_t n, wb_error *err)
{
    head h = {.len = (uint32_t)n, .subxid = subxid, .place = place, .seq = seq};
    wb_code code;
    int fault = WB_FAULT("spool.append");
    if (fault) return wb_fail_errno(err, fault, "Cannot write to %s", spool_path);
    if (n > UINT32_MAX)
        return wb_fail(err, WB_E_LIMIT, WB_NEVER, "A message of %zu bytes is too large to be spooled.", n);
    spool *one = find_or_new(s, xid);
    if (!one) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the spool of a transaction.");
    if (s->limit && s->bytes + sizeof h + n > s->limit) return fail_limit(s, err);
    if (s->owner != one || sizeof h + n > WRITE_BUFFER - s->fill) {
        if ((code = flush(s, err)) != WB_OK) return code;
        s->owner = one;
    }
    memcpy(s->buffer + s->fill, &h, sizeof h);
    s->fill += sizeof h;
    s->bytes += sizeof h;
    if (n > WRITE_BUFFER - sizeof h) { /* it would not fit an empty buffer either */
        if ((code = flush(s, err)) != WB_OK || (code = write_out(s, one, p, n, err)) != WB_OK) return code;
    } else {
        if (n) memcpy(s->buffer + s->fill, p, n);
        s->fill += n;
    }
    s->bytes += n;
    return WB_OK;
}

wb_code pg_spool_abort(pg_spools *s, uint32_t xid, uint32_t subxid, wb_error *err)
{
    spool *one = find(s, xid);
    if (!one) return WB_OK;
    if (xid == subxid) {
        s->open = one->next; /* find put it first */
        spool_free(s, one);
        return WB_OK;
    }
    if (pg_xidset_add(&one->aborted, subxid)) return WB_OK;
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the aborted parts of transaction %u.", xid);
}

/* ---------------------------------------------------------------- reading back */

wb_code pg_spool_read(pg_spools *s, uint32_t xid, pg_spool_reader **out, wb_error *err)
{
    *out = NULL;
    spool *one = find(s, xid);
    if (one && s->owner == one) {
        wb_code code = flush(s, err);
        if (code != WB_OK) return code;
    }
    pg_spool_reader *r = calloc(1, sizeof *r);
    if (r) r->buffer = malloc(READ_BUFFER);
    if (!r || !r->buffer) {
        free(r);
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to read a streamed transaction back.");
    }
    r->cap = READ_BUFFER;
    r->all = s;
    r->s = one;
    if (one) s->open = one->next;
    *out = r;
    return WB_OK;
}

/* Have at least n bytes from r->pos on in the buffer. */
static wb_code need(pg_spool_reader *r, size_t n, wb_error *err)
{
    if (WB_LIKELY(n <= r->end - r->pos)) return WB_OK;
    size_t have = r->end - r->pos;
    size_t want = n > READ_BUFFER ? n : READ_BUFFER; /* larger for one huge record, then the usual size again */
    char *to = want == r->cap ? r->buffer : malloc(want);
    if (!to) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a message of %zu bytes.", n);
    memmove(to, r->buffer + r->pos, have);
    if (to != r->buffer) free(r->buffer);
    r->buffer = to;
    r->cap = want;
    r->pos = 0;
    r->end = have;
    uint64_t left = r->s->written - r->at;
    size_t more = left < want - have ? (size_t)left : want - have;
    if (more < n - have)
        return wb_fail(err, WB_E_IO, WB_RECONNECT, "%s ends in the middle of a message.",
                       "The spool of a streamed transaction");
    wb_code code = wb_io_pread(r->s->fd, r->buffer + have, more, (int64_t)r->at, spool_path, err);
    if (code != WB_OK) return code;
    r->end += more;
    r->at += more;
    return WB_OK;
}

wb_code pg_spool_next(pg_spool_reader *r, pg_spool_record *out, wb_error *err)
{
    head h;
    wb_code code;
    for (;;) {
        if (!r->s || (r->pos == r->end && r->at == r->s->written)) return WB_END;
        if ((code = need(r, sizeof h, err)) != WB_OK) return code;
        memcpy(&h, r->buffer + r->pos, sizeof h);
        if ((code = need(r, sizeof h + h.len, err)) != WB_OK) return code;
        const char *p = r->buffer + r->pos + sizeof h;
        r->pos += sizeof h + h.len;
        if (pg_xidset_has(&r->s->aborted, h.subxid)) continue;
        *out = (pg_spool_record){.subxid = h.subxid, .place = h.place, .seq = h.seq, .p = p, .n = h.len};
        return WB_OK;
    }
}

void pg_spool_close(pg_spool_reader *r)
{
    if (!r) return;
    if (r->s) spool_free(r->all, r->s);
    free(r->buffer);
    free(r);
}
