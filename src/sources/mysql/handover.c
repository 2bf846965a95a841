/* handover.c: from what the decoder says to batches: transactions with their places, positions after them, schema
 * changes, and what only moves the position. Source thread; called by stream.c. */
#include "my.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum { IDLE_EVERY_US = 50000 };

/* ---------------------------------------------------------------- positions */

wb_pos my_here(my_source *s)
{
    my_pos p = {.flavor = s->server.flavor,
                .has_file = s->log[0] != 0,
                .lineage = s->server.lineage,
                .log = wb_str_of(s->log),
                .offset = s->offset};
    wb_out_reset(&s->pos_text);
    if (!my_pos_make(&s->pos_text, &p, s->set)) return (wb_pos){NULL, 0};
    return (wb_pos){s->pos_text.p, s->pos_text.len};
}

wb_pos my_at(my_source *s)
{
    my_pos p = {.flavor = s->server.flavor,
                .has_set = s->set && s->txn.gtid.flavor != MY_UNKNOWN,
                .has_file = s->log[0] != 0,
                .lineage = s->server.lineage,
                .log = wb_str_of(s->log),
                .offset = s->txn.start,
                .gtid = s->txn.gtid};
    wb_out_reset(&s->pos_text);
    my_at_make(&s->pos_text, &p);
    return s->pos_text.failed ? (wb_pos){NULL, 0} : (wb_pos){s->pos_text.p, s->pos_text.len};
}

static wb_code too_long(wb_error *err)
{
    wb_fail(err, WB_E_LIMIT, WB_NEVER, "The server's GTID set is longer than %d bytes, more than a position may be.",
            MY_POS_MAX);
    wb_hint(err, "A set with so many holes says that transactions were lost between servers; see gtid_executed.");
    return WB_E_LIMIT;
}

static void set_log(my_source *s, wb_str log, uint64_t offset)
{
    if (log.len && log.len < sizeof s->log) {
        memcpy(s->log, log.ptr, log.len);
        s->log[log.len] = 0;
    }
    s->offset = offset;
}

/* Only forward: over a new connection the server begins with the first places of a file that is done in part, and what
 * was done stays done. By these places the history knows which of its versions holds. */
static void move_log(my_source *s, wb_str log, uint64_t offset)
{
    int order = s->log[0] ? my_log_compare(log, wb_str_of(s->log)) : 1;
    if (order == -1 || (order == 0 && offset < s->offset)) return;
    set_log(s, log, offset);
}

/* A transaction that is prepared counts when it is decided: a set with a hole brings it again after a restart. */
static wb_code remember_prepared(my_source *s, const my_event *ev, wb_error *err)
{
    my_xa *bigger = realloc(s->xas, (s->nxas + 1) * sizeof *bigger);
    if (!bigger) return my_nomem(err);
    s->xas = bigger;
    s->xas[s->nxas] = (my_xa){.gtid = ev->gtid, .name = strndup(ev->xa.ptr ? ev->xa.ptr : "", ev->xa.len)};
    if (!s->xas[s->nxas].name) return my_nomem(err);
    s->nxas++;
    return WB_OK;
}

static bool still_prepared(const my_source *s, const char *name)
{
    wb_str xa, log;
    uint64_t start;
    my_gtid gtid;
    for (size_t i = 0; i < my_decoder_prepared(s->decoder); i++)
        if (my_decoder_prepared_at(s->decoder, i, &xa, &log, &start, &gtid) && wb_str_is(xa, name)) return true;
    return false;
}

static bool settle_prepared(my_source *s)
{
    bool fine = true;
    for (size_t i = 0; i < s->nxas;) {
        if (still_prepared(s, s->xas[i].name)) {
            i++;
            continue;
        }
        if (s->set && s->xas[i].gtid.flavor != MY_UNKNOWN) fine = my_gtid_set_add(s->set, &s->xas[i].gtid) && fine;
        free(s->xas[i].name);
        s->xas[i] = s->xas[--s->nxas];
    }
    return fine;
}

