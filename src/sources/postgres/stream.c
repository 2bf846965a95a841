/* stream.c: START_REPLICATION and the read loop. The loop reads lazily: sources/sql/lull.h. Source thread. */
#include "pg.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"

enum { TIMERS_EVERY = 1023, GOODBYE_US = 200000 };

/* ---------------------------------------------------------------- starting */

wb_code pg_options_fit(const pg_source *s, int version, wb_error *err)
{
    const struct {
        bool asked;
        int since;
        const char *option, *hint;
    } all[] = {
        {s->messages, 14, "messages",
         "An older server keeps them to itself; rows of a table of their own do the same."},
        {s->origin == PG_ORIGIN_NONE, 16, "origin: none",
         "An older server does not tell where a change was made first. A filter on a column of your own can keep a "
         "two-way copy from going round in circles."},
        {s->generated_columns == PG_GENERATED_STORED, 18, "generated_columns: stored",
         "An older server never sends generated columns; compute them at the target."},
    };
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        if (!all[i].asked || version / 10000 >= all[i].since) continue;
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "%s needs PostgreSQL %d or newer, and this server is %d.",
                all[i].option, all[i].since, version / 10000);
        wb_hint(err, "%s", all[i].hint);
        return WB_E_UNSUPPORTED;
    }
    return WB_OK;
}

/* The newest protocol that the server speaks. All of 3 and 4 is two_phase and streaming 'parallel', which we do not ask
 * for; messages of both are understood, since a slot's own settings win. */
static void put_options(pg_source *s, wb_out *sql)
{
    int version = s->repl.version;
    bool streaming = s->streaming && !s->streaming_off && version >= 140000;
    int proto = version >= 160000 ? 4 : version >= 150000 ? 3 : version >= 140000 ? 2 : 1;
    wb_out_printf(sql, " (proto_version '%d', publication_names ", proto);
    pg_put_literal(sql, wb_out_cstr(&s->pub_list));
    if (version >= 140000) wb_out_z(sql, ", messages 'true'");
    if (streaming) wb_out_z(sql, ", streaming 'on'");
    if (s->origin == PG_ORIGIN_NONE) wb_out_z(sql, ", origin 'none'");
    wb_out_z(sql, ")");
}

static wb_code read_timeout(pg_source *s, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query(&s->side, "for its settings",
                            "SELECT setting::int8 FROM pg_settings WHERE name = 'wal_sender_timeout'", &res, err);
    if (code != WB_OK) return code;
    s->status_every_us = s->status_interval_ms * 1000;
    unsigned long ms = PQntuples(res) ? strtoul(PQgetvalue(res, 0, 0), NULL, 10) : 0;
    if (ms) s->status_every_us = WB_MIN(s->status_every_us, (int64_t)ms * 1000 / 3);
    PQclear(res);
    return WB_OK;
}

