/* feed.c: events, one by one, to transactions. Everything that decides where a transaction begins and ends, and whether
 * it counts, is here; rows are only put aside. Called for every event of a log. */
#include <stdarg.h>
#include <stdio.h>

#include "inside.h"

typedef struct step {
    my_header h;
    const uint8_t *event, *body; /* body: without header and checksum */
    size_t n, nbody;
    uint64_t start, end; /* in the file */
    my_event *ev;
} step;

static void notice(const my_decoder *d, const char *fmt, ...) WB_PRINTF(2, 3);
static void notice(const my_decoder *d, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    if (!d->hooks.notice) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->hooks.notice(d->hooks.arg, text);
}

/* ---------------------------------------------------------------- checksums */

/* What a server makes up for us may or may not carry one, whatever the file says: only the bytes tell. */
static wb_code take_checksum(my_decoder *d, step *s, wb_error *err)
{
    uint8_t t = s->h.type;
    if (t == MY_FORMAT_DESCRIPTION) return WB_OK; /* says so itself */
    bool made_up = s->h.flags & MY_FLAG_ARTIFICIAL || t == MY_HEARTBEAT || t == MY_HEARTBEAT_V2 ||
                   (t == MY_ROTATE && (s->h.timestamp == 0 || s->h.log_pos == 0)) || !d->have_format;
    if (made_up) {
        if (my_checksum_fits(d, s->event, s->n)) s->nbody -= 4;
        return WB_OK;
    }
    if (!d->format.checksums) return WB_OK;
    if (s->nbody < 4 || (!d->o.no_verify && !my_checksum_fits(d, s->event, s->n))) {
        d->place = s->end;
        return my_bad_checksum(d, t, err);
    }
    s->nbody -= 4;
    return WB_OK;
}

/* ---------------------------------------------------------------- transactions */

static void open_group(my_decoder *d, const step *s)
{
    memset(&d->group, 0, sizeof d->group);
    my_held_clear(d, &d->held);
    d->group.start = s->start;
    d->group.server_id = s->h.server_id;
}

static void close_group(my_decoder *d, my_state next)
{
    d->state = next;
    if (next == MY_IDLE) my_held_clear(d, &d->held);
    if (next == MY_IDLE) my_spool_trim(d);
}

/* A file ended in the middle: the server was killed, and rolled back what it had not finished. */
static void drop_group(my_decoder *d)
{
    if (d->state == MY_IDLE) return;
    if (d->state == MY_INSIDE)
        notice(d,
               "The transaction that begins at %s:%llu has no end in the log: the server was killed in it and rolled "
               "it back.",
               d->log, (unsigned long long)d->group.start);
    close_group(d, MY_IDLE);
}

static int64_t commit_time(const my_group *g, uint32_t timestamp)
{
    return g->commit_us ? g->commit_us : (int64_t)timestamp * 1000000 + g->us;
}

static void describe(const my_group *g, my_event *ev)
{
    ev->gtid = g->gtid;
    ev->start = g->start;
    ev->end = g->end;
    ev->xid = g->xid;
    ev->thread_id = g->thread_id;
    ev->server_id = g->server_id;
    ev->commit_us = commit_time(g, g->timestamp);
    ev->whole_second = !g->commit_us && !g->us;
    ev->xa = wb_str_of(g->xa);
}

/* The group is complete; `source`: what is delivered in its name, NULL: what it holds. */
static wb_code complete(my_decoder *d, step *s, my_prepared *source, wb_error *err)
{
    d->group.end = s->end;
    d->group.timestamp = s->h.timestamp;
    wb_code code = my_held_close(d, &d->held, false, err);
    if (code != WB_OK) return code;
    d->source = source;
    d->state = MY_DELIVER;
    d->phase = 0;
    s->ev->kind = MY_EV_GROUP;
    describe(&d->group, s->ev);
    return WB_OK;
}

static wb_code hold(my_decoder *d, const step *s, wb_error *err)
{
    return my_held_add(d, &d->held, s->event, s->n, err);
}

static wb_code misplaced(my_decoder *d, const step *s, wb_error *err)
{
    d->place = s->end;
    wb_code code = my_bad_event(d, s->h.type, err, "it stands where a transaction must begin or end");
    wb_hint(err, "Start at the beginning of a transaction. If this place was one, the log is damaged.");
    return code;
}

/* ---------------------------------------------------------------- GTID events */

