/* wire.c: the frames of a replication connection and the messages of pgoutput. Called by source.c for every message;
 * rows go on to wire_row.c, relations to wire_relation.c. Pure and fuzzed: it believes no length. */
#include "wire.h"

#include <stdarg.h>
#include <stdio.h>

#include "decoder.h"

/* PostgreSQL counts from 2000-01-01. */
static const int64_t epoch_us = INT64_C(946684800) * 1000000;

static int64_t unix_us(uint64_t server)
{
    int64_t us;
    if (__builtin_add_overflow((int64_t)server, epoch_us, &us)) return INT64_MAX;
    return us;
}

/* ---------------------------------------------------------------- frames */

wb_code pg_frame_parse(const void *p, size_t n, pg_frame *f, wb_error *err)
{
    wb_rd r = wb_rd_of(p, n);
    memset(f, 0, sizeof *f);
    f->kind = (char)wb_rd_u8(&r);
    if (n == 0)
        return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "The PostgreSQL server sent an empty replication message.");
    switch (f->kind) {
    case 'w':
        f->start = wb_rd_be64(&r);
        f->end = wb_rd_be64(&r);
        f->sent_us = unix_us(wb_rd_be64(&r));
        f->len = wb_rd_left(&r);
        f->body = wb_rd_bytes(&r, f->len);
        break;
    case 'k':
        f->end = wb_rd_be64(&r);
        f->sent_us = unix_us(wb_rd_be64(&r));
        f->reply = wb_rd_u8(&r) != 0;
        break;
    default:
        return wb_fail(err, WB_E_PROTOCOL, WB_NEVER,
                       "The PostgreSQL server sent a replication message of the unknown kind 0x%02x.",
                       (uint8_t)f->kind);
    }
    if (r.failed || wb_rd_left(&r))
        return wb_fail(err, WB_E_PROTOCOL, WB_NEVER,
                       "The PostgreSQL server sent a replication message '%c' of %zu bytes, which is not its length.",
                       f->kind, n);
    return WB_OK;
}

static uint8_t *put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

void pg_status_make(uint8_t out[PG_STATUS_LEN], pg_lsn write, pg_lsn flush, int64_t now_us, bool reply)
{
    uint8_t *p = out;
    *p++ = 'r';
    p = put_be64(p, write);
    p = put_be64(p, flush);
    p = put_be64(p, flush); /* apply: a logical slot does not look at it */
    p = put_be64(p, (uint64_t)now_us - (uint64_t)epoch_us);
    *p = reply;
}

/* ---------------------------------------------------------------- errors */

static const char *message_name(char type)
{
    static const struct {
        char type;
        const char *name;
    } names[] = {{'B', "Begin"},
                 {'C', "Commit"},
                 {'O', "Origin"},
                 {'R', "Relation"},
                 {'Y', "Type"},
                 {'I', "Insert"},
                 {'U', "Update"},
                 {'D', "Delete"},
                 {'T', "Truncate"},
                 {'M', "Message"},
                 {'S', "Stream Start"},
                 {'E', "Stream Stop"},
                 {'c', "Stream Commit"},
                 {'A', "Stream Abort"},
                 {'b', "Begin Prepare"},
                 {'P', "Prepare"},
                 {'K', "Commit Prepared"},
                 {'r', "Rollback Prepared"},
                 {'p', "Stream Prepare"}};
    for (size_t i = 0; i < WB_COUNT(names); i++)
        if (names[i].type == type) return names[i].name;
    return NULL;
}

wb_code pg_msg_bad(const pg_msg *m, wb_error *err, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    const char *name = message_name(m->type);
    wb_code code = wb_fail(err, WB_E_PROTOCOL, WB_NEVER,
                           "The PostgreSQL server sent a message that its replication protocol does not allow: %s, of "
                           "%zu bytes, at %X/%X: %s.",
                           name ? name : "unknown", m->n, (uint32_t)(m->place >> 32), (uint32_t)m->place, what);
    wb_hint(err,
            "Nothing of it was taken. If there is a proxy between Walbrook and the server, go without it; else please "
            "report this with the server's version.");
    return code;
}

wb_code pg_msg_end(const pg_msg *m, wb_error *err)
{
    if (WB_UNLIKELY(m->rd.failed)) return pg_msg_bad(m, err, "it ends too early");
    if (WB_UNLIKELY(m->rd.p != m->rd.end))
        return pg_msg_bad(m, err, "%zu bytes follow its last field", wb_rd_left(&m->rd));
    return WB_OK;
}

