/* message.c: one message of the stream: decoded into the batch, or put aside while its transaction is not committed.
 * Source thread; called by stream.c with each CopyData. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

enum { ROOM = 64 * 1024, BIG = 200 * 1024, COLUMNS = 1664 };

static const char own_prefix[] = "walbrook"; /* of heartbeats, tips and schema changes */

bool pg_in_flight(const pg_source *s)
{
    return s->txn.active || s->replay || s->in_stream || pg_spools_count(s->spools);
}

/* ---------------------------------------------------------------- batches */

/* Often enough for people, not for every keepalive of a busy server; `--until now` does not wait for it. */
static void say_idle(pg_source *s)
{
    uint8_t pos[PG_POS_LEN];
    if (!s->idle_to) return;
    int64_t now = wb_mono_us();
    pg_lsn tip = atomic_load_explicit(&s->tip_wanted, memory_order_relaxed);
    bool awaited = tip && s->idle_to >= tip && s->idle_said < tip;
    if (!awaited && now < s->idle_at_us) return;
    s->idle_at_us = now + PG_IDLE_EVERY_US;
    s->idle_said = s->idle_to;
    pg_pos_make(pos, s->idle_to);
    s->idle_to = 0;
    wb_host_idle(s->host, (wb_pos){pos, PG_POS_LEN}, ~(uint64_t)0);
}

wb_code pg_batch_put(pg_source *s, wb_error *err)
{
    if (s->batch && wb_batch_last_txn(s->batch)) {
        /* Rows to be read again are known before the changes that ask for it are out. */
        wb_code code = WB_UNLIKELY(s->snap.copy.changed) ? sql_copy_save(&s->snap.copy, err) : WB_OK;
        if (code == WB_OK) code = pg_reselect_batch(s, err);
        if (code != WB_OK) return code;
        wb_batch *b = s->batch;
        s->batch = NULL;
        s->txn.in_batch = false;
        code = wb_host_put(s->host, b, err);
        if (code != WB_OK) return code;
    }
    say_idle(s);
    return WB_OK;
}

wb_code pg_batch_for(pg_source *s, size_t need, wb_error *err)
{
    if (WB_LIKELY(s->batch && need <= s->batch_room)) return WB_OK;
    if (s->batch) {
        wb_code code = pg_batch_put(s, err);
        if (code != WB_OK) return code;
        if (s->batch) wb_host_drop(s->host, s->batch);
    }
    s->txn.in_batch = false;
    s->batch = wb_host_take(s->host, need);
    s->batch_room = WB_MAX(need, (size_t)BIG);
    if (WB_UNLIKELY(s->snap.copy.held && s->batch)) wb_batch_set_targets(s->batch, ~s->snap.copy.held);
    return s->batch ? WB_OK : WB_AGAIN;
}

wb_str pg_database_of(const pg_source *s, wb_batch *b)
{
    size_t n = strlen(s->database);
    return (wb_str){wb_batch_copy(b, s->database, n), n};
}

/* The batch's last transaction is the open one. */
void pg_enter_txn(pg_source *s)
{
    if (WB_LIKELY(s->txn.in_batch)) return;
    char id[16];
    int n = s->txn.xid ? snprintf(id, sizeof id, "%u", s->txn.xid) : 0; /* a message outside of all has none */
    wb_batch *b = s->batch;
    const char *id_copy = wb_batch_copy(b, id, (size_t)n);
    size_t slot_len = strlen(s->names.slot);
    const char *slot = wb_batch_copy(b, s->names.slot, slot_len);
    uint8_t *at = wb_batch_alloc(b, PG_POS_LEN);
    if (at) pg_pos_make(at, s->txn.at);
    wb_str database = pg_database_of(s, b);
    wb_txn *t = wb_batch_txn(b);
    t->id = (wb_str){id_copy, (size_t)n};
    t->log = (wb_str){slot, slot_len};
    t->database = database;
    t->commit_us = s->txn.commit_us;
    t->at = (wb_pos){at, at ? PG_POS_LEN : 0};
    t->flags = s->txn.begun ? 0 : WB_TXN_BEGIN;
    s->txn.begun = s->txn.in_batch = true;
    s->idle_to = 0; /* its end will say more */
}

static void begin_txn(pg_source *s, uint32_t xid, pg_lsn at, int64_t commit_us)
{
    s->txn = (pg_txn){.active = true, .xid = xid, .at = at, .commit_us = commit_us};
    s->snap.last = WB_MAX(s->snap.last, at);
    pg_decoder_ordinal(s->decoder, 0);
}