static wb_code on_gtid(my_decoder *d, step *s, wb_error *err)
{
    my_gtid_event g;
    d->place = s->end;
    if (d->state != MY_IDLE) return misplaced(d, s, err);
    if (!my_gtid_read(wb_rd_of(s->body, s->nbody), s->h.type, s->h.server_id, &g))
        return my_bad_event(d, s->h.type, err, "it is damaged");
    open_group(d, s);
    d->group.gtid = g.gtid;
    d->group.commit_us = s->ev->commit_us = g.commit_us;
    d->group.thread_id = g.thread_id;
    d->group.standalone = g.standalone;
    d->group.alter_start = g.start_alter || g.rollback_alter;
    d->started = true;
    /* MariaDB's stands for the BEGIN, too */
    d->state = s->h.type == MY_MARIADB_GTID && !g.standalone ? MY_INSIDE : MY_OPEN;
    return WB_OK;
}

/* ---------------------------------------------------------------- XA */

static wb_code on_xa_prepare(my_decoder *d, step *s, wb_error *err)
{
    my_xa xa;
    d->place = s->end;
    if (d->state != MY_INSIDE) return d->o.partial_start && !d->started ? WB_OK : misplaced(d, s, err);
    if (!my_xa_prepare_read(wb_rd_of(s->body, s->nbody), &xa)) return my_bad_event(d, s->h.type, err, "it is damaged");
    snprintf(d->group.xa, sizeof d->group.xa, "%s", xa.name);
    if (xa.one_phase) return complete(d, s, NULL, err);
    d->group.end = s->end;
    d->group.timestamp = s->h.timestamp;
    s->ev->kind = MY_EV_PREPARED;
    describe(&d->group, s->ev);
    wb_code code = my_held_close(d, &d->held, true, err);
    if (code != WB_OK) return code;
    my_prepared *old = my_prepared_find(d, xa.name);
    if (old) my_prepared_drop(d, old); /* read again after a reconnect */
    my_prepared *p = my_prepared_add(d);
    if (!p) return my_no_memory(d, err);
    s->ev->xa = wb_str_of(p->group.xa);
    d->state = MY_IDLE;
    return WB_OK;
}

static wb_code unknown_xa(my_decoder *d, wb_str name, wb_error *err)
{
    wb_fail(err, WB_E_GAP, WB_RESNAPSHOT,
            "The XA transaction %.*s is committed at %s:%llu, and was prepared before the place where reading began: "
            "its rows are "
            "not known.",
            (int)WB_MIN(name.len, 100), name.ptr, d->log, (unsigned long long)d->place);
    wb_hint(err, "Start at a place before its XA PREPARE, or take a new snapshot.");
    return WB_E_GAP;
}

static wb_code on_xa_end(my_decoder *d, step *s, const my_statement *st, wb_error *err)
{
    char name[sizeof d->group.xa];
    snprintf(name, sizeof name, "%.*s", (int)WB_MIN(st->name.len, sizeof name - 1), st->name.ptr);
    my_prepared *p = my_prepared_find(d, name);
    memcpy(d->group.xa, name, sizeof name);
    if (st->kind == MY_ST_XA_ROLLBACK) {
        if (p) my_prepared_drop(d, p);
        d->group.rolled_back = true;
        return complete(d, s, NULL, err);
    }
    if (!p && d->o.unknown_xa == MY_UNKNOWN_STOP) return unknown_xa(d, st->name, err);
    if (!p)
        notice(d, "The rows of XA transaction %s are not known: it was prepared before the place where reading began.",
               name);
    return complete(d, s, p, err);
}

/* ---------------------------------------------------------------- QUERY events */

static wb_code on_savepoint(my_decoder *d, const my_statement *st, wb_error *err)
{
    int done = 1;
    if (st->kind == MY_ST_RELEASE)
        my_held_release(&d->held, st->name);
    else if (st->kind == MY_ST_SAVEPOINT)
        done = my_held_savepoint(&d->held, st->name) ? 1 : -1;
    else
        done = my_held_rollback_to(&d->held, st->name);
    if (done < 0) return my_no_memory(d, err);
    if (done > 0) return WB_OK;
    return my_bad_event(d, MY_QUERY, err, "it rolls back to savepoint %.*s, which the transaction has not set",
                        (int)WB_MIN(st->name.len, 64), st->name.ptr);
}

/* Nothing to replay; a mapped file is held in one piece, though. */
static wb_code pass(my_decoder *d, const step *s, wb_error *err)
{
    return d->o.stable && d->state == MY_INSIDE ? hold(d, s, err) : WB_OK;
}

