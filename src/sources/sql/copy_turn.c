/* copy_turn.c: turns and rounds. A turn is a group of chunks that is handed over as one pseudo transaction: a target
 * has all of it or gets it again. It takes no new chunk after `snapshot_turn` and ends when those that were begun are
 * read; its note is in the state before its end goes out. A round is all turns of one snapshot. Source thread. */
#include "copy.h"

#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"

enum { TURN_BYTES = 256 << 20, AHEAD_BYTES = 32 << 10, AHEAD_NS = 300000 };

/* ---------------------------------------------------------------- turns */

static void open_turn(sql_copy *c, uint64_t mask)
{
    c->turn = true;
    c->begun = c->closing = c->noted = false;
    c->seq = ++c->ledger.seq;
    c->mask = mask;
    c->nrefs = 0;
    c->bytes = c->waited = 0;
    c->ordinal = 0;
    c->cursor = 0;
    c->turn_until = wb_mono_us() + c->turn_ms * 1000;
    for (size_t i = 0; i < c->nworkers; i++) {
        sql_worker *w = &c->workers[i];
        if (w->job && w->early) w->early = sql_chunk_lacks(w->job, &w->job->chunks[w->chunk], c->running) != mask;
    }
}

/* For whom the next turn is. 0: nothing is left (of this round). */
static uint64_t next_mask(sql_copy *c)
{
    sql_job *j = NULL;
    size_t chunk = 0;
    c->cursor = 0;
    for (size_t i = 0; i < c->nworkers; i++)
        if (c->workers[i].job)
            return sql_chunk_lacks(c->workers[i].job, &c->workers[i].job->chunks[c->workers[i].chunk], c->running);
    return sql_copy_pick(c, NULL, 0, &j, &chunk) ? sql_chunk_lacks(j, &j->chunks[chunk], c->running) : 0;
}

static void count_given(sql_copy *c)
{
    for (size_t i = 0; i < c->nrefs; i++) {
        sql_job *j = sql_ledger_find(&c->ledger, c->refs[i].table);
        if (!j) continue;
        j->chunks[c->refs[i].chunk].given |= c->mask;
        j->chunks[c->refs[i].chunk].taken = false;
    }
}

/* The note is durable, then the end goes out, and with it what the batch still holds. */
static wb_code close_turn(sql_copy *c, wb_error *err)
{
    wb_code code = sql_copy_room(c, 0, err);
    if (code != WB_OK) return code;
    if (!c->noted) {
        code = sql_copy_note(c, err);
        if (code != WB_OK) return code;
        c->noted = true;
    }
    wb_pos end = {NULL, 0};
    code = c->ops->position(c->source, c->seq, c->batch, &end, err);
    if (code != WB_OK) return code;
    count_given(c);
    bool all = !sql_ledger_lacks(&c->ledger, c->running);
    wb_change *last = wb_batch_last_change(c->batch);
    if (all && last && last->op == WB_READ) last->flags |= WB_C_LAST_OF_SNAPSHOT;
    wb_txn *t = wb_batch_last_txn(c->batch);
    t->flags |= WB_TXN_END;
    t->end = end;
    wb_batch *b = c->batch;
    c->batch = NULL;
    c->in_batch = false;
    code = wb_host_put(c->host, b, err);
    (void)WB_FAULT("copy.turn_over");
    c->turn = false;
    c->reset = c->again = false;
    c->held &= ~c->mask;
    return code;
}

wb_code sql_copy_reset(sql_copy *c, wb_error *err)
{
    if (!c->turn) {
        open_turn(c, c->fresh ? c->fresh : c->redo);
        c->reset = true;
        c->again = !c->fresh;
    }
    wb_code code = close_turn(c, err);
    if (code != WB_OK) return code;
    if (c->mask == c->fresh)
        c->fresh = 0;
    else
        c->redo = 0;
    return WB_OK;
}

static bool any_reading(const sql_copy *c)
{
    for (size_t i = 0; i < c->nworkers; i++)
        if (c->workers[i].job && !c->workers[i].early) return true;
    return false;
}

/* ---------------------------------------------------------------- waiting */

/* In the midst of many rows the servers get ahead: a wake-up for each packet costs both sides more than its rows. */
static bool lets_them_ahead(sql_copy *c)
{
    const struct timespec pause = {0, AHEAD_NS};
    bool many = c->bytes - c->waited >= AHEAD_BYTES;
    c->waited = c->bytes;
    if (!many) return false;
    (void)nanosleep(&pause, NULL);
    for (size_t i = 0; i < c->nworkers; i++) c->workers[i].dry = false;
    return true;
}

static void wait_for_rows(sql_copy *c, int64_t until)
{
    if (lets_them_ahead(c)) return;
    struct pollfd fds[SQL_WORKERS_MAX];
    sql_worker *who[SQL_WORKERS_MAX];
    nfds_t many = 0;
    int64_t left = WB_MIN(until - wb_mono_us(), (int64_t)100000);
    for (size_t i = 0; i < c->nworkers; i++) {
        sql_worker *w = &c->workers[i];
        if (!sql_copy_wants(c, w)) continue;
        who[many] = w;
        fds[many++] = (struct pollfd){c->ops->fd(w), POLLIN, 0};
    }
    if (poll(fds, many, left > 0 ? (int)(left / 1000 + 1) : 0) <= 0) return;
    for (nfds_t i = 0; i < many; i++)
        if (fds[i].revents) who[i]->dry = false;
}