/* ---------------------------------------------------------------- the decoder */

pg_decoder *pg_decoder_new(pg_relation_fn fn, void *arg, size_t max_row)
{
    pg_decoder *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->fn = fn;
    d->arg = arg;
    d->max_row = max_row;
    return d;
}

void pg_decoder_forget(pg_decoder *d)
{
    d->last = NULL;
    pg_rel_map_clear(&d->base);
    pg_rel_map_clear(&d->overlay);
    d->in_stream = d->replaying = false;
    d->ordinal = 0;
}

void pg_decoder_free(pg_decoder *d)
{
    if (!d) return;
    pg_decoder_forget(d);
    free(d->cols);
    free(d);
}

void pg_decoder_in_stream(pg_decoder *d, bool in) { d->in_stream = in; }
void pg_decoder_ordinal(pg_decoder *d, uint64_t next) { d->ordinal = next; }
uint64_t pg_decoder_next_ordinal(const pg_decoder *d) { return d->ordinal; }
uint64_t pg_decoder_arrival(pg_decoder *d) { return ++d->clock; }
void pg_decoder_seq(pg_decoder *d, uint64_t seq) { d->seq = seq; }

/* Does this type carry an xid inside a stream? */
static bool has_xid(char type)
{
    switch (type) {
    case 'R':
    case 'Y':
    case 'I':
    case 'U':
    case 'D':
    case 'T':
    case 'M': return true;
    default: return false;
    }
}

wb_code pg_wire_peek(const void *p, size_t n, bool in_stream, pg_peek *out, wb_error *err)
{
    pg_msg m = {.rd = wb_rd_of(p, n), .n = n};
    m.type = (char)wb_rd_u8(&m.rd);
    memset(out, 0, sizeof *out);
    out->type = m.type;
    if (!message_name(m.type)) return pg_msg_bad(&m, err, "its type 0x%02x is unknown", (uint8_t)m.type);
    out->rows = m.type == 'I' || m.type == 'U' || m.type == 'D' || m.type == 'T';
    if (in_stream && has_xid(m.type)) out->xid = wb_rd_be32(&m.rd);
    return m.rd.failed ? pg_msg_bad(&m, err, "it ends too early") : WB_OK;
}

/* ---------------------------------------------------------------- control messages */

static wb_code need_flags_zero(pg_msg *m, wb_error *err)
{
    uint8_t flags = wb_rd_u8(&m->rd);
    return flags ? pg_msg_bad(m, err, "its flags are 0x%02x, and none are known", flags) : WB_OK;
}

/* commit or prepare LSN, end LSN, time: the middle of most control messages */
static void read_lsns(wb_rd *r, pg_event *ev)
{
    ev->commit_lsn = wb_rd_be64(r);
    ev->end_lsn = wb_rd_be64(r);
    ev->commit_us = unix_us(wb_rd_be64(r));
}

static wb_code read_two_phase(pg_msg *m, pg_event *ev, wb_error *err)
{
    ev->kind = PG_EV_TWO_PHASE;
    if (m->type != 'b' && need_flags_zero(m, err)) return WB_E_PROTOCOL;
    read_lsns(&m->rd, ev);
    if (m->type == 'r') ev->commit_us = unix_us(wb_rd_be64(&m->rd)); /* prepared at, rolled back at */
    ev->xid = wb_rd_be32(&m->rd);
    ev->name = wb_rd_cstr(&m->rd); /* the gid */
    return pg_msg_end(m, err);
}

static void read_abort(pg_msg *m, pg_event *ev)
{
    ev->kind = PG_EV_STREAM_ABORT;
    ev->xid = wb_rd_be32(&m->rd);
    ev->subxid = wb_rd_be32(&m->rd);
    if (wb_rd_left(&m->rd) == 0) return;
    ev->end_lsn = wb_rd_be64(&m->rd); /* with streaming 'parallel' only */
    ev->commit_us = unix_us(wb_rd_be64(&m->rd));
}

static void read_type(pg_msg *m, pg_event *ev)
{
    ev->kind = PG_EV_TYPE;
    ev->type_oid = wb_rd_be32(&m->rd);
    ev->schema = wb_rd_cstr(&m->rd);
    ev->name = wb_rd_cstr(&m->rd);
    if (ev->schema.len == 0) ev->schema = WB_STR("pg_catalog");
}