static wb_code on_inside(my_decoder *d, step *s, const my_statement *st, wb_error *err)
{
    wb_code code;
    switch (st->kind) {
    case MY_ST_COMMIT: return complete(d, s, NULL, err);
    case MY_ST_ROLLBACK: d->group.rolled_back = true; return complete(d, s, NULL, err);
    case MY_ST_SAVEPOINT:
    case MY_ST_ROLLBACK_TO:
    case MY_ST_RELEASE: code = on_savepoint(d, st, err); return code == WB_OK ? pass(d, s, err) : code;
    case MY_ST_XA_COMMIT: /* MariaDB's own group around it */
    case MY_ST_XA_ROLLBACK: return on_xa_end(d, s, st, err);
    case MY_ST_BEGIN:
    case MY_ST_XA_START:
    case MY_ST_XA_END:
    case MY_ST_XA_PREPARE: return pass(d, s, err);
    default: break;
    }
    if (st->temporary) return pass(d, s, err); /* touches nobody and ends nothing */
    return st->kind == MY_ST_OTHER && !st->unsure ? pass(d, s, err) : hold(d, s, err);
}

static wb_code on_query(my_decoder *d, step *s, wb_error *err)
{
    my_query q;
    my_statement st;
    d->place = s->end;
    wb_code code = my_read_query(d, &s->h, s->body, s->nbody, &q, &st, err);
    if (code != WB_OK) return code;
    if (d->state == MY_IDLE) {
        bool end = st.kind == MY_ST_COMMIT || st.kind == MY_ST_ROLLBACK;
        bool middle = st.kind == MY_ST_SAVEPOINT || st.kind == MY_ST_ROLLBACK_TO || st.kind == MY_ST_RELEASE;
        if ((end || middle || st.kind == MY_ST_DML) && d->o.partial_start && !d->started) return WB_OK;
        if (middle) return misplaced(d, s, err);
        if (d->sql.len == 0 && st.kind == MY_ST_OTHER) return WB_OK;
        open_group(d, s); /* without a GTID: the statement itself is where it begins */
        d->started = true;
        d->state = MY_OPEN;
    }
    if (!d->group.thread_id) d->group.thread_id = q.thread_id;
    d->group.us = q.has_us ? q.us : 0;
    if (d->state == MY_OPEN && (st.kind == MY_ST_BEGIN || st.kind == MY_ST_XA_START)) {
        d->state = MY_INSIDE;
        return WB_OK;
    }
    if (d->state == MY_INSIDE) return on_inside(d, s, &st, err);
    if (st.kind == MY_ST_XA_COMMIT || st.kind == MY_ST_XA_ROLLBACK) return on_xa_end(d, s, &st, err);
    bool nothing = st.temporary || (st.kind == MY_ST_OTHER && !st.unsure) || st.kind < MY_ST_DML;
    if (!nothing && st.kind != MY_ST_OTHER && (code = hold(d, s, err)) != WB_OK) return code;
    if (st.kind == MY_ST_OTHER && st.unsure && (code = hold(d, s, err)) != WB_OK) return code;
    return complete(d, s, NULL, err);
}

/* ---------------------------------------------------------------- files */

static wb_code on_format(my_decoder *d, step *s, wb_error *err)
{
    my_format f;
    d->place = s->end;
    const char *why = my_format_read(s->body, s->nbody, &f);
    if (why) return my_bad_event(d, s->h.type, err, "%s", why);
    if (f.checksums && !d->o.no_verify && !my_format_checksum_fits(s->event, s->n))
        return my_bad_event(d, s->h.type, err, "its checksum is wrong");
    size_t n = WB_MIN(f.server.len, sizeof d->server - 1);
    memcpy(d->server, f.server.ptr, n);
    d->server[n] = 0;
    f.server = (wb_str){d->server, n};
    d->format = f;
    d->have_format = true;
    bool own = !(s->h.flags & MY_FLAG_ARTIFICIAL) && s->h.log_pos != 0; /* of a file; not sent again at a reconnect */
    if (own) {
        drop_group(d);
        my_forget_ids(d); /* a server that was started again counts from the beginning */
    }
    s->ev->kind = MY_EV_FORMAT;
    s->ev->server = d->format.server;
    s->ev->flavor = f.flavor;
    s->ev->checksums = f.checksums;
    return WB_OK;
}