static wb_code wait_for_budget(sql_copy *c, int64_t until)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fd = {wb_host_fd(c->host), POLLIN, 0};
    if (left > 0 && poll(&fd, 1, (int)(left / 1000 + 1)) > 0) wb_host_fd_clear(c->host);
    return WB_AGAIN;
}

static void all_told(sql_copy *c)
{
    wb_host_progress(c->host, NULL, 0, 0);
    wb_host_copying(c->host, sql_ledger_lacks(&c->ledger, c->running));
}

/* One step. WB_END: the round is over. */
static wb_code step(sql_copy *c, int64_t until, wb_error *err)
{
    if (c->fresh || c->redo) return sql_copy_reset(c, err);
    if (!c->turn) {
        uint64_t mask = next_mask(c);
        if (!mask) return WB_END;
        open_turn(c, mask);
    }
    if (wb_mono_us() > c->turn_until || c->bytes > TURN_BYTES) c->closing = true;
    wb_code code = sql_copy_assign(c, err);
    if (code != WB_OK) return code;
    if (!any_reading(c)) {
        code = close_turn(c, err);
        if (code == WB_OK && !sql_ledger_lacks(&c->ledger, c->running)) all_told(c);
        return code;
    }
    bool dry = false;
    code = sql_copy_visit(c, &dry, err);
    if (code == WB_OK && dry) wait_for_rows(c, until);
    if (code == WB_OK || code == WB_AGAIN) sql_copy_tell(c, NULL, false); /* a slow target: all the more */
    return code;
}

wb_code sql_copy_turns(sql_copy *c, int ms, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (;;) {
        wb_code code = step(c, until, err);
        if (c->ops->alive) {
            wb_code alive = c->ops->alive(c->source, err);
            if (code == WB_OK) code = alive;
        }
        if (code == WB_AGAIN) {
            c->blocked_us = wb_mono_us();
            return wait_for_budget(c, until);
        }
        if (code != WB_OK) return code;
        if (wb_mono_us() >= until || c->ops->stopped(c->source)) return WB_OK;
    }
}

/* ---------------------------------------------------------------- rounds */

bool sql_copy_reads(const sql_copy *c, const sql_job *j) { return j->own && sql_job_lacks(j, c->running); }

/* More would have nothing to do. */
size_t sql_copy_workers_wanted(const sql_copy *c, int64_t most)
{
    size_t chunks = 0, limit = WB_MIN((size_t)most, (size_t)SQL_WORKERS_MAX);
    for (size_t i = 0; i < c->ledger.n && chunks < limit; i++) {
        const sql_job *j = c->ledger.jobs[i];
        for (size_t k = 0; k < j->n && chunks < limit; k++)
            chunks += j->chunks[k].kind != SQL_CHUNK_TRUNCATE && sql_chunk_lacks(j, &j->chunks[k], c->running);
    }
    return WB_MAX(chunks, (size_t)1);
}

void sql_copy_begin(sql_copy *c, bool streams)
{
    c->phase = SQL_COPY_TURNS;
    c->turn = false;
    c->copied = 0;
    c->lone = streams;
    for (size_t i = 0; i < c->ledger.n; i++)
        if (sql_job_lacks(c->ledger.jobs[i], c->running) && !(c->ledger.jobs[i]->flags & SQL_JOB_LONE)) c->lone = false;
    c->round_until = wb_mono_us() + c->turn_ms * 1000;
}

wb_code sql_copy_over(sql_copy *c, wb_error *err)
{
    c->phase = SQL_COPY_OFF;
    c->wanted = sql_ledger_lacks(&c->ledger, c->running);
    if (!c->wanted) all_told(c);
    return c->only ? sql_copy_only_over(c, err) : WB_OK;
}

void sql_copy_free_workers(sql_copy *c)
{
    for (size_t i = 0; i < c->nworkers; i++) {
        sql_worker *w = &c->workers[i];
        if (w->row) c->ops->release(w, w->row);
        if (w->next) c->ops->release(w, w->next);
        if (w->job) {
            w->job->chunks[w->chunk].taken = false;
            w->job->open--;
        }
    }
    free(c->workers);
    c->workers = NULL;
    c->nworkers = 0;
}

/* The source has closed its connections, and let the workers go. */
void sql_copy_fini(sql_copy *c)
{
    if (c->batch) wb_host_drop(c->host, c->batch);
    if (c->loaded) {
        sql_copy_undescribe(c);
        sql_ledger_fini(&c->ledger);
        wb_arena_fini(&c->arena);
        wb_arena_fini(&c->names_arena);
    }
    free(c->refs);
    memset(c, 0, sizeof *c);
}
