/* start_time.c: `start: {time: …}`: the place in what a slot has from which on the time has come: before the first
 * transaction, in the order of commits, that was committed at that time or later. The server finds no place by time, so
 * the slot is read from its beginning until there; nothing is confirmed meanwhile. Everything after the place is
 * delivered, so nothing committed since is lost. That the slot does not begin too late itself is known when it has
 * something older, or by its last use (17 and newer); else the start is refused. Called by open.c, at a first start;
 * from there on the place counts, which the state keeps: by reading it the slot was used. Source thread. */
#include <poll.h>
#include <stdio.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/fault.h"
#include "pg.h"
#include "sources/sql/start.h"

enum { ANSWER_EVERY_US = 250000, TICK_MS = 50, FREE_US = 60000000, LOOK_EVERY_US = 20000 };

typedef struct seeking {
    pg_source *s;
    int64_t us, now_us, used_us; /* used: since then nobody read the slot; 0: not known */
    pg_decoder *decoder;
    pg_lsn begin, end; /* what is read: from the slot's beginning to the log's end of now */
    pg_lsn place;      /* up to here all is older */
    bool inside, found, older;
    int64_t found_us;
} seeking;

/* ---------------------------------------------------------------- what the server knows */

static wb_code ask_number(pg_source *s, const char *why, const char *sql, int64_t *out, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query1(&s->side, why, sql, s->names.slot, &res, err);
    if (code != WB_OK) return code;
    *out = PQntuples(res) && !PQgetisnull(res, 0, 0) ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : 0;
    PQclear(res);
    return WB_OK;
}

static wb_code look_at_clock(seeking *f, wb_error *err)
{
    wb_code code = ask_number(
        f->s, "for its clock",
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 WHERE $1::text IS NOT NULL", &f->now_us, err);
    if (code == WB_OK && f->us > f->now_us) code = sql_start_ahead(f->us, f->now_us, err);
    if (code != WB_OK || f->s->side.version < 170000) return code;
    return ask_number(f->s, "when the replication slot was used",
                      "SELECT (extract(epoch FROM inactive_since) * 1000000)::int8 FROM pg_replication_slots"
                      " WHERE slot_name = $1",
                      &f->used_us, err);
}

/* A commit of ours, so that the stream comes to an end that it shows; a standby writes none. */
static wb_code mark_end(seeking *f, wb_error *err)
{
    pg_source *s = f->s;
    PGresult *res;
    wb_code code = WB_OK;
    if (!s->in_recovery)
        code = pg_do(&s->side, "to mark the end of its log",
                     "SET synchronous_commit = local; SELECT pg_logical_emit_message(true, 'walbrook', 'tip');"
                     " RESET synchronous_commit",
                     err);
    if (code == WB_OK)
        code = pg_query(&s->side, "where its log ends",
                        s->in_recovery ? "SELECT pg_last_wal_replay_lsn()" : "SELECT pg_current_wal_flush_lsn()", &res,
                        err);
    if (code != WB_OK) return code;
    bool fine = pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), &f->end);
    PQclear(res);
    return fine ? WB_OK : wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not say where its log ends.");
}

/* ---------------------------------------------------------------- reading */

