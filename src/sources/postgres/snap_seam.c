/* snap_seam.c: where a copy and the stream meet. Only a snapshot that the server exported for a replication slot says
 * which transactions it contains: those before the slot's point. The first copy uses that of our own slot. Every other
 * one, of a table that was added or after a crash, borrows the snapshot of a temporary slot while the stream goes on,
 * and waits until the stream has brought all before its point and nothing after it. Source thread. */
#include "pg.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"

enum { RETRY_US = 5000000, NEAR = 16 << 20, PAUSE_US = 2000000, PAUSE_MAX_US = 60000000 };

/* ---------------------------------------------------------------- making one */

/* Nothing is lost: the stream flows, the copy comes later. */
static wb_code later(pg_source *s, wb_error *why, wb_error *err)
{
    pg_snap *n = &s->snap;
    pg_link_close(&n->maker);
    pg_snap_workers_close(s);
    n->copy.phase = SQL_COPY_OFF;
    n->retry_us = wb_mono_us() + RETRY_US;
    if (why->code == WB_E_STOPPED || why->next == WB_NEVER) {
        *err = *why;
        return why->code;
    }
    wb_host_log(s->host, WB_LOG_WARN, "the copy of tables waits: %s", why->message);
    return WB_OK;
}

/* Whoever waits long for the snapshot would keep the server from cleaning up: first nearly all of the log. */
static bool is_near(const pg_source *s) { return s->received + NEAR >= s->snap.near; }

static wb_code begin(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    char name[PG_NAME];
    wb_code code = pg_side(s, err);
    if (code == WB_OK) code = pg_snap_describe(s, err);
    if (code != WB_OK || !sql_ledger_lacks(&n->copy.ledger, n->copy.running)) return code;
    (void)snprintf(name, sizeof name, "walbrook_copy_%d_%llx", (int)getpid(),
                   (unsigned long long)wb_now_us() & 0xffffffffffu);
    code = pg_link_open(&n->maker, s, s->host, PG_REPLICATION, err);
    if (code != WB_OK) return code;
    wb_out sql = {0};
    pg_slot_put_create(&n->maker, name, true, true, false, &sql);
    const char *text = wb_out_cstr(&sql);
    int sent = text ? PQsendQuery(n->maker.pg, text) : 0;
    wb_out_fini(&sql);
    if (!sent) return pg_fail_result(&n->maker, NULL, "for a snapshot", err);
    code = pg_batch_put(s, err);
    n->copy.phase = SQL_COPY_MAKING;
    n->making_us = wb_mono_us();
    n->pause_us = n->pause_us ? WB_MIN(2 * n->pause_us, (int64_t)PAUSE_MAX_US) : PAUSE_US;
    n->paused_until = n->making_us + n->pause_us;
    n->blockers = (pg_blockers){.s = s, .next_us = RETRY_US};
    return code;
}

static wb_code take(pg_source *s, char *snapshot, wb_error *err)
{
    pg_snap *n = &s->snap;
    PGresult *res = PQgetResult(n->maker.pg);
    wb_code code = PQresultStatus(res) == PGRES_TUPLES_OK ? pg_slot_answer(res, true, &n->point, snapshot, err)
                                                          : pg_fail_result(&n->maker, res, "for a snapshot", err);
    PQclear(res);
    return code;
}

static wb_code poll_maker(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    char snapshot[PG_NAME];
    if (!PQconsumeInput(n->maker.pg)) return pg_fail_result(&n->maker, NULL, "for a snapshot", err);
    if (PQisBusy(n->maker.pg)) {
        if (!pg_side(s, err)) pg_slot_blockers(&n->blockers, wb_mono_us() - n->making_us);
        return WB_OK;
    }
    wb_code code = take(s, snapshot, err);
    if (code == WB_OK && n->last >= n->point) { /* the stream went on meanwhile */
        pg_link_close(&n->maker);
        n->copy.phase = SQL_COPY_OFF;
        return WB_OK;
    }
    n->pause_us = 0;
    if (code == WB_OK) code = pg_snap_workers_open(s, snapshot, err);
    if (code != WB_OK) return code;
    pg_link_close(&n->maker); /* the temporary slot goes with it; the snapshot stays with those who use it */
    (void)WB_FAULT("postgres.copy_snapshot");
    char at[PG_LSN_TEXT];
    wb_host_log(s->host, WB_LOG_DEBUG, "has a snapshot as of %s; the stream goes there first",
                pg_lsn_text(n->point, at));
    n->copy.phase = SQL_COPY_REACH;
    return WB_OK;
}

wb_code pg_snap_tend(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_error why;
    wb_error_reset(&why);
    if (n->copy.phase == SQL_COPY_OFF) {
        if (!n->copy.wanted || wb_mono_us() < n->retry_us || !is_near(s)) return WB_OK;
        n->copy.wanted = sql_ledger_lacks(&n->copy.ledger, n->copy.running);
        return n->copy.wanted && begin(s, &why) != WB_OK ? later(s, &why, err) : WB_OK;
    }
    if (n->copy.phase == SQL_COPY_MAKING) return poll_maker(s, &why) != WB_OK ? later(s, &why, err) : WB_OK;
    return WB_OK;
}

bool pg_snap_rests(const pg_source *s)
{
    return s->snap.copy.phase == SQL_COPY_MAKING && wb_mono_us() < s->snap.paused_until;
}

/* The stream rests: until the server answers, for at most about `ms`. */
wb_code pg_snap_rest(pg_source *s, int ms, wb_error *err)
{
    struct pollfd fds[2] = {{PQsocket(s->snap.maker.pg), POLLIN, 0}, {wb_host_fd(s->host), POLLIN, 0}};
    if (poll(fds, 2, ms) > 0 && fds[1].revents) wb_host_fd_clear(s->host);
    return pg_timers(s, err);
}

/* ---------------------------------------------------------------- reaching it */

static uint64_t be64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

/* Commits come in their order: the first one at or behind the point is not in the snapshot, all before it were handed
 * over. `p` is the CopyData that comes next: Begin has the place of its commit record, and so has Stream Commit. */
bool pg_snap_stops(const pg_source *s, const char *p, size_t n)
{
    pg_frame f;
    if (s->snap.copy.phase != SQL_COPY_REACH || s->txn.active || s->replay) return false;
    if (pg_frame_parse(p, n, &f, NULL) != WB_OK || f.kind != 'w') return false;
    const char *body = (const char *)f.body;
    if (f.len >= 9 && body[0] == 'B') return be64(body + 1) >= s->snap.point;
    if (f.len >= 14 && body[0] == 'c') return be64(body + 6) >= s->snap.point;
    return false;
}

bool pg_snap_reached(const pg_source *s)
{
    return s->snap.copy.phase == SQL_COPY_REACH && !s->txn.active && !s->replay && s->snap.passed >= s->snap.point;
}