static wb_code on_rotate(my_decoder *d, step *s, wb_error *err)
{
    wb_rd r = wb_rd_of(s->body, s->nbody);
    uint64_t pos = my_rd_u64(&r);
    wb_str name = my_rd_rest(&r);
    bool artificial = s->h.flags & MY_FLAG_ARTIFICIAL || s->h.log_pos == 0 || s->h.timestamp == 0;
    d->place = s->end;
    if (r.failed || name.len == 0 || name.len >= sizeof d->log || memchr(name.ptr, 0, name.len))
        return my_bad_event(d, s->h.type, err, "it is damaged");
    bool same = strlen(d->log) == name.len && memcmp(d->log, name.ptr, name.len) == 0;
    if (!same || !artificial) drop_group(d);
    memcpy(d->log, name.ptr, name.len);
    d->log[name.len] = 0;
    if (d->state == MY_IDLE) d->offset = pos;
    s->start = s->end = d->offset;
    s->ev->kind = MY_EV_ROTATE;
    s->ev->artificial = artificial;
    return WB_OK;
}

static wb_code on_heartbeat(my_decoder *d, step *s, wb_error *err)
{
    wb_str log;
    uint64_t pos = s->h.log_pos ? my_lift(d->offset, s->h.log_pos, 0) : d->offset;
    d->place = d->offset;
    if (s->h.type == MY_HEARTBEAT_V2) {
        uint64_t said;
        if (!my_heartbeat2_read(wb_rd_of(s->body, s->nbody), &log, &said))
            return my_bad_event(d, s->h.type, err, "it is damaged");
        if (said) pos = said;
    }
    s->ev->kind = MY_EV_HEARTBEAT;
    s->start = s->end = pos;
    if (d->state == MY_IDLE && pos > d->offset) d->offset = pos; /* what was left out for us ends there */
    return WB_OK;
}

static wb_code on_previous(my_decoder *d, step *s, wb_error *err)
{
    d->place = s->end;
    my_gtid_set_clear(d->set);
    bool ok = s->h.type == MY_GTID_LIST ? my_gtid_list_read(wb_rd_of(s->body, s->nbody), d->set)
                                        : my_gtid_set_decode(d->set, s->body, s->nbody, NULL) == WB_OK;
    if (!ok) return my_bad_event(d, s->h.type, err, "it is damaged");
    s->ev->kind = MY_EV_PREVIOUS;
    s->ev->set = d->set;
    return WB_OK;
}

/* ---------------------------------------------------------------- what cannot be followed */

static wb_code on_incident(my_decoder *d, step *s, wb_error *err)
{
    wb_rd r = wb_rd_of(s->body, s->nbody);
    my_rd_u16(&r);
    wb_str text = my_rd_str(&r, wb_rd_u8(&r));
    wb_fail(err, WB_E_GAP, WB_RESNAPSHOT, "The server says at %s:%llu that its log has lost events: %.*s", d->log,
            (unsigned long long)s->end, (int)WB_MIN(text.len, 200), text.len ? text.ptr : "");
    wb_hint(err, "Only a new snapshot shows what is in the tables now.");
    return WB_E_GAP;
}

static wb_code on_unknown(my_decoder *d, step *s, wb_error *err)
{
    d->place = s->end;
    if (s->h.flags & MY_FLAG_IGNORABLE) {
        if (!d->skipped++)
            notice(
                d,
                "Events of type %u (first at %s:%llu) are not known and are left out: the log says that whoever does "
                "not know them may.",
                s->h.type, d->log, (unsigned long long)s->start);
        return WB_OK;
    }
    const char *name = my_event_name(s->h.type, d->format.flavor);
    if (s->h.type == MY_START_ENCRYPTION) {
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The log %s is encrypted by the MariaDB server (encrypt_binlog).",
                d->log);
        wb_hint(err, "Only the server has the key: read the log from the server, or let mariadb-binlog "
                     "--read-from-remote-server "
                     "--raw fetch it in plain form.");
        return WB_E_UNSUPPORTED;
    }
    wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
            "The event at %s:%llu is of type %u%s%s%s, which is not known and may not be skipped.", d->log,
            (unsigned long long)s->start, s->h.type, name ? " (" : "", name ? name : "", name ? ")" : "");
    wb_hint(err,
            "The server (%s) is newer than this program, or not MySQL or MariaDB. Please report it with the number.",
            d->server[0] ? d->server : "unknown version");
    return WB_E_UNSUPPORTED;
}

/* ---------------------------------------------------------------- one event */

/* Rows, maps and the like: to be held. */
static wb_code on_content(my_decoder *d, step *s, wb_error *err)
{
    if (d->state == MY_INSIDE) return hold(d, s, err);
    if (d->state == MY_IDLE && d->o.partial_start && !d->started) return WB_OK;
    return misplaced(d, s, err);
}