static void read_message(pg_msg *m, pg_event *ev)
{
    ev->kind = PG_EV_MESSAGE;
    ev->transactional = wb_rd_u8(&m->rd) & 1;
    ev->message_lsn = wb_rd_be64(&m->rd);
    ev->prefix = wb_rd_cstr(&m->rd);
    uint32_t len = wb_rd_be32(&m->rd);
    const uint8_t *p = wb_rd_bytes(&m->rd, len);
    ev->content = (wb_str){p ? (const char *)p : "", p ? len : 0};
}

static wb_code read_control(pg_decoder *d, pg_msg *m, pg_event *ev, wb_error *err)
{
    wb_rd *r = &m->rd;
    switch (m->type) {
    case 'B':
        ev->kind = PG_EV_BEGIN;
        ev->commit_lsn = wb_rd_be64(r);
        ev->commit_us = unix_us(wb_rd_be64(r));
        ev->xid = wb_rd_be32(r);
        break;
    case 'c': ev->xid = wb_rd_be32(r); /* fall through */
    case 'C':
        ev->kind = m->type == 'c' ? PG_EV_STREAM_COMMIT : PG_EV_COMMIT;
        if (need_flags_zero(m, err)) return WB_E_PROTOCOL;
        read_lsns(r, ev);
        break;
    case 'O':
        ev->kind = PG_EV_ORIGIN;
        ev->message_lsn = wb_rd_be64(r);
        ev->name = wb_rd_cstr(r);
        break;
    case 'Y': read_type(m, ev); break;
    case 'M': read_message(m, ev); break;
    case 'S':
        ev->kind = PG_EV_STREAM_START;
        ev->xid = wb_rd_be32(r);
        ev->first_segment = wb_rd_u8(r) == 1;
        break;
    case 'E': ev->kind = PG_EV_STREAM_STOP; break;
    case 'A': read_abort(m, ev); break;
    case 'b':
    case 'P':
    case 'K':
    case 'r':
    case 'p': return read_two_phase(m, ev, err);
    default: return pg_msg_bad(m, err, "its type 0x%02x is unknown", (uint8_t)m->type);
    }
    if (pg_msg_end(m, err)) return WB_E_PROTOCOL;
    if (m->type == 'S' || m->type == 'E') d->in_stream = m->type == 'S';
    return WB_OK;
}

/* Inside a stream only changes, and the origin after its start; a stop only there, never in a replay. */
static wb_code check_stream(const pg_decoder *d, const pg_msg *m, wb_error *err)
{
    bool allowed =
        !d->in_stream ? m->type != 'E' : has_xid(m->type) || m->type == 'O' || (m->type == 'E' && !d->replaying);
    if (WB_LIKELY(allowed) || !message_name(m->type)) return WB_OK;
    return pg_msg_bad(m, err, d->in_stream ? "it came inside a stream" : "it came outside a stream");
}

wb_code pg_decode(pg_decoder *d, const void *p, size_t n, uint64_t place, wb_batch *b, pg_event *ev, wb_error *err)
{
    pg_msg m = {.rd = wb_rd_of(p, n), .n = n, .place = place};
    wb_code code;
    m.type = (char)wb_rd_u8(&m.rd);
    if (!d->replaying) d->seq = ++d->clock;
    ev->kind = PG_EV_ROWS;
    ev->type = m.type;
    ev->rows = 1;
    ev->xid = WB_UNLIKELY(d->in_stream) && has_xid(m.type) ? wb_rd_be32(&m.rd) : 0;
    switch (m.type) {
    case 'I': return pg_row_insert(d, &m, b, err);
    case 'U': return pg_row_update(d, &m, b, err);
    case 'D': return pg_row_delete(d, &m, b, err);
    case 'T': return pg_row_truncate(d, &m, b, &ev->rows, err);
    default: break;
    }
    uint32_t xid = ev->xid;
    memset(ev, 0, sizeof *ev);
    ev->type = m.type;
    ev->xid = xid;
    if ((code = check_stream(d, &m, err)) != WB_OK) return code;
    if (m.type == 'R') {
        ev->kind = PG_EV_RELATION;
        return pg_rel_read(d, &m, err);
    }
    return read_control(d, &m, ev, err);
}