/* MariaDB without gtid_strict_mode: two servers wrote into one domain at once. */
static void look_at_order(my_source *s, const my_gtid *g)
{
    if (s->said_order || g->flavor != MY_MARIADB || !my_gtid_set_holds(s->set, g)) return;
    char text[MY_GTID_TEXT];
    (void)my_gtid_text(g, text);
    s->said_order = true;
    wb_host_log(s->host, WB_LOG_WARN,
                "the log has GTID %s after a higher one of its domain: gtid_strict_mode is off and two servers write "
                "into one domain; after a failover such transactions cannot be told from old ones",
                text);
}

static wb_code move_past(my_source *s, const my_event *ev, wb_error *err)
{
    set_log(s, ev->log, ev->end);
    if (!s->set) return WB_OK;
    if (ev->gtid.flavor == MY_UNKNOWN) {
        if (ev->kind != MY_EV_COMMIT) return WB_OK;
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                "The transaction at %s:%" PRIu64 " has no GTID, and the positions are GTID sets.", s->log, ev->start);
        wb_hint(err, "Keep gtid_mode = ON; the log has transactions of a time when it was off.");
        return WB_E_UNSUPPORTED;
    }
    look_at_order(s, &ev->gtid);
    return my_gtid_set_add(s->set, &ev->gtid) && settle_prepared(s) ? WB_OK : my_nomem(err);
}

/* ---------------------------------------------------------------- batches */

void my_say_idle(my_source *s, bool now)
{
    if (!s->idle_due || s->txn.active) return;
    int64_t us = wb_mono_us();
    if (!now && us < s->idle_at_us) return;
    wb_pos pos = my_here(s);
    if (!pos.len) return;
    s->idle_at_us = us + IDLE_EVERY_US;
    s->idle_due = false;
    wb_host_idle(s->host, pos, ~(uint64_t)0);
}

wb_code my_batch_put(my_source *s, wb_error *err)
{
    if (s->batch && wb_batch_last_txn(s->batch)) {
        wb_code code = WB_UNLIKELY(s->snap.copy.changed) ? sql_copy_save(&s->snap.copy, err) : WB_OK;
        if (code != WB_OK) return code;
        wb_batch *b = s->batch;
        s->batch = NULL;
        s->txn.in_batch = s->slot_free = false;
        code = wb_host_put(s->host, b, err);
        if (code != WB_OK) return code;
    }
    my_say_idle(s, false);
    return WB_OK;
}

wb_code my_batch_for(my_source *s, size_t need, wb_error *err)
{
    bool full = s->batch && wb_batch_full(s->batch);
    if (WB_LIKELY(s->batch && !full && need <= s->batch_room)) return WB_OK;
    if (s->batch) {
        wb_code code = my_batch_put(s, err);
        if (code != WB_OK) return code;
        if (s->batch) wb_host_drop(s->host, s->batch);
    }
    s->txn.in_batch = s->slot_free = false;
    s->batch = wb_host_take(s->host, need);
    s->batch_room = need;
    if (WB_UNLIKELY(s->snap.copy.held && s->batch)) wb_batch_set_targets(s->batch, ~s->snap.copy.held);
    return s->batch ? WB_OK : WB_AGAIN;
}

static wb_str put_text(wb_batch *b, const char *p, size_t n) { return (wb_str){wb_batch_copy(b, p, n), n}; }

/* The batch's last transaction is the open one. One that ended without a change for us gives its place away. */
static wb_code enter_txn(my_source *s, wb_error *err)
{
    if (WB_LIKELY(s->txn.in_batch)) return WB_OK;
    wb_batch *b = s->batch;
    char gtid[MY_GTID_TEXT];
    size_t n = my_gtid_text(&s->txn.gtid, gtid);
    wb_pos at = my_at(s);
    if (!at.len) return my_nomem(err);
    wb_txn *t = s->slot_free ? wb_batch_last_txn(b) : wb_batch_txn(b);
    if (!t) return my_nomem(err);
    *t = (wb_txn){.commit_us = s->txn.commit_us,
                  .flags = s->txn.begun ? 0 : WB_TXN_BEGIN,
                  .server_id = s->txn.server_id,
                  .thread = s->txn.thread};
    if (s->server.flavor == MY_MARIADB) t->flags |= WB_TXN_MARIADB;
    t->id = put_text(b, s->txn.id, strlen(s->txn.id));
    if (n) t->global_id = put_text(b, gtid, n);
    t->log = put_text(b, s->log, strlen(s->log));
    t->at = (wb_pos){wb_batch_copy(b, at.ptr, at.len), at.len};
    s->txn.begun = s->txn.in_batch = true;
    s->slot_free = false;
    return WB_OK;
}