static wb_code on_payload(my_decoder *d, step *s, wb_error *err)
{
    if (d->state == MY_IDLE) open_group(d, s);
    d->started = true;
    if (d->o.kept && my_held_size(&d->held) == 0) {
        d->held.base = s->event;
        d->held.len = s->n;
        return complete(d, s, NULL, err);
    }
    wb_code code = hold(d, s, err);
    return code == WB_OK ? complete(d, s, NULL, err) : code;
}

static wb_code on_xid(my_decoder *d, step *s, wb_error *err)
{
    wb_rd r = wb_rd_of(s->body, s->nbody);
    if (d->state != MY_INSIDE) return d->o.partial_start && !d->started ? WB_OK : misplaced(d, s, err);
    d->group.xid = my_rd_u64(&r);
    d->group.us = 0;
    return complete(d, s, NULL, err);
}

static wb_code dispatch(my_decoder *d, step *s, wb_error *err)
{
    uint8_t t = s->h.type;
    if (my_is_rows(t) || t == MY_TABLE_MAP || t == MY_PARTIAL_ROW_DATA) return on_content(d, s, err);
    switch (t) {
    case MY_QUERY:
    case MY_QUERY_COMPRESSED:
    case MY_EXECUTE_LOAD_QUERY: return on_query(d, s, err);
    case MY_GTID:
    case MY_ANONYMOUS_GTID:
    case MY_GTID_TAGGED:
    case MY_MARIADB_GTID: return on_gtid(d, s, err);
    case MY_XID: return on_xid(d, s, err);
    case MY_XA_PREPARE: return on_xa_prepare(d, s, err);
    case MY_TRANSACTION_PAYLOAD: return on_payload(d, s, err);
    case MY_VIEW_CHANGE: return d->state == MY_OPEN ? complete(d, s, NULL, err) : WB_OK;
    case MY_FORMAT_DESCRIPTION: return on_format(d, s, err);
    case MY_ROTATE: return on_rotate(d, s, err);
    case MY_STOP:
        drop_group(d);
        s->ev->kind = MY_EV_STOP;
        return WB_OK;
    case MY_HEARTBEAT:
    case MY_HEARTBEAT_V2: return on_heartbeat(d, s, err);
    case MY_PREVIOUS_GTIDS:
    case MY_GTID_LIST: return on_previous(d, s, err);
    case MY_INCIDENT: return on_incident(d, s, err);
    case MY_ROWS_QUERY:
    case MY_ANNOTATE_ROWS: return d->o.query && d->state == MY_INSIDE ? hold(d, s, err) : pass(d, s, err);
    case MY_INTVAR: /* what a statement needs; the statement itself follows */
    case MY_RAND:
    case MY_USER_VAR:
    case MY_BEGIN_LOAD_QUERY:
    case MY_APPEND_BLOCK:
    case MY_DELETE_FILE:
    case MY_SLAVE:
    case MY_IGNORABLE:
    case MY_TRANSACTION_CONTEXT:
    case MY_BINLOG_CHECKPOINT: return pass(d, s, err);
    default: return on_unknown(d, s, err);
    }
}

/* Does the event take room in the file? */
static bool in_file(const step *s)
{
    uint8_t t = s->h.type;
    if (t == MY_HEARTBEAT || t == MY_HEARTBEAT_V2 || s->h.flags & MY_FLAG_ARTIFICIAL) return false;
    return !((t == MY_FORMAT_DESCRIPTION || t == MY_ROTATE) && s->h.log_pos == 0);
}

/* Its header: may it come now, and where does it lie? */
static wb_code enter(my_decoder *d, const void *p, size_t n, step *s, wb_error *err)
{
    memset(s->ev, 0, sizeof *s->ev);
    if (d->failed) return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "The binlog decoder was used after it had failed.");
    if (d->state == MY_DELIVER)
        return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "A binlog event came before the transaction was delivered.");
    d->failed = true;
    d->place = d->offset;
    wb_code code = my_header_read(p, n, &s->h, err);
    if (code != WB_OK) return code;
    d->type = s->h.type;
    bool in = in_file(s);
    s->end = in ? my_lift(d->offset, s->h.log_pos, s->h.length) : d->offset;
    s->start = in ? s->end - s->h.length : s->end;
    s->ev->type = s->h.type;
    s->ev->timestamp = s->h.timestamp;
    s->ev->server_id = s->h.server_id;
    return WB_OK;
}