wb_code pg_stream_start(pg_source *s, pg_lsn from, wb_error *err)
{
    char lsn[PG_LSN_TEXT];
    wb_out sql = {0};
    PGresult *res;
    wb_code code = read_timeout(s, err);
    if (code == WB_OK) code = pg_walsender_remember(s, err);
    if (code != WB_OK) return code;
    wb_out_z(&sql, "START_REPLICATION SLOT ");
    pg_put_ident_z(&sql, s->names.slot);
    wb_out_printf(&sql, " LOGICAL %s", pg_lsn_text(from, lsn));
    put_options(s, &sql);
    code = pg_query(&s->repl, "to send its log", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    ExecStatusType st = PQresultStatus(res);
    PQclear(res);
    if (st != PGRES_COPY_BOTH)
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not begin to send its log.");
    if (PQsetnonblocking(s->repl.pg, 1) != 0) return pg_nomem(err);
    s->start = from;
    s->started = true;
    s->received = from;
    s->heard_us = wb_mono_us();
    sql_lull_begin(&s->lull, PQsocket(s->repl.pg));
    wb_host_log(s->host, WB_LOG_INFO, "streams from %s, slot %s", lsn, s->names.slot);
    pg_watch_begin(s);
    return pg_status_send(s, false, err);
}

/* ---------------------------------------------------------------- the end of a stream */

/* The slot may be lost: the view says so in every version, the error's text differs. */
static wb_code judge_end(pg_source *s, wb_error *err)
{
    wb_error ignored;
    wb_error_reset(&ignored);
    pg_slot slot;
    bool asked = !pg_link_dead(&s->side) && pg_slot_look(&s->side, s->names.slot, &slot, &ignored) == WB_OK;
    if (asked && slot.lost) {
        wb_error_reset(err);
        return pg_slot_lost(s, &slot, s->settled, err);
    }
    if (err && err->next == WB_RETRY) err->next = WB_RECONNECT; /* this stream is over */
    return err ? err->code : WB_E_NET;
}

static wb_code stream_over(pg_source *s, int n, wb_error *err)
{
    s->started = false;
    PGresult *res = n == -1 ? PQgetResult(s->repl.pg) : NULL;
    ExecStatusType st = res ? PQresultStatus(res) : PGRES_FATAL_ERROR;
    if (st == PGRES_COMMAND_OK || st == PGRES_COPY_IN || st == PGRES_COPY_OUT)
        wb_fail(err, WB_E_NET, WB_RECONNECT, "The server ended the stream; it is probably shutting down.");
    else
        (void)pg_fail_result(&s->repl, res, "to go on sending its log", err);
    PQclear(res);
    return judge_end(s, err);
}

void pg_stream_end(pg_source *s)
{
    if (!s->started || pg_link_dead(&s->repl)) return;
    wb_error ignored;
    wb_error_reset(&ignored);
    (void)!pg_status_send(s, false, &ignored);
    s->started = false;
    (void)PQputCopyEnd(s->repl.pg, NULL);
    int64_t until = wb_mono_us() + GOODBYE_US; /* the slot is free when the server has said goodbye */
    while (wb_mono_us() < until) {
        char *p;
        (void)PQflush(s->repl.pg);
        int n = PQgetCopyData(s->repl.pg, &p, 1);
        if (n > 0) PQfreemem(p);
        if (n < 0) return;
        struct pollfd fd = {PQsocket(s->repl.pg), POLLIN, 0};
        if (n == 0 && poll(&fd, 1, 20) > 0 && !PQconsumeInput(s->repl.pg)) return;
    }
}

/* ---------------------------------------------------------------- reading */

static bool readable(const pg_source *s)
{
    struct pollfd fd = {PQsocket(s->repl.pg), POLLIN, 0};
    return poll(&fd, 1, 0) > 0;
}

static wb_code consume(pg_source *s, wb_error *err)
{
    if (PQconsumeInput(s->repl.pg)) return WB_OK;
    s->started = false;
    pg_fail_result(&s->repl, NULL, "for its log", err);
    return judge_end(s, err);
}

/* Sleep until the server sends, the engine wants something, a timer or `until`. */
static wb_code sleep_on(pg_source *s, bool socket, int64_t until, wb_error *err)
{
    int64_t now = wb_mono_us();
    int64_t left = WB_MIN(until - now, pg_timers_left(s, now));
    struct pollfd fds[2] = {{wb_host_fd(s->host), POLLIN, 0}, {PQsocket(s->repl.pg), POLLIN, 0}};
    if (left < 0) left = 0;
    if (poll(fds, socket ? 2 : 1, (int)((left + 999) / 1000)) > 0 && fds[0].revents) wb_host_fd_clear(s->host);
    return pg_timers(s, err);
}

static bool pause_pays(pg_source *s) { return sql_lull_pause(&s->lull) && readable(s); }

/* The socket gave nothing. A few small transactions are handed over before the pause. */
static wb_code when_dry(pg_source *s, int64_t until, wb_error *err)
{
    if (readable(s)) return consume(s, err);
    wb_code code = WB_OK;
    bool flood = sql_lull_flood(&s->lull);
    if (flood && pause_pays(s)) return consume(s, err);
    bool holds = s->batch && wb_batch_last_txn(s->batch);
    if (holds || s->idle_to) {
        bool now = !holds || !sql_lull_more(s->host, PQsocket(s->repl.pg), false);
        code = now ? pg_batch_put(s, err) : WB_OK;
        if (code != WB_OK || !now) return code == WB_OK ? consume(s, err) : code;
    }
    if (pause_pays(s)) return consume(s, err);
    code = consume(s, err); /* what TLS has read ahead does not show in poll() */
    if (code != WB_OK) return code;
    return sleep_on(s, true, until, err);
}

/* WB_OK: one message was taken in; WB_AGAIN: no budget for it. */
static wb_code take_in(pg_source *s, char *p, int n, wb_error *err)
{
    bool stops = WB_UNLIKELY(s->snap.copy.phase == SQL_COPY_REACH) && pg_snap_stops(s, p, (size_t)n);
    wb_code code = stops ? WB_END : pg_message(s, p, (size_t)n, err);
    if (code == WB_AGAIN || code == WB_END) {
        s->pending = p;
        s->pending_len = n;
        return code;
    }
    sql_lull_took(&s->lull, (size_t)n);
    PQfreemem(p);
    if (code == WB_OK && s->batch && wb_batch_full(s->batch)) code = pg_batch_put(s, err);
    return code;
}

/* One turn. *dry: nothing was there. */
static wb_code turn(pg_source *s, bool *dry, wb_error *err)
{
    if (s->replay) return pg_replay_step(s, err);
    if (!s->batch) {
        wb_code code = pg_batch_for(s, 0, err);
        if (code != WB_OK) return code;
    }
    char *p = s->pending;
    int n = s->pending_len;
    s->pending = NULL;
    if (!p) n = PQgetCopyData(s->repl.pg, &p, 1);
    if (WB_LIKELY(n > 0)) return take_in(s, p, n, err);
    if (n < 0) return stream_over(s, n, err);
    *dry = true;
    return WB_OK;
}

wb_code pg_stream_read(pg_source *s, int ms, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    uint64_t before = s->received_messages;
    for (;;) {
        bool dry = false;
        wb_code code = turn(s, &dry, err);
        if (code == WB_AGAIN) { /* no budget: the socket rests, the server hears from us */
            code = sleep_on(s, false, until, err);
            if (code != WB_OK) return code;
        } else if (code != WB_OK) {
            return code;
        }
        if (WB_UNLIKELY(s->snap.copy.phase == SQL_COPY_REACH) && pg_snap_reached(s)) return WB_END;
        if (dry) {
            code = when_dry(s, until, err);
            if (code != WB_OK) return code;
        } else if ((++s->received_messages & TIMERS_EVERY) != 0 && !s->replay) {
            continue;
        }
        code = pg_timers(s, err);
        if (code != WB_OK) return code;
        if (pg_stopped(s, s->host) || wb_mono_us() >= until) break;
    }
    return s->received_messages == before ? WB_AGAIN : WB_OK;
}
