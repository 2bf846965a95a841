/* feedback.c: what the server hears from us, by timer, whatever the targets do: how far we received, and how far every
 * target has it durably. Only the latter lets it drop log. Source thread. */
#include "pg.h"

#include "base/clock.h"

enum { SETTLE_EVERY_US = 1000000, ASK_EVERY_US = 100000 };

void pg_settled(pg_source *s, pg_lsn lsn)
{
    if (lsn <= s->settled) return;
    s->settled = lsn;
    s->status_due = true;
}

wb_code pg_status_send(pg_source *s, bool reply, wb_error *err)
{
    uint8_t msg[PG_STATUS_LEN];
    if (!s->started) return WB_OK;
    pg_lsn write = WB_MAX(s->received, s->settled);
    pg_status_make(msg, write, s->settled, wb_now_us(), reply);
    if (PQputCopyData(s->repl.pg, (const char *)msg, sizeof msg) < 0 || PQflush(s->repl.pg) < 0)
        return pg_fail_result(&s->repl, NULL, "for its log", err);
    s->status_at_us = wb_mono_us();
    s->reported = s->settled;
    s->status_due = false;
    return WB_OK;
}

/* Ours; the stream skips it when it comes back, the transaction around it moves an idle pipeline on. */
static void heartbeat(pg_source *s, int64_t now)
{
    if (!s->heartbeat_ms || now < s->heartbeat_at_us) return;
    s->heartbeat_at_us = now + s->heartbeat_ms * 1000;
    wb_error ignored;
    wb_error_reset(&ignored);
    if (pg_link_dead(&s->side)) {
        pg_link_close(&s->side);
        if (pg_link_open(&s->side, s, s->host, PG_SQL, &ignored) != WB_OK) return;
    }
    if (pg_do(&s->side, "for a heartbeat", "SELECT pg_logical_emit_message(true, 'walbrook', 'heartbeat')", &ignored) !=
        WB_OK)
        wb_host_log(s->host, WB_LOG_WARN, "the heartbeat failed: %s", ignored.message);
}

/* Where the stream is awaited: by `--until now`, by a snapshot that is to be copied there, by leaves.c. 0: nowhere. */
static pg_lsn awaited(const pg_source *s)
{
    pg_lsn tip = atomic_load_explicit(&s->tip_wanted, memory_order_relaxed);
    tip = WB_MAX(tip, s->leaves.until);
    return s->snap.copy.phase == SQL_COPY_REACH ? WB_MAX(tip, s->snap.point) : tip;
}

/* `--until now` waits for a place in the log that an idle server may not have told us yet: ask. */
static bool must_ask(const pg_source *s, int64_t now)
{
    pg_lsn tip = awaited(s);
    return tip && s->received < tip && now - s->heard_us > ASK_EVERY_US && now - s->asked_us > ASK_EVERY_US;
}

wb_code pg_timers(pg_source *s, wb_error *err)
{
    int64_t now = wb_mono_us();
    heartbeat(s, now);
    pg_watch_tables(s, now);
    bool ask = must_ask(s, now);
    if (ask) s->asked_us = now;
    if (ask || now - s->status_at_us >= s->status_every_us ||
        (s->status_due && now - s->status_at_us >= SETTLE_EVERY_US))
        return pg_status_send(s, ask, err);
    (void)PQflush(s->repl.pg); /* what a full socket did not take */
    return WB_OK;
}

int64_t pg_timers_left(const pg_source *s, int64_t now)
{
    int64_t at = s->status_at_us + s->status_every_us;
    if (s->status_due) at = WB_MIN(at, s->status_at_us + SETTLE_EVERY_US);
    if (s->heartbeat_ms) at = WB_MIN(at, s->heartbeat_at_us);
    if (s->idle_to) at = WB_MIN(at, s->idle_at_us);
    at = WB_MIN(at, s->ddl.watch_at_us);
    if (awaited(s) > s->received) at = WB_MIN(at, now + ASK_EVERY_US);
    return WB_MAX(at - now, 0);
}