static wb_code leave(my_decoder *d, const step *s)
{
    s->ev->log = wb_str_of(d->log);
    if (s->ev->kind != MY_EV_GROUP && s->ev->kind != MY_EV_PREPARED) {
        s->ev->start = s->start;
        s->ev->end = s->end;
    }
    d->failed = false;
    return WB_OK;
}

wb_code my_decoder_feed(my_decoder *d, const void *p, size_t n, my_event *ev, wb_error *err)
{
    step s = {.event = p, .n = n, .ev = ev};
    wb_code code = enter(d, p, n, &s, err);
    if (code != WB_OK) return code;
    if (d->part.open) return my_bad_event(d, s.h.type, err, "it comes before the end of another one");
    if (s.h.length != n)
        return my_bad_event(d, s.h.type, err, "it says that it has %u bytes, and it has %zu", s.h.length, n);
    s.body = s.event + MY_HEADER_LEN;
    s.nbody = n - MY_HEADER_LEN;
    if ((code = take_checksum(d, &s, err)) != WB_OK) return code;
    if (!d->have_format && s.h.type != MY_FORMAT_DESCRIPTION && s.h.type != MY_ROTATE && s.h.type != MY_HEARTBEAT &&
        s.h.type != MY_HEARTBEAT_V2)
        return my_bad_event(d, s.h.type, err, "no FORMAT_DESCRIPTION event came before it");
    if (in_file(&s)) d->offset = s.end;
    code = dispatch(d, &s, err);
    return code == WB_OK ? leave(d, &s) : code;
}

/* ---------------------------------------------------------------- one event in parts */

/* What is held as it comes is known to be damaged, or to be the end of a transaction, only when all of it was there. */
static wb_code begin_part(my_decoder *d, const void *p, size_t n, step *s, wb_error *err)
{
    wb_code code = enter(d, p, n, s, err);
    if (code != WB_OK) return code;
    bool payload = s->h.type == MY_TRANSACTION_PAYLOAD;
    bool skip = !payload && d->state == MY_IDLE && d->o.partial_start && !d->started;
    if (!my_type_in_parts(s->h.type)) return my_bad_event(d, s->h.type, err, "it is too large for its type");
    if (!d->have_format) return my_bad_event(d, s->h.type, err, "no FORMAT_DESCRIPTION event came before it");
    if (s->h.length < MY_HEADER_LEN + 4) return my_bad_event(d, s->h.type, err, "it ends too early");
    if (!payload && !skip && d->state != MY_INSIDE) return misplaced(d, s, err);
    if (payload && d->state == MY_IDLE) open_group(d, s);
    if (payload) d->started = true;
    d->place = s->end;
    d->part = (my_part){.open = true, .skip = skip, .h = s->h, .start = s->start, .end = s->end};
    return WB_OK;
}

static wb_code end_part(my_decoder *d, step *s, wb_error *err)
{
    my_part *t = &d->part;
    t->open = false;
    if (t->got != t->h.length)
        return my_bad_event(d, t->h.type, err, "it says that it has %u bytes, and it has %llu", t->h.length,
                            (unsigned long long)t->got);
    if (d->format.checksums && !d->o.no_verify && t->sum != t->tail) return my_bad_checksum(d, t->h.type, err);
    if (in_file(s)) d->offset = s->end;
    if (t->h.type != MY_TRANSACTION_PAYLOAD) return WB_OK;
    return complete(d, s, NULL, err);
}

wb_code my_decoder_part(my_decoder *d, const void *p, size_t n, bool last, my_event *ev, wb_error *err)
{
    step s = {.event = p, .n = n, .ev = ev};
    my_part *t = &d->part;
    wb_code code = WB_OK;
    if (!t->open) {
        code = begin_part(d, p, n, &s, err);
    } else {
        memset(ev, 0, sizeof *ev);
        s.h = t->h;
        s.start = t->start;
        s.end = t->end;
    }
    d->failed = true;
    if (code != WB_OK) return code;
    if (n > t->h.length - t->got)
        return my_bad_event(d, t->h.type, err, "it says that it has %u bytes, and it has more", t->h.length);
    my_part_sum(t, p, n);
    t->got += n;
    if (!t->skip && n) code = hold(d, &s, err);
    if (code == WB_OK && last) code = end_part(d, &s, err);
    if (code != WB_OK) return code;
    if (last) return leave(d, &s);
    d->failed = false;
    return WB_OK;
}