/* Whether the end of the present transaction is handed over: then it needs a batch. */
static bool is_told(const pg_source *s) { return s->txn.rows || wb_host_partial(s->host); }

static wb_code end_txn(pg_source *s, pg_lsn end, wb_error *err)
{
    s->snap.passed = WB_MAX(s->snap.passed, end);
    if (!is_told(s)) { /* nothing of it is for us */
        s->idle_to = WB_MAX(s->idle_to, end);
        s->txn.active = false;
        return WB_OK;
    }
    wb_code code = pg_batch_for(s, 0, err);
    if (code != WB_OK) return code;
    pg_enter_txn(s);
    uint8_t *pos = wb_batch_alloc(s->batch, PG_POS_LEN);
    wb_txn *t = wb_batch_last_txn(s->batch);
    if (!pos || !t) return pg_nomem(err);
    pg_pos_make(pos, end);
    t->end = (wb_pos){pos, PG_POS_LEN};
    t->flags |= WB_TXN_END;
    s->txn.active = s->txn.in_batch = false;
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static uint32_t be32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* A row of a published table that the configuration leaves out: not decoded, but counted. */
static bool is_unwanted(const pg_source *s, const pg_peek *peek, const char *p, size_t n)
{
    size_t at = s->replay ? 5 : 1;
    if (!s->unwanted.n || n < at + 4 || (peek->type != 'I' && peek->type != 'U' && peek->type != 'D')) return false;
    return pg_oidset_has(&s->unwanted, be32(p + at));
}

/* TRUNCATE of several tables, some of them left out: the same message without those. 0: nothing is left. */
static size_t trim_truncate(const pg_source *s, const char *p, size_t n, char *out, uint32_t *all)
{
    size_t at = s->replay ? 5 : 1, to = at + 5;
    *all = be32(p + at);
    memcpy(out, p, to);
    for (size_t from = to; from + 4 <= n; from += 4) {
        if (pg_oidset_has(&s->unwanted, be32(p + from))) continue;
        memcpy(out + to, p + from, 4);
        to += 4;
    }
    uint32_t left = __builtin_bswap32((uint32_t)((to - at - 5) / 4));
    memcpy(out + at, &left, 4);
    return left ? to : 0;
}

static wb_code decode_row(pg_source *s, const char *p, size_t n, uint64_t place, wb_error *err)
{
    pg_event ev;
    size_t need = n > BIG ? n + ROOM + 32 * COLUMNS * 2 : 0;
    wb_code code = pg_batch_for(s, need, err);
    if (code != WB_OK) return code;
    pg_enter_txn(s);
    if (WB_UNLIKELY(s->ddl.nwaiting)) { /* a schema change and the row after it travel in one batch */
        code = pg_ddl_before(s, p[0], p, n, place, err);
        if (code != WB_OK) return code;
    }
    code = pg_decode(s->decoder, p, n, place, s->batch, &ev, err);
    if (code == WB_OK) s->txn.rows += ev.rows;
    if (WB_UNLIKELY(s->snap.copy.wanted) && code == WB_OK)
        code = sql_copy_mark(&s->snap.copy, wb_batch_last_change(s->batch), err);
    if (WB_LIKELY(!s->reselect || code != WB_OK)) return code;
    if (!pg_reselect_note(s)) return pg_nomem(err);
    return pg_reselect_due(s) ? pg_batch_put(s, err) : WB_OK;
}

/* Before it is decoded: it may come twice, when there is no budget. */
static wb_code note_truncate(pg_source *s, const char *p, size_t n, wb_error *err)
{
    size_t at = s->replay ? 5 : 1;
    wb_code code = WB_OK;
    for (size_t from = at + 5; from + 4 <= n && code == WB_OK; from += 4)
        code = pg_leaves_truncated(s, be32(p + from), s->replay ? be32(p + 1) : 0, err);
    return code;
}

static wb_code decode_truncate(pg_source *s, const char *p, size_t n, uint64_t place, wb_error *err)
{
    size_t at = s->replay ? 5 : 1;
    wb_code noted = note_truncate(s, p, n, err);
    if (noted != WB_OK) return noted;
    if (!s->unwanted.n || n < at + 5) return decode_row(s, p, n, place, err);
    uint32_t all = 0;
    uint64_t first = pg_decoder_next_ordinal(s->decoder);
    char *trimmed = malloc(n);
    if (!trimmed) return pg_nomem(err);
    size_t len = trim_truncate(s, p, n, trimmed, &all);
    wb_code code = len ? decode_row(s, trimmed, len, place, err) : WB_OK;
    free(trimmed);
    if (code == WB_OK) pg_decoder_ordinal(s->decoder, first + all);
    return code;
}

static wb_code put_message(pg_source *s, const pg_event *ev, uint64_t place, wb_error *err)
{
    size_t bytes = ev->prefix.len + ev->content.len;
    wb_code code = pg_batch_for(s, bytes > BIG ? bytes + ROOM : 0, err);
    if (code != WB_OK) return code;
    pg_enter_txn(s);
    wb_value *v = wb_batch_values(s->batch, 2);
    const char *prefix = wb_batch_copy(s->batch, ev->prefix.ptr, ev->prefix.len);
    const char *content = wb_batch_copy(s->batch, ev->content.ptr, ev->content.len);
    if (!v || !prefix || !content) return pg_nomem(err);
    v[0] = (wb_value){.kind = WB_TEXT, .flags = WB_V_TEXT, .len = (uint32_t)ev->prefix.len, .as.ptr = prefix};
    v[1] = (wb_value){.kind = WB_BYTES, .len = (uint32_t)ev->content.len, .as.ptr = content};
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_MESSAGE;
    c->after = v;
    c->ordinal = pg_decoder_next_ordinal(s->decoder);
    c->place = place;
    s->txn.rows++;
    return WB_OK;
}

/* Outside of every transaction: written to the log at once, whatever becomes of who wrote it. The server sends it at
 * its place in the log: after every commit that ends before it, before every one that comes later. So it is a
 * transaction of its own, without an id, whose end is the end of the message: a position tells whether it is inside, as
 * for others. */
static wb_code take_loose_message(pg_source *s, const pg_event *ev, uint64_t place, wb_error *err)
{
    begin_txn(s, 0, ev->message_lsn - 1, s->sent_us);
    wb_code code = put_message(s, ev, place, err);
    if (code == WB_OK) code = end_txn(s, ev->message_lsn, err);
    if (code == WB_AGAIN) s->txn.active = false; /* comes again */
    return code;
}

/* A logical message of somebody. Inside a transaction it counts as a change whether or not it is handed over, so that
 * ordinals do not depend on an option. */
static wb_code take_message(pg_source *s, const pg_event *ev, uint64_t place, wb_error *err)
{
    bool own = wb_str_is(ev->prefix, own_prefix), wanted = s->messages && !own;
    if (!s->txn.active) return wanted && ev->message_lsn ? take_loose_message(s, ev, place, err) : WB_OK;
    wb_code code = own ? pg_ddl_message(s, ev->content, place, err) : wanted ? put_message(s, ev, place, err) : WB_OK;
    if (code == WB_OK) pg_decoder_ordinal(s->decoder, pg_decoder_next_ordinal(s->decoder) + 1);
    return code;
}

/* ---------------------------------------------------------------- control messages */

wb_code pg_fail_two_phase(const char *slot, wb_error *err)
{
    wb_fail(
        err, WB_E_UNSUPPORTED, WB_NEVER,
        "The replication slot %s was made with two_phase, so the server sends prepared transactions before they are "
        "decided; Walbrook does not take those.",
        slot);
    wb_hint(err, "Use a slot without two_phase: name another one with `slot`, or let Walbrook make its own. A prepared "
                 "transaction then arrives at its COMMIT PREPARED.");
    return WB_E_UNSUPPORTED;
}

static wb_code on_stream_commit(pg_source *s, const pg_event *ev, wb_error *err)
{
    s->replay_commit = *ev;
    begin_txn(s, ev->xid, ev->commit_lsn, ev->commit_us);
    wb_code code = pg_spool_read(s->spools, ev->xid, &s->replay, err);
    if (code == WB_OK) pg_decoder_replay_begin(s->decoder);
    return code;
}

static wb_code on_event(pg_source *s, const pg_event *ev, uint64_t place, wb_error *err)
{
    switch (ev->kind) {
    case PG_EV_BEGIN: begin_txn(s, ev->xid, ev->commit_lsn, ev->commit_us); return WB_OK;
    case PG_EV_COMMIT: return end_txn(s, ev->end_lsn, err);
    case PG_EV_STREAM_START:
        s->in_stream = true;
        s->stream_xid = ev->xid;
        return WB_OK;
    case PG_EV_STREAM_STOP: s->in_stream = false; return WB_OK;
    case PG_EV_STREAM_COMMIT: return on_stream_commit(s, ev, err);
    case PG_EV_STREAM_ABORT: return pg_spool_abort(s->spools, ev->xid, ev->subxid, err);
    case PG_EV_MESSAGE: return take_message(s, ev, place, err);
    case PG_EV_TWO_PHASE: return pg_fail_two_phase(s->names.slot, err);
    case PG_EV_ROWS:
    case PG_EV_RELATION:
    case PG_EV_TYPE:
    case PG_EV_ORIGIN: return WB_OK;
    }
    return WB_OK;
}

/* Any message outside a stream block, or read back from a spool. */
static wb_code decode(pg_source *s, const char *p, size_t n, uint64_t place, bool tagged, wb_error *err)
{
    pg_peek peek;
    wb_code code = pg_wire_peek(p, n, tagged, &peek, err);
    if (code != WB_OK) return code;
    if (WB_LIKELY(peek.rows && peek.type != 'T')) {
        if (WB_UNLIKELY(is_unwanted(s, &peek, p, n))) {
            pg_decoder_ordinal(s->decoder, pg_decoder_next_ordinal(s->decoder) + 1);
            return WB_OK;
        }
        return decode_row(s, p, n, place, err);
    }
    if (peek.type == 'T') return decode_truncate(s, p, n, place, err);
    if ((peek.type == 'C' && is_told(s)) || peek.type == 'M') { /* needs a batch: before it is read */
        code = pg_batch_for(s, n > BIG ? n + ROOM : 0, err);
        if (code != WB_OK) return code;
    }
    pg_event ev;
    code = pg_decode(s->decoder, p, n, place, NULL, &ev, err);
    return code == WB_OK ? on_event(s, &ev, place, err) : code;
}

static wb_code put_aside(pg_source *s, const char *p, size_t n, uint64_t place, wb_error *err)
{
    pg_peek peek;
    wb_code code = pg_wire_peek(p, n, true, &peek, err);
    if (code != WB_OK) return code;
    code = pg_spool_append(s->spools, s->stream_xid, peek.xid, place, pg_decoder_arrival(s->decoder), p, n, err);
    if (code != WB_E_FULL && code != WB_E_LIMIT) return code;
    wb_host_log(s->host, WB_LOG_WARN,
                "no room for transactions that are not committed yet (%s): connects again with "
                "streaming off, so the server keeps them",
                err ? err->message : "");
    s->streaming_off = true;
    if (err) {
        err->code = WB_E_FULL;
        err->next = WB_RECONNECT;
    }
    return WB_E_FULL;
}

static void on_keepalive(pg_source *s, const pg_frame *f)
{
    if (!s->txn.active && !s->replay) s->snap.passed = WB_MAX(s->snap.passed, f->end);
    if (!pg_in_flight(s)) s->idle_to = WB_MAX(s->idle_to, f->end);
}

wb_code pg_message(pg_source *s, const char *p, size_t n, wb_error *err)
{
    pg_frame f;
    wb_code code = pg_frame_parse(p, n, &f, err);
    if (code != WB_OK) return code;
    if (f.kind == 'k') {
        s->received = WB_MAX(s->received, f.end);
        s->heard_us = wb_mono_us();
        on_keepalive(s, &f);
        return f.reply ? pg_status_send(s, false, err) : WB_OK;
    }
    const char *body = (const char *)f.body;
    s->sent_us = f.sent_us;
    if (s->in_stream && f.len && body[0] != 'E')
        code = put_aside(s, body, f.len, f.start, err);
    else
        code = decode(s, body, f.len, f.start, false, err);
    if (code == WB_OK) s->received = WB_MAX(s->received, WB_MAX(f.start, f.end));
    return code;
}

/* ---------------------------------------------------------------- a streamed transaction was committed */

static wb_code finish_replay(pg_source *s, wb_error *err)
{
    wb_code code = is_told(s) ? pg_batch_for(s, 0, err) : WB_OK;
    if (code != WB_OK) return code;
    pg_spool_close(s->replay);
    s->replay = NULL;
    code = pg_decoder_replay_end(s->decoder, err);
    return code == WB_OK ? end_txn(s, s->replay_commit.end_lsn, err) : code;
}

wb_code pg_replay_step(pg_source *s, wb_error *err)
{
    for (;;) {
        if (s->batch && wb_batch_full(s->batch)) return pg_batch_put(s, err);
        pg_spool_record *r = &s->replay_record;
        if (!s->replay_pending) {
            wb_code code = pg_spool_next(s->replay, r, err);
            if (code == WB_END) return finish_replay(s, err);
            if (code != WB_OK) return code;
            pg_decoder_seq(s->decoder, r->seq);
        }
        wb_code code = decode(s, r->p, r->n, r->place, true, err);
        s->replay_pending = code == WB_AGAIN;
        if (code != WB_OK) return code;
    }
}