static wb_code begin_txn(my_source *s, const my_event *ev, wb_error *err)
{
    set_log(s, ev->log, s->offset);
    s->txn = (my_txn){.active = true,
                      .gtid = ev->gtid,
                      .start = ev->start,
                      .end = ev->end,
                      .commit_us = ev->commit_us,
                      .server_id = ev->server_id,
                      .thread = ev->thread_id};
    /* Not InnoDB's number: a compressed transaction tells that only at its end. */
    (void)snprintf(s->txn.id, sizeof s->txn.id, "%s:%" PRIu64, s->log, ev->start);
    return enter_txn(s, err);
}

static wb_code end_txn(my_source *s, const my_event *ev, wb_error *err)
{
    wb_code code = enter_txn(s, err);
    if (code == WB_OK) code = move_past(s, ev, err);
    if (code != WB_OK) return code;
    wb_pos end = my_here(s);
    if (!end.len) return too_long(err);
    wb_txn *t = wb_batch_last_txn(s->batch);
    if (!t) return my_nomem(err);
    t->end = (wb_pos){wb_batch_copy(s->batch, end.ptr, end.len), end.len};
    t->flags |= WB_TXN_END;
    s->slot_free = s->txn.rows == 0 && !wb_host_partial(s->host);
    s->txn = (my_txn){.active = false};
    s->idle_due = false;
    s->in_group = false;
    return WB_OK;
}

/* ---------------------------------------------------------------- steps */

/* The batch's last changes are of tables whose copy may go on. */
static wb_code mark_rows(my_source *s, uint64_t rows, wb_error *err)
{
    wb_code code = WB_OK;
    size_t n = wb_batch_count(s->batch);
    for (size_t i = n - WB_MIN(n, (size_t)rows); i < n && code == WB_OK; i++)
        code = sql_copy_mark(&s->snap.copy, wb_batch_at(s->batch, i), err);
    return code;
}

wb_code my_event_step(my_source *s, wb_error *err)
{
    s->in_steps = true;
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = my_batch_for(s, s->need, err);
    if (code == WB_OK && s->txn.active) code = enter_txn(s, err);
    if (code != WB_OK) return code;
    code = my_decoder_next(s->decoder, s->batch, s->batch_room, &ev, err);
    if (code == WB_AGAIN) {
        s->need = ev.need;
        return WB_OK;
    }
    s->need = 0;
    if (code != WB_OK) return code;
    switch (ev.kind) {
    case MY_EV_BEGIN: return begin_txn(s, &ev, err);
    case MY_EV_ROWS:
        s->txn.rows += ev.rows;
        return WB_UNLIKELY(s->snap.copy.wanted) ? mark_rows(s, ev.rows, err) : WB_OK;
    case MY_EV_DDL: return my_track_ddl(s, &ev, err);
    case MY_EV_COMMIT: return end_txn(s, &ev, err);
    default: return WB_OK;
    }
}

wb_code my_event_take(my_source *s, const my_event *ev, wb_error *err)
{
    wb_code code = WB_OK;
    switch (ev->kind) {
    case MY_EV_GROUP:
        s->in_group = true;
        s->in_steps = false;
        my_snap_sees(s, ev);
        s->need = 0;
        return WB_OK;
    case MY_EV_PREPARED:
        if (s->server.flavor == MY_MYSQL && s->set && ev->gtid.flavor != MY_UNKNOWN) {
            set_log(s, ev->log, ev->end);
            s->idle_due = true;
            return remember_prepared(s, ev, err);
        }
        code = move_past(s, ev, err);
        s->idle_due = true;
        return code;
    case MY_EV_ROTATE:
    case MY_EV_HEARTBEAT:
        move_log(s, ev->log, ev->end);
        s->idle_due = true;
        return WB_OK;
    case MY_EV_NOTHING:
    case MY_EV_FORMAT:
    case MY_EV_PREVIOUS:
        if (ev->end && ev->timestamp && !my_decoder_in_group(s->decoder) && s->log[0]) {
            move_log(s, ev->log, ev->end);
            s->idle_due = true;
        }
        return WB_OK;
    default: return WB_OK;
    }
}