/* Without streaming: each transaction comes whole, with the time of its commit first. */
static wb_code begin_reading(seeking *f, wb_error *err)
{
    pg_source *s = f->s;
    char lsn[PG_LSN_TEXT];
    wb_out sql = {0};
    PGresult *res;
    wb_out_z(&sql, "START_REPLICATION SLOT ");
    pg_put_ident_z(&sql, s->names.slot);
    wb_out_printf(&sql, " LOGICAL %s (proto_version '1', publication_names ", pg_lsn_text(f->begin, lsn));
    pg_put_literal(&sql, wb_out_cstr(&s->pub_list));
    if (s->repl.version >= 140000) wb_out_z(&sql, ", messages 'true'");
    if (s->origin == PG_ORIGIN_NONE) wb_out_z(&sql, ", origin 'none'");
    wb_out_z(&sql, ")");
    wb_code code = pg_query(&s->repl, "to send its log", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    ExecStatusType st = PQresultStatus(res);
    PQclear(res);
    if (st != PGRES_COPY_BOTH)
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not begin to send its log.");
    return PQsetnonblocking(s->repl.pg, 1) == 0 ? WB_OK : pg_nomem(err);
}

/* That we are here, and have nothing for good. */
static wb_code answer(seeking *f, wb_error *err)
{
    uint8_t msg[PG_STATUS_LEN];
    PGconn *pg = f->s->repl.pg;
    pg_status_make(msg, f->begin, 0, wb_now_us(), true);
    if (PQputCopyData(pg, (const char *)msg, sizeof msg) >= 0 && PQflush(pg) >= 0) return WB_OK;
    return pg_fail_result(&f->s->repl, NULL, "for its log", err);
}

static wb_code take_message(seeking *f, const pg_frame *frame, wb_error *err)
{
    pg_event ev;
    char type = frame->len ? (char)frame->body[0] : 0;
    if (type != 'B' && type != 'C') return WB_OK;
    wb_code code = pg_decode(f->decoder, frame->body, frame->len, frame->start, NULL, &ev, err);
    if (code != WB_OK) return code;
    f->inside = type == 'B';
    if (type == 'C') {
        f->place = WB_MAX(f->place, ev.end_lsn);
    } else if (ev.commit_us >= f->us) {
        f->found = true;
        f->found_us = ev.commit_us;
    } else {
        f->older = true;
    }
    return WB_OK;
}

/* *done: the place is found, or all that the log had is read. */
static wb_code take(seeking *f, const char *p, int n, bool *done, wb_error *err)
{
    pg_frame frame;
    wb_code code = pg_frame_parse(p, (size_t)n, &frame, err);
    if (code != WB_OK) return code;
    if (frame.kind == 'k') {
        *done = !f->inside && frame.end >= f->end;
        return *done || !frame.reply ? WB_OK : answer(f, err);
    }
    code = take_message(f, &frame, err);
    *done = f->found;
    return code;
}

static wb_code stream_over(seeking *f, int n, wb_error *err)
{
    pg_link *l = &f->s->repl;
    PGresult *res = n == -1 ? PQgetResult(l->pg) : NULL;
    wb_code code = pg_fail_result(l, res, "to go on sending its log", err);
    PQclear(res);
    return code;
}

static wb_code read_on(seeking *f, wb_error *err)
{
    pg_source *s = f->s;
    bool done = false;
    wb_code code = answer(f, err);
    for (int64_t at = wb_mono_us() + ANSWER_EVERY_US; code == WB_OK && !done;) {
        char *p = NULL;
        if (pg_stopped(s, s->host)) return pg_fail_stopped(err);
        int n = PQgetCopyData(s->repl.pg, &p, 1);
        if (n > 0) code = take(f, p, n, &done, err);
        if (p) PQfreemem(p);
        if (n < 0) return stream_over(f, n, err);
        if (n == 0) {
            struct pollfd fd = {PQsocket(s->repl.pg), POLLIN, 0};
            (void)poll(&fd, 1, TICK_MS);
            if (!PQconsumeInput(s->repl.pg)) return pg_fail_result(&s->repl, NULL, "for its log", err);
        }
        if (code == WB_OK && !done && wb_mono_us() >= at) {
            code = answer(f, err);
            at = wb_mono_us() + ANSWER_EVERY_US;
        }
    }
    return code;
}

/* The server ends its side when it notices; until then nobody else can use the slot. */
static wb_code leave_slot(seeking *f, wb_error *err)
{
    pg_source *s = f->s;
    pg_slot slot = {.active = true};
    wb_code code = WB_OK;
    pg_link_close(&s->repl);
    for (int64_t until = wb_mono_us() + FREE_US; slot.active && code == WB_OK;) {
        if (pg_stopped(s, s->host)) return pg_fail_stopped(err);
        code = pg_slot_look(&s->side, s->names.slot, &slot, err);
        if (code == WB_OK && slot.active && wb_mono_us() > until) return pg_slot_active(&slot, s->names.slot, err);
        if (slot.active) wb_sleep_us(LOOK_EVERY_US);
    }
    if (code == WB_OK) code = pg_link_open(&s->repl, s, s->host, PG_REPLICATION, err);
    if (code == WB_OK && !pg_link_same(&s->side, &s->repl))
        code = wb_fail(err, WB_E_NET, WB_RECONNECT, "The primary changed while we connected.");
    return code;
}

/* ---------------------------------------------------------------- what the state keeps */

/* "SYSTEM LSN TIME": a slot that begins there was not used since. Our reading is use, too: so it is noted before. */
static wb_code note_use(seeking *f, wb_error *err)
{
    char kept[120], want[80], system[40], value[120], lsn[PG_LSN_TEXT];
    wb_code code = sql_fact_get(f->s->host, "start_slot", kept, sizeof kept, err);
    if (code == WB_OK) code = sql_fact_get(f->s->host, "system_id", system, sizeof system, err);
    if (code != WB_OK) return code;
    int n = snprintf(want, sizeof want, "%s %s ", system, pg_lsn_text(f->begin, lsn));
    int64_t before = strncmp(kept, want, (size_t)n) == 0 ? strtoll(kept + n, NULL, 10) : 0;
    if (before && (!f->used_us || before < f->used_us)) f->used_us = before;
    if (!f->used_us || before == f->used_us) return WB_OK;
    (void)snprintf(value, sizeof value, "%s%lld", want, (long long)f->used_us);
    return sql_fact_put(f->s->host, "start_slot", value, err);
}

/* "TIME SYSTEM LSN": found before, and not stored by a target. */
static wb_code recall(seeking *f, const pg_slot *slot, bool *known, wb_error *err)
{
    char kept[120], system[40], want[80];
    *known = false;
    wb_code code = sql_fact_get(f->s->host, "start_time", kept, sizeof kept, err);
    if (code == WB_OK) code = sql_fact_get(f->s->host, "system_id", system, sizeof system, err);
    if (code != WB_OK) return code;
    int n = snprintf(want, sizeof want, "%lld %s ", (long long)f->us, system);
    pg_lsn lsn;
    if (strncmp(kept, want, (size_t)n) != 0 || !pg_lsn_parse(wb_str_of(kept + n), &lsn)) return WB_OK;
    *known = lsn >= slot->confirmed && lsn <= slot->log_end;
    if (*known) f->place = lsn;
    return WB_OK;
}

static wb_code keep(const seeking *f, wb_error *err)
{
    char value[120], system[40], lsn[PG_LSN_TEXT];
    wb_code code = sql_fact_get(f->s->host, "system_id", system, sizeof system, err);
    if (code != WB_OK) return code;
    (void)snprintf(value, sizeof value, "%lld %s %s", (long long)f->us, system, pg_lsn_text(f->place, lsn));
    return sql_fact_put(f->s->host, "start_time", value, err);
}

/* ---------------------------------------------------------------- all of it */

static wb_code refuse_late(const seeking *f, wb_error *err)
{
    char at[WB_TIME_TEXT], lsn[PG_LSN_TEXT], first[WB_TIME_TEXT];
    const char *slot = f->s->names.slot;
    pg_lsn_text(f->begin, lsn);
    if (f->used_us)
        wb_fail(err, WB_E_GAP, WB_NEVER,
                "start: time is %s, and the replication slot %s begins at %s, where somebody read it to, or made it, "
                "at %s: "
                "whether what was committed between is still in it cannot be known.",
                wb_time_text(f->us, at), slot, lsn, wb_time_text(f->used_us, first));
    else
        wb_fail(
            err, WB_E_GAP, WB_NEVER,
            "start: time is %s, and the replication slot %s, which begins at %s, has nothing that was committed before "
            "that: whether it has all that was committed since cannot be known.",
            wb_time_text(f->us, at), slot, lsn);
    wb_hint(err,
            "To take what the slot has: start: {lsn: %s}. To have everything: copy the tables (snapshot: initial), "
            "without `start`.",
            lsn);
    return WB_E_GAP;
}

static void say_found(const seeking *f)
{
    char at[WB_TIME_TEXT], first[WB_TIME_TEXT], lsn[PG_LSN_TEXT];
    wb_time_text(f->us, at);
    wb_host_log(f->s->host, WB_LOG_INFO,
                f->found ? "start: time %s is %s: the first transaction since then was committed at %s"
                         : "start: time %s is %s: nothing came since then",
                at, pg_lsn_text(f->place, lsn), f->found ? wb_time_text(f->found_us, first) : "");
}

wb_code pg_start_time(pg_source *s, const pg_slot *slot, int64_t us, bool search, pg_lsn *out, wb_error *err)
{
    seeking f = {.s = s, .us = us, .begin = slot->confirmed, .place = slot->confirmed};
    bool known;
    wb_code code = recall(&f, slot, &known, err);
    if (code == WB_OK && known) *out = f.place;
    if (code != WB_OK || known || !search) return code;
    f.decoder = pg_decoder_new(pg_relation_hook, s, (size_t)wb_host_max_row(s->host));
    if (!f.decoder) return pg_nomem(err);
    code = look_at_clock(&f, err);
    if (code == WB_OK) code = note_use(&f, err);
    if (code == WB_OK) code = pg_walsender_remember(s, err);
    if (code == WB_OK) code = mark_end(&f, err);
    if (code == WB_OK) wb_host_log(s->host, WB_LOG_INFO, "looks for the start in what the slot %s has", s->names.slot);
    if (code == WB_OK) code = begin_reading(&f, err);
    if (code == WB_OK) code = read_on(&f, err);
    (void)WB_FAULT("postgres.start_time_read");
    if (code == WB_OK) code = leave_slot(&f, err);
    bool proven = f.older || (f.used_us && f.used_us <= us);
    if (code == WB_OK && !proven) code = refuse_late(&f, err);
    if (code == WB_OK) code = keep(&f, err);
    (void)WB_FAULT("postgres.start_time_kept");
    if (code == WB_OK) say_found(&f);
    *out = f.place;
    pg_decoder_free(f.decoder);
    return code;
}
